"""Triggers of a flow: core properties here, the rest by the model of the trigger's type."""

from __future__ import annotations

from typing import Any

from kestrapy.language.conditions import read_conditions
from kestrapy.language.fields import Fields, unique
from kestrapy.language.flow_tasks import LOG_LEVELS, TASK_ID, Reading, invalid_type
from kestrapy.language.labels import read_labels
from kestrapy.language.problems import near
from kestrapy.language.typed_properties import check_properties
from kestrapy.language.worker_groups import read_worker_group
from kestrapy.model.flow import Trigger
from kestrapy.model.registry import TriggerType
from kestrapy.model.state import State

PRECONDITIONS = "preconditions"
NO_WORKER = ("workerGroup", "workerSelector")
"""They have a meaning for triggers that a worker evaluates, and for no others."""
_STATES = tuple(it.value for it in State)


def read_triggers(flow: Fields, reading: Reading) -> tuple[Trigger, ...]:
    triggers = flow.each("triggers")
    unique(triggers, "trigger")
    _check_preconditions(triggers)
    return tuple(read_trigger(each, reading) for each in triggers)


def read_trigger(fields: Fields, reading: Reading) -> Trigger:
    """One of them."""
    name = fields.required("type")
    kind = reading.registry.triggers.get(name)
    core: dict[str, Any] = {
        "id": fields.identifier("id", TASK_ID, 256),
        "description": fields.text("description"),
        "disabled": fields.flag("disabled"),
        "allow_concurrent": fields.flag("allowConcurrent"),
        "inputs": fields.mapping("inputs"),
        "conditions": read_conditions(fields, reading),
        "labels": read_labels(fields),
        "log_level": fields.choice("logLevel", LOG_LEVELS),
        "log_to_file": fields.flag("logToFile"),
        "stop_after": _read_states(fields, "stopAfter"),
        "fail_on_trigger_error": fields.flag("failOnTriggerError"),
    }
    fields.refuse(["version"])
    reading.problems.add_expressions((*fields.path, "inputs"), core["inputs"])
    if kind is None:
        if name:
            fields.add("type", invalid_type(name, reading.registry.triggers))
        fields.rest()
        return Trigger(type=name, **core)
    for index, condition in enumerate(core["conditions"]):
        if condition.type in kind.without:
            place = (*fields.path, "conditions", index, "type")
            short = condition.type.rpartition(".")[2]
            reading.problems.add(place, f"a {kind.name} can't have a {short}")
    core["worker_group"] = _read_group(fields, kind, reading)
    known = set(fields.known) - {*NO_WORKER, "version"}
    properties = fields.rest()
    check_properties(kind.properties, properties, fields.path, reading.problems, known)
    return Trigger(type=kind.name, properties=properties, **core)


def _read_states(fields: Fields, name: str) -> tuple[str, ...]:
    found = fields.texts(name)
    for index, state in enumerate(found):
        if state not in _STATES:
            message = f"{state!r} is no state{near(state, _STATES)}"
            fields.problems.add((*fields.path, name, index), message)
    return tuple(found)


def _read_group(fields: Fields, kind: TriggerType, reading: Reading) -> Any:
    if kind.is_polling:
        return read_worker_group(fields, reading.declared)
    for each in NO_WORKER:
        if fields.take(each) is not None:
            fields.add(
                each,
                f"`{each}` has no effect on a {kind.name}: no worker evaluates it; leave it out,"
                " and set it on the flow, or on its tasks",
            )
    return None


def _check_preconditions(triggers: list[Fields]) -> None:
    """What a trigger has seen so far is kept by their id, which is therefore its own."""
    seen: set[str] = set()
    for each in triggers:
        given = each.value.get(PRECONDITIONS)
        name = given.get("id") if isinstance(given, dict) else None
        if isinstance(name, str) and name in seen:
            path = (*each.path, PRECONDITIONS, "id")
            each.problems.add(path, f"Duplicate preconditions with id [{name}]: give each its own")
        if isinstance(name, str):
            seen.add(name)
