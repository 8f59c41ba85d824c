"""Stand-ins for task types that kestrapy does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict

from kestrapy.errors import UserError
from kestrapy.language.expression import render_value
from kestrapy.machine.outputs import Job
from kestrapy.model.flow import Task
from kestrapy.model.registry import Kind, Registry, TaskType, TriggerType, index
from kestrapy.model.state import State
from kestrapy.ports.tasks import TaskFailed, TaskOutcome


@dataclass(frozen=True)
class StandIn:
    """A task type of a test. run: gets the rendered properties and gives the outputs; it raises
    TaskFailed for a failure. aliases: other names of the type.
    """

    name: str
    run: Callable[[dict[str, Any]], Mapping[str, Any]]
    aliases: Sequence[str] = ()


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


def outcome_of_stand_in(stand_in: StandIn, job: Job, variables: Mapping[str, Any]) -> TaskOutcome:
    """variables: beside the job's own."""
    task = msgspec.json.decode(job.task, type=Task)
    try:
        known = {**variables, **msgspec.json.decode(job.variables)}
        return TaskOutcome(outputs=dict(stand_in.run(render_value(task.properties, known))))
    except TaskFailed as error:
        return TaskOutcome(State.FAILED, error.outputs, str(error))
    except UserError as error:
        return TaskOutcome(State.FAILED, error=str(error))
