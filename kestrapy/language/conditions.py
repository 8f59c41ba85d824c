"""Conditions of triggers: each by the model of its type; some hold others."""

from __future__ import annotations

from kestrapy.language.fields import Fields
from kestrapy.language.flow_tasks import Reading, invalid_type
from kestrapy.language.typed_properties import check_properties
from kestrapy.model.flow import Condition
from kestrapy.model.registry import Holds


def read_conditions(holder: Fields, reading: Reading) -> tuple[Condition, ...]:
    """The list under ``conditions`` of what holds it."""
    return tuple(read_condition(each, reading) for each in holder.each("conditions"))


def read_condition(fields: Fields, reading: Reading, name: str = "") -> Condition:
    """One of them. name: its key, where it stands in a map."""
    reading.conditions.append(fields)
    type_name = fields.required("type")
    kind = reading.registry.conditions.get(type_name)
    if kind is None:
        if type_name:
            fields.add("type", invalid_type(type_name, reading.registry.conditions))
        fields.rest()
        return Condition(type_name, name)
    held: tuple[Condition, ...] = ()
    match kind.holds:
        case Holds.LIST:
            fields.some("conditions", "`conditions` must have a condition")
            held = read_conditions(fields, reading)
        case Holds.MAP:
            held = _read_named(fields, reading)
    known = set(fields.known)
    properties = fields.rest()
    check_properties(kind.properties, properties, fields.path, reading.problems, known)
    return Condition(kind.name, name, held, properties)


def _read_named(fields: Fields, reading: Reading) -> tuple[Condition, ...]:
    """Those of a MultipleCondition: a map, in which each has a name."""
    within = fields.fields("conditions")
    if not within.value:
        fields.problems.add(fields.path, "`conditions` must have a condition")
    names = [name for name in within.value if within.mapping(name)]
    return tuple(read_condition(within.fields(name), reading, name) for name in names)
