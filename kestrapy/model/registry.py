"""What ``language`` and ``machine`` need to know of task and trigger types; ``plugins`` fills it
in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic import BaseModel

EVALUATION = "io.kestrapy.core.Evaluate"
"""The type of a job that evaluates expressions for the executor; no flow may name it."""
Path = tuple[str, ...]
"""A variable's name, and those of what is in it, such as ("taskrun", "value")."""


class Kind(Enum):
    """Who moves a task run of this type forward."""

    RUNNABLE = "runnable"
    """A worker runs it."""
    SEQUENTIAL = "sequential"
    """The executor runs its children one after the other."""
    PARALLEL = "parallel"
    """The executor runs its children at once, or ``concurrent`` of them."""
    ALLOW_FAILURE = "allow failure"
    """Like SEQUENTIAL, but that a failure of its children is no more than a warning."""
    IF = "if"
    """One of two lists of children, by a condition."""
    SWITCH = "switch"
    """One of several lists of children, by a value."""
    FOR_EACH = "for each"
    """Its children for each of some values: ``concurrent`` iterations at once, each in sequence."""
    EACH_SEQUENTIAL = "each sequential"
    """Its children for each of some values, one after the other."""
    EACH_PARALLEL = "each parallel"
    """Its children for each of some values, all at once, or ``concurrent`` of them."""
    ORDERED = "ordered"
    """Each child once those have ended that it depends on."""
    LOOP_UNTIL = "loop until"
    """Its children again and again, until a condition holds."""
    PAUSE = "pause"
    """Waits until it is resumed, or its time is over."""
    RESUME = "resume"
    """Lets a paused execution go on, and waits for the answer of whoever moves that one."""
    EXIT = "exit"
    """Ends the execution in a state; the executor does this, and what follows, at once."""
    LABELS = "labels"
    """Sets labels of the execution."""
    SUBFLOW = "subflow"
    """Starts an execution of another flow, and waits for it."""
    FOR_ITEMS = "for items"
    """Like SEQUENTIAL; its children, which no flow names, split items, run the batches and merge
    what comes of them."""
    BATCHES = "batches"
    """Starts an execution of another flow for each batch of items, and waits for all of them."""
    TEMPLATE = "template"
    """Fails: there are no templates that it could run."""
    SET_VARIABLES = "set variables"
    UNSET_VARIABLES = "unset variables"
    WORKING_DIRECTORY = "working directory"
    """A worker runs its children as one job, in one folder; the executor its handlers."""

    @property
    def is_job(self) -> bool:
        """Whether a worker runs it."""
        return self in (Kind.RUNNABLE, Kind.WORKING_DIRECTORY)

    @property
    def has_children(self) -> bool:
        return self not in _CHILDLESS

    @property
    def lasts(self) -> bool:
        """Whether a run of it takes time, so that a timeout has a meaning."""
        return self not in _AT_ONCE

    @property
    def has_values(self) -> bool:
        """Whether its children run once for each of some values."""
        return self in (Kind.FOR_EACH, Kind.EACH_SEQUENTIAL, Kind.EACH_PARALLEL)


_CHILDLESS = (
    *(Kind.RUNNABLE, Kind.RESUME, Kind.EXIT, Kind.LABELS, Kind.SET_VARIABLES, Kind.UNSET_VARIABLES),
    *(Kind.SUBFLOW, Kind.BATCHES, Kind.TEMPLATE),
)
_AT_ONCE = (*(Kind.EXIT, Kind.LABELS, Kind.SET_VARIABLES, Kind.UNSET_VARIABLES, Kind.TEMPLATE),)
CALLS = (Kind.SUBFLOW, Kind.BATCHES)
"""Kinds whose task runs have executions as children."""


@dataclass(frozen=True)
class TaskType:
    """A task type. name: canonical. properties: the model of what it adds to the core
    properties. reads: paths of variables that it reads beside those that its properties name.
    hidden: no flow may name it; it is a step of another type. runs: whether this build runs it.
    """

    name: str
    kind: Kind
    properties: type[BaseModel]
    aliases: tuple[str, ...] = ()
    reads: tuple[Path, ...] = ()
    hidden: bool = False
    runs: bool = True


@dataclass(frozen=True)
class TriggerType:
    """A trigger type. properties: the model of what it adds to the core properties.

    is_polling: a worker evaluates it, each interval. runs: whether this build makes executions by
    it. waiting: properties, as in YAML, that can be read and that nothing acts upon yet. without:
    condition types that it can't have.
    """

    name: str
    properties: type[BaseModel]
    aliases: tuple[str, ...] = ()
    is_polling: bool = False
    runs: bool = True
    waiting: frozenset[str] = frozenset()
    without: tuple[str, ...] = ()


class Holds(Enum):
    """Whether a condition has others in it, under ``conditions``."""

    NONE = "none"
    LIST = "list"
    MAP = "map"
    """Each has a name."""


@dataclass(frozen=True)
class ConditionType:
    """A type of conditions. properties: the model of what it adds. of_executions: whether the
    executor can ask it of an execution, as listeners do.
    """

    name: str
    properties: type[BaseModel]
    aliases: tuple[str, ...] = ()
    holds: Holds = Holds.NONE
    of_executions: bool = False


@dataclass(frozen=True)
class Registry:
    """All types by canonical name and alias. missing: Kestra's own task types that this build
    does not have. of_others: types of an older or newer Kestra, and which one does the same.
    """

    tasks: Mapping[str, TaskType] = field(default_factory=dict)
    triggers: Mapping[str, TriggerType] = field(default_factory=dict)
    conditions: Mapping[str, ConditionType] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    of_others: Mapping[str, str] = field(default_factory=dict)


def index(types: list[Any]) -> dict[str, Any]:
    """By name and alias. Raises ValueError when a name is given twice."""
    found: dict[str, Any] = {}
    for it in types:
        for name in (it.name, *it.aliases):
            if name in found:
                raise ValueError(f"type {name} is registered twice")
            found[name] = it
    return found
