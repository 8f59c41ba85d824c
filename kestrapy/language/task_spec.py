"""A task that a text describes by itself: what TemplatedTask is given, once it is rendered."""

from __future__ import annotations

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.fields import Fields
from kestrapy.language.flow_tasks import Reading, read_task
from kestrapy.language.problems import Problems, shown
from kestrapy.language.worker_groups import Declared
from kestrapy.language.yaml_source import parse
from kestrapy.model.flow import Task
from kestrapy.model.registry import Kind, Registry

OF_THE_TASK_AROUND = (
    *("disabled", "timeout", "retry", "runIf", "allowFailure", "allowWarning"),
    *("workerGroup", "workerSelector", "onWorkerLost", "logLevel", "logToFile", "taskCache"),
)
"""Core properties that have no effect here: the run is that of the TemplatedTask."""


def parse_task(source: str, registry: Registry, task_id: str) -> Task:
    """The task of a YAML map, of a type that workers run. task_id: unless it has one.

    Raises FlowRefused with every problem found.
    """
    document = parse(source)
    if not isinstance(document.data, dict):
        message = f"a task is a map with a type, got {shown(document.data)}"
        raise FlowRefused([Problem(message, "", *document.place(()))])
    problems = Problems(document)
    fields = Fields({"id": task_id, **document.data}, (), problems)
    for name in OF_THE_TASK_AROUND:
        if fields.has(name):
            fields.add(name, f"`{name}` has no effect here: set it on the TemplatedTask")
    task = read_task(fields, Reading(registry, problems, Declared(None, "")))
    kind = registry.tasks.get(task.type)
    if kind is not None and (kind.kind is not Kind.RUNNABLE or kind.name == TEMPLATED):
        fields.add("type", f"a TemplatedTask can't run a {kind.name.rpartition('.')[2]}")
    problems.check()
    return task


TEMPLATED = "io.kestra.plugin.core.templating.TemplatedTask"
