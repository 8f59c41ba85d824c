"""What a flow says of its executions as a whole."""

from __future__ import annotations

from typing import Any, Literal, cast

from kestrapy.language.fields import Fields, plain
from kestrapy.language.flow_tasks import refuse_world
from kestrapy.language.problems import shown
from kestrapy.model.flow import Check, Concurrency, Sla

CONCURRENCY_BEHAVIORS = ("QUEUE", "CANCEL", "FAIL")
SLA_TYPES = ("MAX_DURATION", "EXECUTION_ASSERTION")
SLA_BEHAVIORS = ("FAIL", "CANCEL", "NONE")
STYLES = ("ERROR", "SUCCESS", "WARNING", "INFO")
CHECK_BEHAVIORS = ("BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION")


def read_concurrency(parent: Fields) -> Concurrency | None:
    """A limit of 1 or more, and what becomes of an execution beyond it."""
    fields = parent.fields("concurrency")
    if not parent.has("concurrency"):
        return None
    if not fields.has("limit"):
        fields.problems.add(fields.path, "`limit` is required: how many may run at once")
    limit = fields.integer("limit", 1, 1)
    behavior = fields.choice("behavior", CONCURRENCY_BEHAVIORS, "QUEUE")
    fields.close()
    return Concurrency(limit, cast(Literal["QUEUE", "CANCEL", "FAIL"], behavior))


def read_slas(parent: Fields) -> tuple[Sla, ...]:
    """Each with what it demands, and what follows where that is not kept."""
    return tuple(_read_sla(each) for each in parent.each("sla"))


def _read_sla(fields: Fields) -> Sla:
    kind = fields.kind("type", SLA_TYPES, "")
    behavior = fields.choice("behavior", SLA_BEHAVIORS)
    if not fields.has("behavior"):
        fields.problems.add(fields.path, f"`behavior` is required: {', '.join(SLA_BEHAVIORS)}")
    demanded: dict[str, Any] = {}
    if kind == "MAX_DURATION":
        demanded["duration"] = fields.duration("duration") or 0
        if not fields.has("duration"):
            fields.problems.add(fields.path, "`duration` is required: how long it may take")
    elif kind == "EXECUTION_ASSERTION":
        demanded["condition"] = _read_condition(fields, "assert")
    sla = Sla(
        id=fields.required("id"),
        type=cast(Any, kind or "MAX_DURATION"),
        behavior=cast(Any, behavior or "NONE"),
        labels=_read_labels(fields),
        **demanded,
    )
    if not kind:
        fields.rest()
    fields.close()
    return sla


def _read_condition(fields: Fields, name: str) -> str:
    """The executor asks it, who reads nothing but what the execution has."""
    condition = fields.required(name)
    fields.problems.add_expressions((*fields.path, name), condition)
    refuse_world(fields, name, condition)
    return condition


def _read_labels(fields: Fields) -> dict[str, str]:
    """Labels from a map, or from a list of maps with key and value."""
    if fields.is_list("labels"):
        pairs = [(it.required("key"), it.take("value"), it) for it in fields.each("labels")]
        for _, _, each in pairs:
            each.close()
        given = {key: value for key, value, _ in pairs}
    else:
        given = fields.mapping("labels")
    labels = {}
    for key, value in given.items():
        if isinstance(value, str | bool | int | float) and value != "":
            labels[key] = value if isinstance(value, str) else plain(value)
        else:
            fields.add(
                "labels", f"label {key}: expected text that is not empty, got {shown(value)}"
            )
    return labels


def read_checks(parent: Fields) -> tuple[Check, ...]:
    """In the order in which they are told."""
    return tuple(_read_check(each) for each in parent.each("checks"))


def _read_check(fields: Fields) -> Check:
    check = Check(
        condition=_read_condition(fields, "condition"),
        message=fields.required("message"),
        style=cast(Any, fields.choice("style", STYLES, "INFO")),
        behavior=cast(Any, fields.choice("behavior", CHECK_BEHAVIORS, CHECK_BEHAVIORS[0])),
    )
    fields.close()
    return check
