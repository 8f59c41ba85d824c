"""Fail ends its branch of the execution as failed; Assert does unless its conditions hold."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from kestrapy.plugins.properties import Properties, Template, Text, from_json, is_true, to_text
from kestrapy.plugins.rendering import render_text
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class FailProperties(Properties):
    """condition: fails only when this is true; not given: always.

    errorMessage: what the failure says; rendered only then.
    """

    late: ClassVar[frozenset[str]] = frozenset({"errorMessage"})
    condition: Any = None
    error_message: Text = "Task failure"


class FailTask:
    """``io.kestra.plugin.core.execution.Fail``."""

    def run(self, properties: FailProperties, context: TaskContext) -> TaskOutcome:
        if "condition" in properties.model_fields_set and not is_true(properties.condition):
            return TaskOutcome()
        raise TaskFailed(render_text(properties.error_message, context))


class AssertProperties(Properties):
    """conditions: templates of truths. errorMessage: what the failure says; rendered only then."""

    late: ClassVar[frozenset[str]] = frozenset({"conditions", "errorMessage"})
    conditions: Annotated[list[Any] | Template, BeforeValidator(from_json)]
    error_message: Text | None = None


class AssertTask:
    """``io.kestra.plugin.core.execution.Assert``: fails unless all conditions are true.

    All are looked at; the metrics ``success`` and ``failed`` count them.
    """

    def run(self, properties: AssertProperties, context: TaskContext) -> TaskOutcome:
        conditions = properties.conditions
        if isinstance(conditions, str):
            conditions = from_json(context.render(conditions))
            if not isinstance(conditions, list):
                raise TaskFailed(f"conditions: expected a list, not {to_text(conditions)[:80]!r}")
        broken = [it for it in conditions if not is_true(context.render(it))]
        for condition in broken:
            context.log("ERROR", f"Not true: {to_text(condition)}")
        context.metric("success", "counter", len(conditions) - len(broken), {})
        context.metric("failed", "counter", len(broken), {})
        if broken:
            said = properties.error_message
            raise TaskFailed(
                render_text(said, context)
                if said is not None
                else f"{len(broken)} of {len(conditions)} assertions failed"
            )
        return TaskOutcome()
