"""A JSON Schema of flows, for editors: made from the very code and models that read them.

What it accepts is more than what the parser does, never less: it can't see how values of a flow
depend on each other, and judges no expression.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kestrapy.language.conditions import read_condition
from kestrapy.language.fields import Fields
from kestrapy.language.flow import read_flow
from kestrapy.language.flow_tasks import Reading, read_task
from kestrapy.language.flow_triggers import read_trigger
from kestrapy.language.model_schema import TEMPLATE, model_schemas
from kestrapy.language.plugin_defaults import SPELLINGS, read_default
from kestrapy.language.recording import Recorder, Schema, by_type, record
from kestrapy.language.worker_groups import Declared
from kestrapy.model.registry import ConditionType, Registry, TaskType, TriggerType

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_OPEN = " of defaults"
"""Ends the names of definitions in which plugin defaults may give what is required."""


@dataclass(frozen=True)
class TypeSchemas:
    """The schemas of all types by canonical name, and what they refer to as ``#/$defs/…``.

    template: of a text with an expression.
    """

    task_types: tuple[TaskType, ...]
    trigger_types: tuple[TriggerType, ...]
    condition_types: tuple[ConditionType, ...]
    tasks: dict[str, Schema]
    triggers: dict[str, Schema]
    conditions: dict[str, Schema]
    definitions: dict[str, Schema]
    template: Schema


def flow_schema(registry: Registry) -> Schema:
    """The schema of a flow whose tasks and triggers are of the registry's types."""
    definitions: dict[str, Schema] = {}
    for end in ("", _OPEN):
        found = type_schemas(registry, end)
        definitions |= found.definitions
        definitions[f"task{end}"] = _of_type(found.tasks, registry.tasks)
        definitions[f"trigger{end}"] = _of_type(found.triggers, registry.triggers)
        definitions[f"condition{end}"] = _of_type(found.conditions, registry.conditions)
        definitions[f"flow{end}"] = _flow(registry, end)
    return {
        "$schema": DIALECT,
        "title": "kestrapy flow",
        "type": "object",
        "if": {"anyOf": [{"required": [name]} for name in SPELLINGS]},
        "then": _ref(f"flow{_OPEN}"),
        "else": _ref("flow"),
        "$defs": definitions,
    }


def type_schemas(registry: Registry, end: str = "") -> TypeSchemas:
    """end: of the names of definitions that tasks refer to."""
    tasks = tuple({it.name: it for it in registry.tasks.values() if not it.hidden}.values())
    triggers = tuple({it.name: it for it in registry.triggers.values()}.values())
    conditions = tuple({it.name: it for it in registry.conditions.values()}.values())
    models, definitions = model_schemas(
        [
            *(it.properties for it in tasks),
            *(it.properties for it in triggers),
            *(it.properties for it in conditions),
        ]
    )
    schemas: dict[str, Schema] = {}
    for task in tasks:
        core = record(_reads_task(registry), _ref(f"task{end}"), {"type": task.name})
        schemas[task.name] = _joined(core, models[task.properties], end)
    for trigger in triggers:
        core = record(_reads_trigger(registry), _ref(f"condition{end}"), {"type": trigger.name})
        schemas[trigger.name] = _joined(core, models[trigger.properties], end)
    for condition in conditions:
        core = record(_reads_condition(registry), _ref(f"condition{end}"), {"type": condition.name})
        schemas[condition.name] = _joined(core, models[condition.properties], end)
    return TypeSchemas(
        tasks,
        triggers,
        conditions,
        {it.name: schemas[it.name] for it in tasks},
        {it.name: schemas[it.name] for it in triggers},
        {it.name: schemas[it.name] for it in conditions},
        definitions,
        TEMPLATE,
    )


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _reading(registry: Registry, recorder: Recorder) -> Reading:
    return Reading(registry, recorder.problems, Declared(None, ""))


def _reads_task(registry: Registry) -> Any:
    def read(recorder: Recorder) -> Collection[Fields]:
        reading = _reading(registry, recorder)
        read_task(recorder, reading)
        return [it for it in reading.tasks if it is not recorder]

    return read


def _reads_trigger(registry: Registry) -> Any:
    def read(recorder: Recorder) -> Collection[Fields]:
        reading = _reading(registry, recorder)
        read_trigger(recorder, reading)
        return reading.conditions

    return read


def _reads_condition(registry: Registry) -> Any:
    def read(recorder: Recorder) -> Collection[Fields]:
        reading = _reading(registry, recorder)
        read_condition(recorder, reading)
        return [it for it in reading.conditions if it is not recorder]

    return read


def _flow(registry: Registry, end: str) -> Schema:
    def read(recorder: Recorder) -> Collection[Fields]:
        return read_flow(recorder, registry, None, "")[1].tasks

    made = record(read, _ref(f"task{end}"))
    default = record(lambda recorder: (read_default(recorder), ())[1], {})
    made["properties"] |= {name: {"type": "array", "items": default} for name in SPELLINGS}
    made["properties"]["triggers"] = {"type": "array", "items": _ref(f"trigger{end}")}
    return made


def _joined(core: Schema, own: Schema, end: str) -> Schema:
    """What all have in common, and what one type adds; a model's word comes before the reader's."""
    needed = {*core.get("required", ()), *(() if end else own.get("required", ()))}
    made = {
        "type": "object",
        "properties": core["properties"] | own.get("properties", {}),
        "required": sorted({"id", "type"} & needed if end else needed),
        "additionalProperties": own.get("additionalProperties", True),
    }
    return made


def _of_type(schemas: dict[str, Schema], registered: Any) -> Schema:
    """By type, under all of its names."""
    known = {name: it for name, it in registered.items() if it.name in schemas}
    return by_type({name: _typed(schemas[it.name], it) for name, it in known.items()})


def _typed(schema: Schema, of: TaskType | TriggerType | ConditionType) -> Schema:
    names = {"enum": [of.name, *of.aliases]}
    return {**schema, "properties": schema["properties"] | {"type": names}}
