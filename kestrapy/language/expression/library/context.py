"""Functions that read variables beside their arguments, and those that render again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kestrapy.language.expression.calls import (
    ALL_VARIABLES,
    Callee,
    Unfit,
    as_map,
    as_text,
    filters,
    functions,
)
from kestrapy.language.expression.scope import Scope

_RAW = re.compile(r"\{%-?\s*+raw\s*+-?%\}")
_END_RAW = re.compile(r"\{%-?\s*+endraw\s*+-?%\}")
_KEPT = re.compile("\0([0-9]{1,6})\0")
RENDER_LIMIT = 100
"""Passes of ``render`` until its text is stable."""


def block(scope: Scope, name: Any) -> str:
    """The text of a ``block`` tag that stands before."""
    found = scope.variables.get(f"block {as_text(name)}")
    if found is None:
        raise Unfit(f"knows no block `{as_text(name)[:80]}`: it has to stand before")
    text: str = found(scope)
    return text


def render(scope: Scope, to_render: Any, recursive: Any = True) -> Any:
    """A text, rendered until nothing changes any more; of a list or map, every text in it."""
    if recursive is False:
        return render_once(scope, to_render)
    scope.step()
    if isinstance(to_render, Mapping):
        return {str(key): render(scope, item) for key, item in to_render.items()}
    if isinstance(to_render, list | tuple):
        return [render(scope, item) for item in to_render]
    return _until_stable(scope, to_render) if isinstance(to_render, str) else to_render


def _until_stable(scope: Scope, text: str) -> Any:
    """What is raw is taken out first and put back in the end: no pass renders it."""
    value, kept = _without_raw(text)
    for _ in range(RENDER_LIMIT):
        rendered = scope.render(value) if "{" in value else value
        if rendered == value or not isinstance(rendered, str):
            return _with_raw(scope, rendered, kept)
        value = rendered
    raise Unfit("gave up: Too many rendering attempts")


def _without_raw(text: str) -> tuple[Any, list[str]]:
    """A text with a mark for each raw part, and these parts."""
    kept: list[str] = []
    parts, position = [], 0
    while "\0" not in text and (begin := _RAW.search(text, position)):
        end = _END_RAW.search(text, begin.end())
        if end is None:
            break
        parts += [text[position : begin.start()], f"\0{len(kept)}\0"]
        kept.append(text[begin.end() : end.start()])
        position = end.end()
    return "".join([*parts, text[position:]]), kept


def _with_raw(scope: Scope, value: Any, kept: list[str]) -> Any:
    if not kept or not isinstance(value, str):
        return value
    found = _KEPT.findall(value)
    scope.room(sum(len(kept[int(it)]) for it in found if int(it) < len(kept)))
    return _KEPT.sub(lambda it: kept[int(it[1])] if int(it[1]) < len(kept) else it[0], value)


def render_once(scope: Scope, to_render: Any) -> Any:
    """A text, rendered once; of a list or map, every text in it."""
    scope.step()
    if isinstance(to_render, Mapping):
        return {str(key): render_once(scope, item) for key, item in to_render.items()}
    if isinstance(to_render, list | tuple):
        return [render_once(scope, item) for item in to_render]
    return scope.render(to_render) if isinstance(to_render, str) else to_render


def current_each_output(scope: Scope, outputs: Any) -> Any:
    """Of the outputs of a task within loops, those of the iteration that one is in."""
    found: Any = as_map(outputs)
    around = scope.variables.get("parents") or []
    values = [_value(it) for it in reversed(around) if isinstance(it, Mapping)]
    for value in [*(it for it in values if it is not None), _value(scope.variables)]:
        key = value if isinstance(value, str) else scope.text(value)
        if not isinstance(found, Mapping) or key not in found:
            raise Unfit(f"finds no outputs of the iteration `{key[:80]}`")
        found = found[key]
    return found


def _value(variables: Mapping[str, Any]) -> Any:
    run = variables.get("taskrun")
    return run.get("value") if isinstance(run, Mapping) else None


def tasks_with_state(scope: Scope, state: Any) -> list[dict[str, Any]]:
    """``taskId``, ``state`` and, within a loop, ``value`` of the tasks that are in a state."""
    wanted = as_text(state).upper()
    tasks = scope.variables.get("tasks")
    found: list[dict[str, Any]] = []
    for task_id, about in tasks.items() if isinstance(tasks, Mapping) else ():
        for value, inner in about.items() if isinstance(about, Mapping) else ():
            scope.step()
            if value == "state" and isinstance(inner, str):
                if inner.upper() == wanted:
                    found.append({"taskId": task_id, "state": wanted})
            elif isinstance(inner, Mapping) and str(inner.get("state")).upper() == wanted:
                found.append({"taskId": task_id, "state": wanted, "value": value})
    return found


def fetch_context(scope: Scope) -> dict[str, Any]:
    """All variables."""
    return _variables(scope)


def print_context(scope: Scope) -> str:
    """All variables, as JSON."""
    return scope.written(_variables(scope))


def _variables(scope: Scope) -> dict[str, Any]:
    """Without macros, which are no values."""
    return {name: it for name, it in scope.variables.items() if not callable(it)}


def defined(scope: Scope, value: Any) -> bool:
    return value is not None


def _reading(found: Callee) -> Callee:
    reads = {
        "currentEachOutput": (("parents",), ("taskrun",)),
        "tasksWithState": (("tasks",),),
    }
    return replace(found, reads=reads.get(found.name, ALL_VARIABLES))


FUNCTIONS = (
    *functions({"block": block}),
    *(
        _reading(it)
        for it in functions(
            {
                "currentEachOutput": current_each_output,
                "fetchContext": fetch_context,
                "printContext": print_context,
                "render": render,
                "renderOnce": render_once,
                "tasksWithState": tasks_with_state,
            }
        )
    ),
)
TESTS = tuple(filters({"defined": defined}, takes_undefined=True))
