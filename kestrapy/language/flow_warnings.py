"""What a flow may say, and what looks like a mistake all the same: references to inputs that it
does not declare and to tasks that it does not have, properties without effect. Kestra takes all of
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kestrapy.errors import ExpressionError, Problem
from kestrapy.language.expression import compile_template, has_expression
from kestrapy.language.flow_inputs import contradiction
from kestrapy.language.flow_tasks import IDLE, acted_upon
from kestrapy.language.problems import near
from kestrapy.language.yaml_source import Path, parse, path_text
from kestrapy.model.inputs import OLDER_TYPES
from kestrapy.model.registry import Registry

_BLOCKS = ("tasks", "errors", "finally", "afterExecution", "listeners")
_OF_ITEMS = ("split", "items", "merge")
"""Ends of the ids of task runs that a ForEachItem has beside its own."""
_CALLS = (".flow.Subflow", ".flows.Flow", "subflow")
_COUNTS_ON_IT = re.compile(r"\?\?|\bdefault\b|\bdefined\b|\bempty\b")
"""What an expression says where it knows that something may be missing."""


def flow_warnings(source: str, registry: Registry) -> list[Problem]:
    """Of a flow that was accepted, in the order of its text."""
    document = parse(source)
    found = [
        Problem(message, path_text(path), *document.place(path))
        for path, message in (
            *_contradictions(document.data),
            *_references(document.data),
            *_idle(document.data, (), registry),
        )
    ]
    return sorted(found, key=lambda it: (it.line, it.column))


Warnings = Iterator[tuple[Path, str]]


def _contradictions(data: dict[str, Any]) -> Warnings:
    """Inputs that take no value."""
    for index, each in enumerate(data.get("inputs") or ()):
        of_type = OLDER_TYPES.get(str(each.get("type")), str(each.get("type")))
        name, why = contradiction(of_type, each)
        if name:
            yield ("inputs", index, name), f"{why}; until then it takes no value"


def _idle(value: Any, path: Path, registry: Registry) -> Warnings:
    """Properties that only workers act upon, of tasks that none runs."""
    if isinstance(value, dict):
        kind = registry.tasks.get(str(value.get("type")))
        if kind is not None and not kind.kind.is_job:
            for name in IDLE:
                if value.get(name) is not None and name not in acted_upon(kind.kind):
                    message = f"`{name}` has no effect on a {kind.name}, for no worker runs it"
                    yield (*path, name), message
        for key, item in value.items():
            yield from _idle(item, (*path, key), registry)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _idle(item, (*path, index), registry)


def _references(data: dict[str, Any]) -> Warnings:
    inputs = {
        str(it.get("id", it.get("name"))).partition(".")[0] for it in data.get("inputs") or ()
    }
    blocks = [data.get(name) for name in _BLOCKS]
    known = {"inputs": inputs, "outputs": set(_ids(blocks))}
    if any(str(it).endswith(".Template") for it in _values(blocks, "type")):
        del known["outputs"]  # its tasks stand elsewhere
    for name in (*_BLOCKS, "outputs", "variables"):
        for path, text in _templates(data.get(name), (name,)):
            for message in _doubtful(text, known):
                yield path, message


def _doubtful(text: str, known: dict[str, set[str]]) -> Iterator[str]:
    if _COUNTS_ON_IT.search(text):
        return
    try:
        paths = compile_template(text).names()
    except ExpressionError:  # of a text that is rendered later on
        return
    for root, *inner in paths:
        if inner and inner[0] not in known.get(root, inner):
            what = {"inputs": "no input", "outputs": "no task"}[root]
            yield f"`{root}.{inner[0]}`: {what} has this id{near(inner[0], known[root])}"


def _ids(value: Any) -> Iterator[str]:
    for name in _values(value, "id"):
        yield str(name)
        yield from (f"{name}_{end}" for end in _OF_ITEMS)


def _values(value: Any, name: str) -> Iterator[Any]:
    """What stands under a name anywhere."""
    todo = [value]
    while todo:
        it = todo.pop()
        if isinstance(it, dict):
            if isinstance(it.get(name), str | int):
                yield it[name]
            todo += it.values()
        elif isinstance(it, list):
            todo += it


def _templates(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if has_expression(value):
            yield path, value
    elif isinstance(value, dict):
        calls = str(value.get("type")).endswith(_CALLS)
        for key, item in value.items():
            if not (calls and key == "outputs"):  # the flow that it runs has these tasks
                yield from _templates(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _templates(item, (*path, index))
