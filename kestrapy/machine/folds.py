"""The folds of each kind of server, as ``Stage`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from kestrapy.machine import (
    admission,
    entities,
    execution,
    intake,
    leases,
    restored,
    timeouts,
    triggers,
)
from kestrapy.machine.entities import EntityMap
from kestrapy.machine.execution import Step
from kestrapy.machine.stage import Arrival
from kestrapy.machine.turn import Rules

ENTITIES = (
    *(*entities.ENTITIES, *restored.ENTITIES, *timeouts.ENTITIES),
    *(*intake.ENTITIES, *admission.ENTITIES, *leases.ENTITIES, *triggers.ENTITIES),
)


@dataclass(frozen=True)
class ExecutionFold:
    """``executions``. rules: what it may look up."""

    rules: Rules
    name: str = "executions"

    def step(self, state: EntityMap, arrival: Arrival, at: int, version: int) -> Step:
        command, offset = arrival.command, arrival.offset
        return execution.step(state, command, at, offset, self.rules, version)

    def quarantine(
        self, state: EntityMap, arrival: Arrival, at: int, version: int, reason: str
    ) -> Step:
        command, offset = arrival.command, arrival.offset
        return execution.quarantine(state, command, reason, at, offset, self.rules, version)


@dataclass(frozen=True)
class SimpleFold:
    """A fold none of whose commands belongs to an execution: a poison command just has no
    effect.
    """

    name: str
    rules: Callable[[EntityMap, Arrival, int], Step]

    def step(self, state: EntityMap, arrival: Arrival, at: int, version: int) -> Step:
        return self.rules(state, arrival, at)

    def quarantine(
        self, state: EntityMap, arrival: Arrival, at: int, version: int, reason: str
    ) -> Step:
        return Step({}, [])


def intake_fold(shard: int) -> SimpleFold:
    """``requests`` of a shard."""
    return SimpleFold("requests", lambda state, it, at: intake.step(state, it, at, shard))


def admission_fold() -> SimpleFold:
    """``admission``."""
    return SimpleFold("admission", lambda state, it, at: admission.step(state, it.command, at))


def leases_fold() -> SimpleFold:
    """``workers``."""
    return SimpleFold("workers", lambda state, it, at: leases.step(state, it.command, at))


def trigger_fold(shards: int) -> SimpleFold:
    """``triggers``. shards: how many partitions ``requests`` has."""
    return SimpleFold(
        "triggers",
        lambda state, it, at: triggers.step(state, it.command, at, it.offset, shards),
    )


_AnyEntity: Any = None
for _kind in ENTITIES:
    _AnyEntity = _kind if _AnyEntity is None else _AnyEntity | _kind

encode_entity = msgspec.msgpack.Encoder().encode
decode_entity = msgspec.msgpack.Decoder(_AnyEntity).decode
"""An entity from what ``encode_entity`` made. Raises msgspec.MsgspecError."""
