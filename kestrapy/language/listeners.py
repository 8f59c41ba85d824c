"""Listeners of a flow."""

from __future__ import annotations

from kestrapy.language.conditions import read_conditions
from kestrapy.language.fields import Fields
from kestrapy.language.flow_tasks import Reading, read_block, refuse_world
from kestrapy.language.yaml_source import Path
from kestrapy.model.flow import Condition, Listener


def read_listeners(fields: Fields, reading: Reading) -> tuple[Listener, ...]:
    """Each with tasks; a listener without conditions is always asked to run them."""
    return tuple(_read_listener(each, reading) for each in fields.each("listeners"))


def _read_listener(fields: Fields, reading: Reading) -> Listener:
    fields.text("description")
    if not fields.items("tasks"):
        fields.add("tasks", "`tasks` must not be empty: name what the listener runs")
    listener = Listener(
        tasks=read_block(fields, "tasks", reading),
        conditions=read_conditions(fields, reading),
    )
    _check(listener.conditions, fields.path, reading)
    fields.close()
    return listener


def _check(conditions: tuple[Condition, ...], path: Path, reading: Reading) -> None:
    """The executor asks them, who reads nothing but the log."""
    for index, condition in enumerate(conditions):
        place = (*path, "conditions", index)
        kind = reading.registry.conditions.get(condition.type)
        if kind is not None and not kind.of_executions:
            reading.problems.add(
                (*place, "type"),
                f"a listener can't ask {kind.name}: it knows no more than the execution that ended",
            )
        given = Fields(condition.properties, place, reading.problems)
        for name, value in condition.properties.items():
            refuse_world(given, name, value)
        _check(condition.conditions, place, reading)
