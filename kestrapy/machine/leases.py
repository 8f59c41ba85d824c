"""The fold of ``workers``: one decision, for all shards, on when a worker is lost.

A worker's heartbeats stand in one partition. Its watcher suspects it by a command in that
partition, which names the last heartbeat that was read; the suspicion is void where a later
heartbeat stands before it. So a stalled reader, or a zombie, can only be wrong in vain.
"""

from __future__ import annotations

from kestrapy.machine.commands import (
    Command,
    Heartbeat,
    Held,
    Suspect,
    WorkerGone,
    WorkerLost,
)
from kestrapy.machine.entities import Entity, EntityMap
from kestrapy.machine.execution import Step

WORKER = "worker"


class Watched(Entity, frozen=True):
    """A worker whose lease is watched. sequence: of its last heartbeat, 0 where none was read."""

    sequence: int


class Dead(Entity, frozen=True):
    """A worker that was lost, until ``until`` (log time, epoch ms): nothing revives its id."""

    until: int


ENTITIES = (Watched, Dead)
DEAD_KEPT = 24 * 3600 * 1000


def watched_key(worker_id: str) -> str:
    return "b:" + worker_id


def step(state: EntityMap, command: Command, at: int) -> Step:
    match command:
        case Heartbeat(kind="worker", worker_id=worker, sequence=sequence):
            return _beat(state, worker, sequence)
        case Held(worker_id=worker):
            return _beat(state, worker, 0)
        case Suspect(worker_id=worker, sequence=sequence):
            known = state.get(watched_key(worker))
            if isinstance(known, Watched) and known.sequence <= sequence:
                return _lost(worker, at)
        case WorkerGone(worker_id=worker):
            if not isinstance(state.get(watched_key(worker)), Dead):
                return _lost(worker, at)
    return Step({}, [])


def _beat(state: EntityMap, worker: str, sequence: int) -> Step:
    known = state.get(watched_key(worker))
    if isinstance(known, Dead) or (isinstance(known, Watched) and known.sequence >= sequence):
        return Step({}, [])
    return Step({watched_key(worker): Watched(sequence)}, [])


def _lost(worker: str, at: int) -> Step:
    return Step({watched_key(worker): Dead(at + DEAD_KEPT)}, [WorkerLost(worker)])
