"""Count says how many executions flows had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from kestrapy.language.temporals import epoch_ms
from kestrapy.model.state import State
from kestrapy.plugins.properties import (
    Expression,
    Instant,
    Properties,
    Text,
    TextList,
    from_json,
    to_text,
)
from kestrapy.plugins.rendering import as_list
from kestrapy.ports.store import CountSearch, FlowCount
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class FlowName(Properties):
    """namespace, flowId: of a flow."""

    namespace: Text
    flow_id: Text


_FLOWS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("namespace", "flowId")},
        "required": ["namespace", "flowId"],
        "additionalProperties": False,
    },
}
_STATES = [str(it) for it in State]
States = Annotated[
    list[State | Expression] | Expression,
    BeforeValidator(from_json),
    WithJsonSchema({"type": "array", "items": {"enum": _STATES}, "$comment": "list of states"}),
]
"""Names of states, or a template of a list of them."""


class CountProperties(Properties):
    """flows: whose executions are counted, each by itself. namespaces: the same of all flows of a
    namespace together, without the namespaces below it; one of both is needed. states: of these
    only. startDate: of those that started then or later. endDate: and have ended then or before.
    expression: a template of a truth, which reads `count`; a flow, or a namespace, is among the
    results where it is true.
    """

    late: ClassVar[frozenset[str]] = frozenset({"expression"})
    flows: (
        Annotated[
            list[FlowName] | Expression,
            BeforeValidator(from_json),
            WithJsonSchema(_FLOWS),
        ]
        | None
    ) = None
    namespaces: TextList | None = None
    states: States | None = None
    start_date: Instant
    end_date: Instant | None = None
    expression: Text

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.flows is None and self.namespaces is None:
            raise ValueError("give `flows` or `namespaces`: whose executions are to be counted")
        return self


class CountTask:
    """``io.kestra.plugin.core.execution.Count``: ``outputs.results``, a list of ``namespace``,
    ``flowId`` and ``count``, and their ``total``. A flow without executions counts 0; a namespace
    without any is no result.
    """

    def run(self, properties: CountProperties, context: TaskContext) -> TaskOutcome:
        flows = [(it.namespace, it.flow_id) for it in _flows(properties)]
        namespaces = as_list(properties.namespaces or [])
        found = context.queries.counts(
            CountSearch(
                flows,
                namespaces,
                states=[str(it) for it in states_of(properties.states)],
                start=epoch_ms(properties.start_date),
                end=None if properties.end_date is None else epoch_ms(properties.end_date),
            )
        )
        results = [
            result
            for result in _results(flows, namespaces, found)
            if _holds(properties.expression, result["count"], context)
        ]
        total = sum(it["count"] for it in results)
        return TaskOutcome(outputs={"results": results, "total": total})


def _flows(properties: CountProperties) -> list[FlowName]:
    """Rendered: always a list."""
    return properties.flows if isinstance(properties.flows, list) else []


def states_of(states: list[Any] | str | None) -> list[State]:
    """Of a rendered property. Raises TaskFailed for what is no list."""
    if isinstance(states, str):
        raise TaskFailed(f"states: expected a list, got {states[:80]!r}")
    return [State(it) for it in states or ()]


def _results(
    flows: list[tuple[str, str]], namespaces: list[str], found: list[FlowCount]
) -> Iterator[dict[str, Any]]:
    counts = {(it.namespace, it.flow_id): it.executions for it in found}
    for namespace, flow_id in flows:
        count = counts.get((namespace, flow_id), 0)
        yield {"namespace": namespace, "flowId": flow_id, "count": count}
    for namespace in namespaces:
        of_all = [it.executions for it in found if it.namespace == namespace]
        if of_all:
            yield {"namespace": namespace, "flowId": None, "count": sum(of_all)}


def _holds(expression: str, count: int, context: TaskContext) -> bool:
    return to_text(context.render_with(expression, {"count": count})) == "true"
