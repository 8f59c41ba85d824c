"""The children of flowable tasks: which lists of tasks there are depends on the task's kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from kestrapy.language.fields import Fields
from kestrapy.language.flow_inputs import read_inputs
from kestrapy.language.problems import near
from kestrapy.model.flow import Task
from kestrapy.model.registry import Kind, TaskType

ReadTask = Callable[[Fields], Task]


def read_children(fields: Fields, kind: TaskType, read_task: ReadTask) -> dict[str, Any]:
    """The attributes of a Task that hold its children, and say how they run."""
    read = _READERS.get(kind.kind, _read_tasks)(fields, read_task)
    return {
        **read,
        "errors": _block(fields, read_task, "errors"),
        "finally_": _block(fields, read_task, "finally"),
    }


def _block(fields: Fields, read_task: ReadTask, name: str) -> tuple[Task, ...]:
    return tuple(read_task(each) for each in fields.each(name))


def _read_tasks(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    if not fields.items("tasks"):
        fields.problems.add(fields.path, "The 'tasks' property cannot be empty")
    return {"tasks": _block(fields, read_task, "tasks")}


def _read_directory(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    if not fields.items("tasks"):
        name = fields.text("id")
        fields.problems.add(fields.path, f"{name}: The 'tasks' property cannot be empty")
        fields.add("tasks", "a WorkingDirectory has at least one task, for a worker to run")
    return {"tasks": _block(fields, read_task, "tasks")}


def _read_parallel(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    return {
        **_read_tasks(fields, read_task),
        "concurrent": fields.integer("concurrent", 0, 0),
    }


def _read_for_each(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    return {
        **_read_tasks(fields, read_task),
        "concurrent": fields.integer("concurrencyLimit", 0, 1),
    }


def _read_for_items(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    """It has none but those that it is made of."""
    return {}


def _read_if(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    if not fields.items("then"):
        fields.problems.add(fields.path, "The 'then' property cannot be empty")
    return {"branches": {name: _block(fields, read_task, name) for name in ("then", "else")}}


def _read_switch(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    cases = fields.fields("cases")
    branches = {f"cases.{name}": _block(cases, read_task, name) for name in fields.mapping("cases")}
    if fields.has("defaults"):
        branches["defaults"] = _block(fields, read_task, "defaults")
    if not any(branches.values()):
        message = "No task defined, neither cases or default have any tasks"
        fields.problems.add(fields.path, message)
    return {"branches": branches}


def _read_pause(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    on_pause = (read_task(fields.fields("onPause")),) if fields.has("onPause") else ()
    return {
        "tasks": _block(fields, read_task, "tasks"),
        "branches": {"onPause": on_pause} if on_pause else {},
        "on_resume": read_inputs(fields, "onResume"),
    }


def _read_ordered(fields: Fields, read_task: ReadTask) -> dict[str, Any]:
    """Each item of ``tasks`` is a map of ``task`` and ``dependsOn``."""
    if not fields.items("tasks"):
        fields.problems.add(fields.path, "The 'tasks' property cannot be empty")
    tasks: list[Task] = []
    depends_on: dict[str, tuple[str, ...]] = {}
    items = fields.each("tasks")
    for item in items:
        if not item.has("task"):
            item.problems.add(item.path, "`task` is required: a map with id and type")
            item.rest()
            continue
        tasks.append(read_task(item.fields("task")))
        depends_on[tasks[-1].id] = tuple(str(it) for it in item.items("dependsOn"))
        item.close()
    _check_dependencies(fields, depends_on)
    disabled = {task.id for task in tasks if task.disabled}
    waits_for = {task_id: _enabled(task_id, depends_on, disabled) for task_id in depends_on}
    needed = {task_id: others for task_id, others in waits_for.items() if others}
    return {
        "tasks": tuple(tasks),
        "concurrent": fields.integer("concurrent", 0, 0),
        "depends_on": needed,
    }


def _enabled(
    task_id: str, depends_on: Mapping[str, tuple[str, ...]], disabled: Set[str]
) -> tuple[str, ...]:
    """What a task waits for: those that it depends on, and in place of a disabled one, which never
    runs, what that depends on.
    """
    found: dict[str, bool] = {}
    todo = list(reversed(depends_on[task_id]))
    while todo:
        other = todo.pop()
        if other not in found:
            found[other] = other not in disabled
            todo += () if found[other] else reversed(depends_on.get(other, ()))
    return tuple(it for it, is_enabled in found.items() if is_enabled)


def _check_dependencies(fields: Fields, depends_on: Mapping[str, tuple[str, ...]]) -> None:
    for task_id, others in depends_on.items():
        for other in others:
            if other not in depends_on:
                message = f"`{task_id}` depends on `{other}`, which is no task of this Dag"
                fields.add("tasks", message + near(other, depends_on))
    cyclic = [it for it in depends_on if it in _reachable(it, depends_on)]
    if cyclic:
        name = fields.text("id")
        fields.add("tasks", f"{name}: Cyclic dependency detected: {', '.join(cyclic)}")


def _reachable(start: str, depends_on: Mapping[str, tuple[str, ...]]) -> set[str]:
    """What a task depends on, directly or not; itself only where there is a cycle."""
    found: set[str] = set()
    todo = list(depends_on[start])
    while todo:
        task_id = todo.pop()
        if task_id not in found:
            found.add(task_id)
            todo += depends_on.get(task_id, ())
    return found


_READERS: dict[Kind, Callable[[Fields, ReadTask], dict[str, Any]]] = {
    Kind.WORKING_DIRECTORY: _read_directory,
    Kind.PARALLEL: _read_parallel,
    Kind.EACH_PARALLEL: _read_parallel,
    Kind.FOR_EACH: _read_for_each,
    Kind.IF: _read_if,
    Kind.SWITCH: _read_switch,
    Kind.PAUSE: _read_pause,
    Kind.ORDERED: _read_ordered,
    Kind.FOR_ITEMS: _read_for_items,
}
