"""All task and trigger types of this build, by Kestra's names, their old names, and short ones
of our own."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from kestrapy.errors import NotFound
from kestrapy.model.registry import Kind, Registry, TaskType, TriggerType, index
from kestrapy.plugins.tasks.debug import ReturnProperties, ReturnTask
from kestrapy.plugins.tasks.execution import FailProperties, FailTask
from kestrapy.plugins.tasks.flow import FlowableProperties, SleepProperties, SleepTask
from kestrapy.plugins.tasks.log import LogProperties, LogTask
from kestrapy.plugins.tasks.script import (
    CommandsProperties,
    CommandsTask,
    PythonScriptTask,
    ScriptProperties,
    ShellScriptTask,
)
from kestrapy.plugins.triggers import ScheduleProperties
from kestrapy.ports.tasks import RunnableTask

_CORE = "io.kestra.plugin.core"
_OLD = "io.kestra.core.tasks"
_SCRIPTS = "io.kestra.plugin.scripts"


class _Runnable(NamedTuple):
    """instant: returns within microseconds and waits for nothing, so that it needs no thread."""

    name: str
    aliases: tuple[str, ...]
    properties: type[BaseModel]
    task: RunnableTask
    instant: bool = False


_RUNNABLES = [
    _Runnable(f"{_CORE}.log.Log", (f"{_OLD}.log.Log", "log"), LogProperties, LogTask(), True),
    _Runnable(
        f"{_CORE}.debug.Return",
        (f"{_OLD}.debugs.Return", "return"),
        ReturnProperties,
        ReturnTask(),
        True,
    ),
    _Runnable(
        f"{_CORE}.execution.Fail",
        (f"{_OLD}.executions.Fail", "fail"),
        FailProperties,
        FailTask(),
        True,
    ),
    _Runnable(f"{_CORE}.flow.Sleep", ("sleep",), SleepProperties, SleepTask()),
    _Runnable(f"{_SCRIPTS}.shell.Script", ("shell.script",), ScriptProperties, ShellScriptTask()),
    _Runnable(
        f"{_SCRIPTS}.shell.Commands", ("shell.commands",), CommandsProperties, CommandsTask()
    ),
    _Runnable(
        f"{_SCRIPTS}.python.Script", ("python.script",), ScriptProperties, PythonScriptTask()
    ),
    _Runnable(
        f"{_SCRIPTS}.python.Commands", ("python.commands",), CommandsProperties, CommandsTask()
    ),
]
_FLOWABLES = [
    TaskType(
        f"{_CORE}.flow.Sequential",
        Kind.SEQUENTIAL,
        FlowableProperties,
        (f"{_OLD}.flows.Sequential", "sequential"),
    ),
    TaskType(
        f"{_CORE}.flow.Parallel",
        Kind.PARALLEL,
        FlowableProperties,
        (f"{_OLD}.flows.Parallel", "parallel"),
    ),
]
_SCHEDULE = TriggerType(
    f"{_CORE}.trigger.Schedule",
    ScheduleProperties,
    ("io.kestra.core.models.triggers.types.Schedule", "schedule"),
)

REGISTRY = Registry(
    tasks=index(
        [TaskType(it.name, Kind.RUNNABLE, it.properties, it.aliases) for it in _RUNNABLES]
        + _FLOWABLES
    ),
    triggers=index([_SCHEDULE]),
)
"""What language and machine are given."""

_BY_NAME: dict[str, _Runnable] = index(_RUNNABLES)


def runnable(type_name: str) -> RunnableTask:
    """What runs a type, by name or alias. Raises NotFound for a type that workers don't run."""
    return _find(type_name).task


def properties_of(type_name: str) -> type[BaseModel]:
    """The model of what a runnable type adds. Raises NotFound as ``runnable`` does."""
    return _find(type_name).properties


def is_instant(type_name: str) -> bool:
    """Whether the type returns at once, waiting for nothing.

    Raises NotFound as ``runnable`` does.
    """
    return _find(type_name).instant


def _find(type_name: str) -> _Runnable:
    try:
        return _BY_NAME[type_name]
    except KeyError:
        known = ", ".join(sorted(it.name for it in _RUNNABLES))
        raise NotFound(
            f"no worker of this build runs the task type {type_name!r}; it runs {known}"
        ) from None
