"""A stage: one fold over one partition, with all that it keeps between commands.

It is the only writer of its state: ``fold`` takes one command, applies what the pure step changed,
and gives what goes out. Duplicates of what other folds sent are dropped here, by their source; time
never goes back here; and a step that raises harms its own execution only.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

import msgspec

from kestrapy.errors import RecordRefused, UnknownLogicVersion
from kestrapy.machine.commands import (
    Command,
    ExecutionDue,
    LogicVersion,
    Source,
    SweepDue,
    TimerDue,
    TriggerDue,
)
from kestrapy.machine.entities import Entity, EntityMap
from kestrapy.machine.execution import Step
from kestrapy.machine.outputs import Output
from kestrapy.machine.turn import ContentMissing

LOGIC_VERSION = 2
"""The rules of this build: of the machine, and of the libraries that decide in it."""
KNOWN_LOGIC_VERSIONS = (2,)


class Arrival(NamedTuple):
    """A command as it stands in its partition. at: append time, epoch ms."""

    command: Command
    at: int
    offset: int
    source: Source | None = None
    redrives: int = 0
    traceparent: str = ""


class Fold(Protocol):
    """The rules of one kind of stage; pure."""

    @property
    def name(self) -> str:
        """Of the stage, as sources and checkpoints name it."""

    def step(self, state: EntityMap, arrival: Arrival, at: int, version: int) -> Step:
        """version: of the rules that are in force in the partition."""

    def quarantine(
        self, state: EntityMap, arrival: Arrival, at: int, version: int, reason: str
    ) -> Step:
        """What follows a step that raised."""


class Position(msgspec.Struct, array_like=True):
    """How far a stage has come. offset: the next one to fold. at: the last command's time, epoch
    ms. version: of the rules; an empty log begins with the lowest that a build knows, so that one
    that is a version older begins with the same.

    sources: by "stage/partition" the highest (offset, index) that was folded.
    """

    offset: int = 0
    at: int = 0
    version: int = KNOWN_LOGIC_VERSIONS[0]
    sources: dict[str, tuple[int, int]] = {}


class Folded(NamedTuple):
    """changes: by key, None where an entity is gone. poison: why the command could not be folded,
    or None.

    traces: of each output the traceparent of its execution, or none at all.
    """

    changes: dict[str, Entity | None]
    outputs: list[Output]
    poison: str | None = None
    traces: Sequence[str] = ()


class Stage:
    """A fold, its state, and its position. Not thread-safe."""

    def __init__(self, fold: Fold, state: dict[str, Entity], position: Position):
        """Raises UnknownLogicVersion where the log was folded by rules that this build does not
        have.
        """
        _require_known(position.version)
        self.fold_rules = fold
        self.state = state
        self.position = position
        self._expiring = [(until, key) for key, it in state.items() if (until := _until(it))]
        heapify(self._expiring)

    @property
    def name(self) -> str:
        return self.fold_rules.name

    def fold(self, arrival: Arrival) -> Folded:
        """Fold the command at ``position.offset`` or later (compaction and transactions leave
        gaps).

        Raises ContentMissing, having changed nothing, where a flow's revision has not been read
        yet; raises UnknownLogicVersion where the command brings rules into force that this build
        does not have.
        """
        position = self.position
        at = max(arrival.at, position.at)
        if arrival.source is not None and not self._is_new(arrival.source):
            self._pass(arrival, at)
            return Folded({}, [])
        if isinstance(arrival.command, LogicVersion):
            _require_known(arrival.command.version)
            position.version = max(position.version, arrival.command.version)
        folded = self._step(arrival, at)
        passed = max(at, _due_of(arrival.command)) if folded.changes else at
        self._expire(passed, folded.changes)
        self._apply(folded.changes)
        self._pass(arrival, passed)
        return folded

    def _step(self, arrival: Arrival, at: int) -> Folded:
        try:
            version = self.position.version
            step = self.fold_rules.step(self.state, arrival, at, version)
            return Folded(dict(step.changes), step.outputs, None, step.traces)
        except ContentMissing:
            raise
        except RecordRefused as refusal:
            return Folded({}, [], str(refusal))
        except Exception as error:  # a bug: it must not stop the partition
            return self._quarantine(arrival, at, f"{type(error).__name__}: {error}")

    def _quarantine(self, arrival: Arrival, at: int, reason: str) -> Folded:
        try:
            version = self.position.version
            step = self.fold_rules.quarantine(self.state, arrival, at, version, reason)
            return Folded(dict(step.changes), step.outputs, reason, step.traces)
        except ContentMissing:
            raise
        except Exception as error:  # such as a flow that this build refuses: the command is passed
            return Folded({}, [], f"{reason}; quarantine: {type(error).__name__}: {error}")

    def _is_new(self, source: Source) -> bool:
        key = f"{source.stage}/{source.partition}"
        return (source.offset, source.index) > self.position.sources.get(key, (-1, -1))

    def _pass(self, arrival: Arrival, at: int) -> None:
        source = arrival.source
        if source is not None:
            key = f"{source.stage}/{source.partition}"
            mark = (source.offset, source.index)
            self.position.sources[key] = max(mark, self.position.sources.get(key, mark))
        self.position.offset = arrival.offset + 1
        self.position.at = at

    def _expire(self, at: int, changes: dict[str, Entity | None]) -> None:
        """Drop what is kept until a time that has come: by log time, so that every owner does it
        here.
        """
        while self._expiring and self._expiring[0][0] <= at:
            until, key = heappop(self._expiring)
            entity = changes[key] if key in changes else self.state.get(key)
            if entity is not None and _until(entity) == until:
                changes[key] = None

    def _apply(self, changes: dict[str, Entity | None]) -> None:
        for key, entity in changes.items():
            if entity is None:
                self.state.pop(key, None)
                continue
            self.state[key] = entity
            until = _until(entity)
            if until:
                heappush(self._expiring, (until, key))


def _until(entity: Entity) -> int:
    """The log time at which an entity is forgotten, 0 for never."""
    until = getattr(entity, "until", 0)
    return until if isinstance(until, int) else 0


def _due_of(command: Command) -> int:
    """A timer's time counts as passed once it was obeyed, though its record may be older by the
    log's clock.
    """
    return command.due if isinstance(command, _TIMERS) else 0


_TIMERS = (TimerDue, ExecutionDue, SweepDue, TriggerDue)


def _require_known(version: int) -> None:
    if version not in KNOWN_LOGIC_VERSIONS:
        raise UnknownLogicVersion(version, KNOWN_LOGIC_VERSIONS)
