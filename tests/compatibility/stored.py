"""Histories of commands in a file, and what folding them puts out.

A shard's log outlives the build that wrote it: whoever folds it later must come to the same states
and put out the same. A history is kept as JSON, with the digest that the build had that recorded
it.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from kestrapy.machine import commands
from kestrapy.machine.folds import (
    ExecutionFold,
    admission_fold,
    encode_entity,
    intake_fold,
    leases_fold,
    trigger_fold,
)
from kestrapy.machine.stage import Arrival, Fold, Position, Stage
from tests.machine_driver import Document, plan_of, rules_of
from tests.random_histories import output_bytes

SHARDS = 4
FOLDER = Path(__file__).parent
KINDS = {kind.__name__: kind for kind in (*commands.PUBLIC, *commands.INTERNAL)}


class StoredArrival(msgspec.Struct, omit_defaults=True):
    """command: its fields, as JSON has them."""

    kind: str
    command: Any
    at: int
    offset: int
    source: commands.Source | None = None
    redrives: int = 0
    traceparent: str = ""


class StoredHistory(msgspec.Struct):
    """stage: the fold's name. flows: their revisions, from 1 on. digest: of states and outputs."""

    stage: str
    flows: list[Document]
    arrivals: list[StoredArrival]
    digest: str = ""


def store(arrival: Arrival) -> StoredArrival:
    command, *rest = arrival
    return StoredArrival(type(command).__name__, msgspec.to_builtins(command), *rest)


def restore(stored: StoredArrival) -> Arrival:
    command = msgspec.convert(stored.command, KINDS[stored.kind])
    place = (stored.at, stored.offset, stored.source, stored.redrives, stored.traceparent)
    return Arrival(command, *place)


def fold_of(history: StoredHistory) -> Fold:
    plans = [plan_of(it, number) for number, it in enumerate(history.flows, 1)]
    folds: list[Fold] = [intake_fold(3), admission_fold(), leases_fold(), trigger_fold(SHARDS)]
    folds.append(ExecutionFold(rules_of(*plans)))
    return {it.name: it for it in folds}[history.stage]


def digest_of(history: StoredHistory) -> str:
    """Of what goes out for each command, and of the state after the last."""
    stage = Stage(fold_of(history), {}, Position())
    hasher = blake2b(digest_size=16)
    for stored in history.arrivals:
        hasher.update(output_bytes(stage.fold(restore(stored)).outputs))
    for key in sorted(stage.state):
        hasher.update(key.encode() + encode_entity(stage.state[key]))
    hasher.update(msgspec.msgpack.encode(stage.position, order="sorted"))
    return hasher.hexdigest()


def path_of(version: int) -> Path:
    """The histories that builds of this logic version recorded."""
    return FOLDER / f"histories_v{version}.json"


def read(version: int) -> list[StoredHistory]:
    return msgspec.json.decode(path_of(version).read_bytes(), type=list[StoredHistory])
