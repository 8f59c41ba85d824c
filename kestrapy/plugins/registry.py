"""All task and trigger types of this build, by Kestra's names, their old names, and short ones
of our own."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from kestrapy.errors import NotFound
from kestrapy.language.for_each_item import BATCHES, MERGE, SPLIT
from kestrapy.language.task_spec import TEMPLATED
from kestrapy.model.flow import Task
from kestrapy.model.registry import EVALUATION, Kind, Path, Registry, TaskType, index
from kestrapy.plugins.tasks import kv, state
from kestrapy.plugins.tasks.count import CountProperties, CountTask
from kestrapy.plugins.tasks.debug import EchoProperties, EchoTask, ReturnProperties, ReturnTask
from kestrapy.plugins.tasks.evaluate import EvaluateProperties, EvaluateTask
from kestrapy.plugins.tasks.execution import (
    AssertProperties,
    AssertTask,
    FailProperties,
    FailTask,
)
from kestrapy.plugins.tasks.flow import FlowableProperties, SleepProperties, SleepTask
from kestrapy.plugins.tasks.flowables import (
    EachProperties,
    ExitProperties,
    ForEachProperties,
    IfProperties,
    LabelsProperties,
    LoopUntilProperties,
    PauseProperties,
    ResumeProperties,
    SetVariablesProperties,
    SwitchProperties,
    UnsetVariablesProperties,
)
from kestrapy.plugins.tasks.http import (
    DownloadProperties,
    DownloadTask,
    RequestProperties,
    RequestTask,
)
from kestrapy.plugins.tasks.http_sse import SseProperties, SseTask
from kestrapy.plugins.tasks.log import (
    FetchProperties,
    FetchTask,
    LogProperties,
    LogTask,
)
from kestrapy.plugins.tasks.metric import PublishProperties, PublishTask
from kestrapy.plugins.tasks.namespace import (
    DeleteFilesProperties,
    DeleteFilesTask,
    DownloadFilesProperties,
    DownloadFilesTask,
    PurgeFilesProperties,
    PurgeFilesTask,
    UploadFilesProperties,
    UploadFilesTask,
)
from kestrapy.plugins.tasks.output import OutputValuesProperties, OutputValuesTask
from kestrapy.plugins.tasks.purge import (
    PurgeExecutionsProperties,
    PurgeExecutionsTask,
    PurgeLogsProperties,
    PurgeLogsTask,
)
from kestrapy.plugins.tasks.script import (
    CommandsProperties,
    CommandsTask,
    PythonScriptTask,
    ScriptProperties,
    ShellScriptTask,
)
from kestrapy.plugins.tasks.storage import (
    ConcatProperties,
    ConcatTask,
    DeleteProperties,
    DeleteTask,
    LocalFilesProperties,
    LocalFilesTask,
    PurgeProperties,
    PurgeTask,
    ReverseProperties,
    ReverseTask,
    SizeProperties,
    SizeTask,
    WriteProperties,
    WriteTask,
)
from kestrapy.plugins.tasks.storage_items import (
    DeduplicateItemsProperties,
    DeduplicateItemsTask,
    FilterItemsProperties,
    FilterItemsTask,
)
from kestrapy.plugins.tasks.storage_split import SplitProperties, SplitTask
from kestrapy.plugins.tasks.subflow import (
    BatchesProperties,
    ForEachItemProperties,
    MergeOutputsProperties,
    MergeOutputsTask,
    SplitItemsProperties,
    SplitItemsTask,
    SubflowProperties,
    TemplateProperties,
)
from kestrapy.plugins.tasks.templated import TemplatedProperties, TemplatedTask
from kestrapy.plugins.tasks.toggle import ToggleProperties, ToggleTask
from kestrapy.plugins.tasks.working_directory import (
    WorkingDirectoryProperties,
    WorkingDirectoryTask,
)
from kestrapy.plugins.trigger_types import CONDITIONS, TRIGGERS
from kestrapy.ports.tasks import RunnableTask

_CORE = "io.kestra.plugin.core"
_OLD = "io.kestra.core.tasks"
_SCRIPTS = "io.kestra.plugin.scripts"


class Runnable(NamedTuple):
    """A task type that workers run. takes_properties: else it is given None, and nothing of them is
    looked at. hidden: no flow may name it.

    instant: returns within microseconds and waits for nothing, so that it needs no thread. reads:
    paths of variables that it reads beside those that its properties name.
    """

    name: str
    aliases: tuple[str, ...]
    properties: type[BaseModel]
    task: RunnableTask
    instant: bool = False
    reads: tuple[Path, ...] = ()
    hidden: bool = False
    takes_properties: bool = True

    @property
    def late(self) -> frozenset[str]:
        """The properties that the task renders itself while it runs."""
        return getattr(self.properties, "late", frozenset())


_INSTANT = [
    Runnable(f"{_CORE}.{name}", aliases, properties, task, True)
    for name, aliases, properties, task in (
        ("log.Log", (f"{_OLD}.log.Log", "log"), LogProperties, LogTask()),
        ("debug.Return", (f"{_OLD}.debugs.Return", "return"), ReturnProperties, ReturnTask()),
        ("debug.Echo", (f"{_OLD}.debugs.Echo",), EchoProperties, EchoTask()),
        ("output.OutputValues", (), OutputValuesProperties, OutputValuesTask()),
        ("execution.Fail", (f"{_OLD}.executions.Fail", "fail"), FailProperties, FailTask()),
        ("execution.Assert", (), AssertProperties, AssertTask()),
        ("metric.Publish", (), PublishProperties, PublishTask()),
    )
]
_SCRIPT_TYPES = [
    Runnable(f"{_SCRIPTS}.{name}", (name.lower(),), properties, task)
    for name, properties, task in (
        ("shell.Script", ScriptProperties, ShellScriptTask()),
        ("shell.Commands", CommandsProperties, CommandsTask()),
        ("python.Script", ScriptProperties, PythonScriptTask()),
        ("python.Commands", CommandsProperties, CommandsTask()),
    )
]
_STORAGE = [
    Runnable(f"{_CORE}.storage.{name}", (f"{_OLD}.storages.{name}", *more), properties, task)
    for name, more, properties, task in (
        ("Write", (), WriteProperties, WriteTask()),
        ("Concat", (), ConcatProperties, ConcatTask()),
        ("Split", (), SplitProperties, SplitTask()),
        ("Reverse", (), ReverseProperties, ReverseTask()),
        ("Size", (), SizeProperties, SizeTask()),
        ("Delete", (), DeleteProperties, DeleteTask()),
        ("FilterItems", (), FilterItemsProperties, FilterItemsTask()),
        ("DeduplicateItems", (), DeduplicateItemsProperties, DeduplicateItemsTask()),
        ("LocalFiles", (), LocalFilesProperties, LocalFilesTask()),
        (
            "PurgeCurrentExecutionFiles",
            (f"{_CORE}.storage.PurgeExecution", f"{_OLD}.storages.PurgeExecution"),
            PurgeProperties,
            PurgeTask(),
        ),
    )
]
_SHARED = [
    Runnable(f"{_CORE}.{name}", aliases, properties, task, reads=reads)
    for name, aliases, properties, task, reads in (
        ("kv.Set", (), kv.SetProperties, kv.SetTask(), ()),
        ("kv.Put", (), kv.PutProperties, kv.PutTask(), ()),
        ("kv.Get", (), kv.GetProperties, kv.GetTask(), ()),
        ("kv.GetKeys", (), kv.GetKeysProperties, kv.GetKeysTask(), ()),
        ("kv.Delete", (), kv.DeleteProperties, kv.DeleteTask(), ()),
        ("kv.PurgeKV", (), kv.PurgeProperties, kv.PurgeTask(), ()),
        ("state.Set", (f"{_OLD}.states.Set",), state.SetProperties, state.SetTask(), state.READS),
        ("state.Get", (f"{_OLD}.states.Get",), state.GetProperties, state.GetTask(), state.READS),
        (
            "state.Delete",
            (f"{_OLD}.states.Delete",),
            state.DeleteProperties,
            state.DeleteTask(),
            state.READS,
        ),
        ("namespace.UploadFiles", (), UploadFilesProperties, UploadFilesTask(), ()),
        ("namespace.DownloadFiles", (), DownloadFilesProperties, DownloadFilesTask(), ()),
        ("namespace.DeleteFiles", (), DeleteFilesProperties, DeleteFilesTask(), ()),
        ("namespace.PurgeFiles", (), PurgeFilesProperties, PurgeFilesTask(), ()),
    )
]
_HTTP = [
    Runnable(
        f"{_CORE}.http.{name}",
        (f"io.kestra.plugin.fs.http.{name}",),
        properties,
        task,
    )
    for name, properties, task in (
        ("Request", RequestProperties, RequestTask()),
        ("Download", DownloadProperties, DownloadTask()),
        ("SseRequest", SseProperties, SseTask()),
    )
]
_FOR_EACH_ITEM = f"{_CORE}.flow.ForEachItem"
_STEPS = [
    Runnable(f"{_FOR_EACH_ITEM}${SPLIT}", (), SplitItemsProperties, SplitItemsTask(), hidden=True),
    Runnable(
        f"{_FOR_EACH_ITEM}${MERGE}",
        (),
        MergeOutputsProperties,
        MergeOutputsTask(),
        reads=(("merging",),),
        hidden=True,
    ),
]
_RUNNABLES = [
    *_INSTANT,
    Runnable(f"{_CORE}.log.Fetch", (f"{_OLD}.log.Fetch",), FetchProperties, FetchTask()),
    Runnable(f"{_CORE}.log.PurgeLogs", (), PurgeLogsProperties, PurgeLogsTask()),
    Runnable(
        f"{_CORE}.execution.PurgeExecutions",
        (f"{_OLD}.storages.Purge", f"{_CORE}.storage.Purge"),
        PurgeExecutionsProperties,
        PurgeExecutionsTask(),
    ),
    Runnable(
        f"{_CORE}.execution.Count",
        (f"{_CORE}.execution.Counts", f"{_OLD}.executions.Counts"),
        CountProperties,
        CountTask(),
    ),
    Runnable(
        f"{_CORE}.trigger.Toggle", (f"{_OLD}.trigger.Toggle",), ToggleProperties, ToggleTask()
    ),
    *_HTTP,
    *_STORAGE,
    *_SHARED,
    Runnable(f"{_CORE}.flow.Sleep", ("sleep",), SleepProperties, SleepTask()),
    *_SCRIPT_TYPES,
    *_STEPS,
    Runnable(
        TEMPLATED,
        (f"{_OLD}.templating.TemplatedTask",),
        TemplatedProperties,
        TemplatedTask(),
    ),
    Runnable(EVALUATION, (), EvaluateProperties, EvaluateTask(), hidden=True),
]
_DIRECTORY = Runnable(
    f"{_CORE}.flow.WorkingDirectory",
    (f"{_OLD}.flows.WorkingDirectory", f"{_OLD}.flows.Worker", "workingDirectory"),
    WorkingDirectoryProperties,
    WorkingDirectoryTask(),
)
_FLOWABLES = [
    TaskType(
        f"{_CORE}.{part}.{name}",
        kind,
        properties,
        (f"{_OLD}.{part}s.{name}", name[0].lower() + name[1:], *aliases),
    )
    for part, name, kind, properties, aliases in (
        ("flow", "Sequential", Kind.SEQUENTIAL, FlowableProperties, ()),
        ("flow", "Parallel", Kind.PARALLEL, FlowableProperties, ()),
        ("flow", "AllowFailure", Kind.ALLOW_FAILURE, FlowableProperties, ()),
        ("flow", "If", Kind.IF, IfProperties, ()),
        ("flow", "Switch", Kind.SWITCH, SwitchProperties, ()),
        ("flow", "ForEach", Kind.FOR_EACH, ForEachProperties, ()),
        ("flow", "EachSequential", Kind.EACH_SEQUENTIAL, EachProperties, ()),
        ("flow", "EachParallel", Kind.EACH_PARALLEL, EachProperties, ()),
        ("flow", "Dag", Kind.ORDERED, FlowableProperties, ()),
        ("flow", "LoopUntil", Kind.LOOP_UNTIL, LoopUntilProperties, (f"{_CORE}.flow.WaitFor",)),
        ("flow", "Pause", Kind.PAUSE, PauseProperties, ()),
        ("flow", "Subflow", Kind.SUBFLOW, SubflowProperties, (f"{_OLD}.flows.Flow",)),
        ("flow", "ForEachItem", Kind.FOR_ITEMS, ForEachItemProperties, ()),
        ("flow", "Template", Kind.TEMPLATE, TemplateProperties, ()),
        ("execution", "Resume", Kind.RESUME, ResumeProperties, ()),
        ("execution", "Exit", Kind.EXIT, ExitProperties, ()),
        ("execution", "Labels", Kind.LABELS, LabelsProperties, ()),
        ("execution", "SetVariables", Kind.SET_VARIABLES, SetVariablesProperties, ()),
        ("execution", "UnsetVariables", Kind.UNSET_VARIABLES, UnsetVariablesProperties, ()),
    )
]


def _type_of(it: Runnable, kind: Kind) -> TaskType:
    return TaskType(it.name, kind, it.properties, it.aliases, it.reads, it.hidden)


REGISTRY = Registry(
    tasks=index(
        [
            *(_type_of(it, Kind.RUNNABLE) for it in _RUNNABLES),
            _type_of(_DIRECTORY, Kind.WORKING_DIRECTORY),
            *_FLOWABLES,
            TaskType(f"{_FOR_EACH_ITEM}${BATCHES}", Kind.BATCHES, BatchesProperties, hidden=True),
        ]
    ),
    triggers=index(TRIGGERS),
    conditions=index(CONDITIONS),
    missing=frozenset({f"{_CORE}.execution.Kill"}),
    of_others={
        f"{_CORE}.flow.Loop": f"{_CORE}.flow.ForEach",
        f"{_CORE}.flow.Approval": f"{_CORE}.flow.Pause",
        f"{_OLD}.scripts.Bash": f"{_SCRIPTS}.shell.Commands",
        f"{_OLD}.scripts.Python": f"{_SCRIPTS}.python.Script",
    },
)
"""What language and machine are given."""

_BY_NAME: dict[str, Runnable] = index([*_RUNNABLES, _DIRECTORY])


def runnable_of(task: Task) -> Runnable:
    """What runs a task. Raises NotFound for one of a type that workers don't run."""
    return _find(task.type)


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


def _find(type_name: str) -> Runnable:
    try:
        return _BY_NAME[type_name]
    except KeyError:
        known = ", ".join(sorted(it.name for it in _RUNNABLES))
        raise NotFound(
            f"no worker of this build runs the task type {type_name!r}; it runs {known}"
        ) from None
