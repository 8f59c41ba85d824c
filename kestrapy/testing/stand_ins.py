"""Stand-ins for task types that kestrapy does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from kestrapy.model.registry import Kind, Registry, TaskType, TriggerType, index
from kestrapy.plugins.registry import Runnable
from kestrapy.ports.tasks import TaskContext, TaskOutcome


@dataclass(frozen=True)
class StandIn:
    """A task type of a test. run: gets the rendered properties and gives the outputs; it raises
    TaskFailed for a failure. aliases: other names of the type. reads_files: whether it is also told
    the run's working directory, as ``workingDir``.
    """

    name: str
    run: Callable[[dict[str, Any]], Mapping[str, Any]]
    aliases: Sequence[str] = ()
    reads_files: bool = False


@dataclass(frozen=True)
class StandInTrigger:
    """A trigger type of a test: flows may name it, and it never fires."""

    name: str
    aliases: Sequence[str] = ()


class AnyProperties(BaseModel):
    """Whatever the flow says: who stands in for a type does not know its properties."""

    model_config = ConfigDict(extra="allow")


def with_stand_ins(registry: Registry, stand_ins: Sequence[StandIn | StandInTrigger]) -> Registry:
    """Raises ValueError for a type that is there already."""
    named = [(it, it.name, tuple(it.aliases)) for it in stand_ins]
    tasks = index(
        [
            TaskType(name, Kind.RUNNABLE, AnyProperties, aliases)
            for it, name, aliases in named
            if isinstance(it, StandIn)
        ]
    )
    fired = index(
        [
            TriggerType(name, AnyProperties, aliases)
            for it, name, aliases in named
            if isinstance(it, StandInTrigger)
        ]
    )
    for name in (*tasks, *fired):
        if name in registry.tasks or name in registry.triggers:
            raise ValueError(f"{name} is a type of kestrapy: it needs no stand-in")
    return replace(
        registry, tasks={**registry.tasks, **tasks}, triggers={**registry.triggers, **fired}
    )


class StandInTask:
    """Runs what stands in."""

    def __init__(self, stand_in: StandIn):
        self._run = stand_in.run
        self._reads_files = stand_in.reads_files

    def run(self, properties: AnyProperties, context: TaskContext) -> TaskOutcome:
        given = dict(properties.model_extra or {})
        if self._reads_files:
            given["workingDir"] = str(context.working_dir)
        return TaskOutcome(outputs=dict(self._run(given)))


def runnable_of_stand_in(stand_in: StandIn) -> Runnable:
    """As a worker runs it: at once."""
    return Runnable(
        stand_in.name, tuple(stand_in.aliases), AnyProperties, StandInTask(stand_in), instant=True
    )
