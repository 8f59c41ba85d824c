"""Listeners of a flow, and the conditions that an execution is asked."""

from __future__ import annotations

from kestrapy.language.fields import Fields
from kestrapy.language.flow_tasks import Reading, read_block, refuse_world
from kestrapy.model.flow import Condition, Listener
from kestrapy.model.state import State

PACKAGES = ("io.kestra.plugin.core.condition.", "io.kestra.core.models.conditions.types.")
KNOWN = ("ExecutionStatus", "Expression")
TYPES = {
    f"{package}{name}{suffix}": name
    for suffix in ("", "Condition")  # older names end with it
    for package in PACKAGES
    for name in KNOWN
}
"""Every spelling of a type, and what it stands for."""
STATES = tuple(str(state) for state in State)


def read_listeners(fields: Fields, reading: Reading) -> tuple[Listener, ...]:
    """Each with tasks; a listener without conditions is always asked to run them."""
    return tuple(_read_listener(each, reading) for each in fields.each("listeners"))


def _read_listener(fields: Fields, reading: Reading) -> Listener:
    fields.text("description")
    if not fields.items("tasks"):
        fields.add("tasks", "`tasks` must not be empty: name what the listener runs")
    listener = Listener(
        tasks=read_block(fields, "tasks", reading),
        conditions=tuple(_read_condition(each) for each in fields.each("conditions")),
    )
    fields.close()
    return listener


def _read_condition(fields: Fields) -> Condition:
    match TYPES.get(fields.kind("type", TYPES, "")):
        case "ExecutionStatus":
            condition = Condition(
                "ExecutionStatus", _read_states(fields, "in"), _read_states(fields, "notIn")
            )
        case "Expression":
            expression = fields.required("expression")
            fields.problems.add_expressions((*fields.path, "expression"), expression)
            refuse_world(fields, "expression", expression)
            condition = Condition("Expression", expression=expression)
        case _:
            fields.rest()
            condition = Condition("ExecutionStatus")
    fields.close()
    return condition


def _read_states(fields: Fields, name: str) -> tuple[State, ...]:
    found = []
    for place, text in enumerate(fields.texts(name)):
        if text in STATES:
            found.append(State(text))
        else:
            message = f"`{text}` is no state: expected one of {', '.join(STATES)}"
            fields.problems.add((*fields.path, name, place), message)
    return tuple(found)
