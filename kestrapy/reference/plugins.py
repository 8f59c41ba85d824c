"""``plugins.md``: every task and trigger type with its properties, from their models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kestrapy.language.property_docs import summary
from kestrapy.language.schema import TypeSchemas, type_schemas
from kestrapy.model.registry import ConditionType, TaskType, TriggerType
from kestrapy.plugins.registry import REGISTRY
from kestrapy.reference.markdown import page, table

_INTRODUCTION = """
Every type that this build knows, under its name and the other names that it has. A property in
bold is required. Any value may be an expression, `{{ … }}`, unless its type reads it before
anything is rendered. `kestrapy flow schema` prints all of this as a JSON Schema.
"""
_CONDITIONS = """
They stand under `conditions` of a trigger, each with its `type`. All of them have to hold.
"""
_ANY = "any"
_TEMPLATE = "template"
_HEADS = ("property", "type", "default", "meaning")


_MEANINGS = {
    "id": "Its name, unique within the flow.",
    "description": "For people.",
    "disabled": "Leaves it out.",
    "timeout": "After which its run is ended as FAILED; an expression where a worker runs it.",
    "retry": "When a run that failed is tried again.",
    "allowFailure": "A failure is a WARNING, and the flow goes on.",
    "allowWarning": "A WARNING counts as SUCCESS.",
    "logLevel": "The lowest level of lines that its log keeps.",
    "taskCache": "Gives the outputs of an earlier run with the same properties, for `ttl`.",
    "workerGroup": "The group whose workers run it, by its key, which may be an expression.",
    "workerSelector": "The same by tags.",
    "onWorkerLost": "Whether it runs anew when its worker is lost.",
    "runIf": "An expression; where it is false the task is skipped.",
    "allowConcurrent": "Starts an execution although the last one still runs.",
    "inputs": "Those of the executions that it starts.",
    "tasks": "Its children.",
    "errors": "Tasks that run when one of its children has failed.",
    "finally": "Tasks that run after its children, whatever became of them.",
    "concurrent": "How many children run at once; 0: all.",
    "concurrencyLimit": "How many iterations run at once; 0: all.",
    "then": "Tasks that run where the condition is true.",
    "else": "Tasks that run where it is not.",
    "cases": "Lists of tasks by the value that they are for.",
    "defaults": "Tasks that run for any other value.",
    "checkFrequency": "How long to wait between two rounds, and how many there are at most.",
    "onPause": "A task that runs when the pause begins.",
    "conditions": "What has to hold for it to fire.",
    "failOnTriggerError": "An evaluation that fails makes a failed execution.",
    "labels": "Of the executions that it starts, beside the flow's.",
    "logToFile": "Its log is kept as a file.",
    "stopAfter": "It is disabled once an execution of its ends in one of these states.",
}
"""Of the properties that no type's model describes."""


def plugins_reference() -> str:
    """The reference of task and trigger types, as Markdown."""
    schemas = type_schemas(REGISTRY)
    sections = ["## All tasks", _core(schemas.tasks.values(), schemas)]
    sections += [_section(it, schemas.tasks[it.name], schemas) for it in schemas.task_types]
    sections += ["## All triggers", _core(schemas.triggers.values(), schemas)]
    sections += [_section(it, schemas.triggers[it.name], schemas) for it in schemas.trigger_types]
    sections += ["## All conditions of triggers", _CONDITIONS]
    sections += [
        _section(it, schemas.conditions[it.name], schemas) for it in schemas.condition_types
    ]
    return page("Task and trigger types", _INTRODUCTION, sections)


def _core(each: Iterable[dict[str, Any]], schemas: TypeSchemas) -> str:
    """The properties that all of them have."""
    found = list(each)
    names = set.intersection(*(set(it["properties"]) for it in found))
    return _table(found[0], sorted(names - {"type"}), schemas)


def _section(
    of: TaskType | TriggerType | ConditionType, schema: dict[str, Any], schemas: TypeSchemas
) -> str:
    core = set.intersection(*(set(it["properties"]) for it in _alike(of, schemas).values()))
    own = [name for name in schema["properties"] if name not in core]
    parts = [f"### `{of.name}`"]
    if of.aliases:
        parts.append(f"Also: {', '.join(f'`{it}`' for it in of.aliases)}.")
    parts.append(summary(of.properties))
    if isinstance(of, TriggerType):
        parts.append(_waiting(of))
    if isinstance(of, TaskType) and not of.runs:
        parts.append("No worker runs it yet: a flow that has one is refused unless it is disabled.")
    parts.append(_table(schema, own, schemas) or "It adds no properties.")
    return "\n\n".join(part for part in parts if part)


def _alike(of: TaskType | TriggerType | ConditionType, schemas: TypeSchemas) -> dict[str, Any]:
    """The schemas of those that share core properties with it."""
    if isinstance(of, TaskType):
        return schemas.tasks
    return schemas.triggers if isinstance(of, TriggerType) else schemas.conditions


def _waiting(of: TriggerType) -> str:
    """What of a trigger can be read and not saved."""
    if not of.runs:
        return "It makes no executions yet: a flow that has one is refused unless it is disabled."
    named = ", ".join(f"`{it}`" for it in sorted(of.waiting))
    return f"Not acted upon yet, and refused when a flow is saved: {named}." if named else ""


def _table(schema: dict[str, Any], names: Iterable[str], schemas: TypeSchemas) -> str:
    needed = set(schema.get("required", ()))
    rows = []
    for name in names:
        of = schema["properties"][name]
        shown = f"**`{name}`**" if name in needed else f"`{name}`"
        meaning = of.get("description") or _MEANINGS.get(name, "")
        rows.append((shown, _type(of, schemas), _default(of), meaning[:1].upper() + meaning[1:]))
    return table(_HEADS, rows)


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else f"`{json.dumps(default, ensure_ascii=False)}`"


def _type(schema: dict[str, Any], schemas: TypeSchemas) -> str:
    """What one writes, in a few words."""
    if "$comment" in schema:
        return str(schema["$comment"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name if name in ("task", "condition") else _type(schemas.definitions[name], schemas)
    if "enum" in schema or "const" in schema:
        options = schema.get("enum", [schema.get("const")])
        shown = [it for it in options if it is not None and it not in ("true", "false")]
        return "boolean" if shown == [True, False] else ", ".join(f"`{it}`" for it in shown)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = dict.fromkeys(_type(it, schemas) for it in schema[several])
            told = [it for it in kinds if it not in ("null", _TEMPLATE)]
            return " or ".join(told) or _ANY
    return _plain_type(schema, schemas)


def _plain_type(schema: dict[str, Any], schemas: TypeSchemas) -> str:
    kinds = schema.get("type", _ANY)
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if "pattern" in schema and schema["pattern"].startswith("^[Pp]"):
        return "duration"
    if schema == schemas.template:
        return _TEMPLATE
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), schemas)}"
    if kind == "object":
        inner = dict(schema.get("properties") or {})
        for case in schema.get("allOf", ()):
            inner |= case["then"]["properties"]
        named = ", ".join(f"`{name}`" for name in inner)
        return f"map ({named})" if named else "map"
    return {"string": "text", "integer": "whole number"}.get(kind, kind)
