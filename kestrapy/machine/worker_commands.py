"""What is said in the topic ``workers``: heartbeats, and what leases are decided by."""

from __future__ import annotations

import msgspec

from kestrapy.machine.records import Internal, Public


class Heartbeat(Public, frozen=True):
    """A server lives. sequence rises by one each; 1 is a worker's first. kind: worker, executor,
    scheduler…

    workerGroup, slots, running, tags, state: of workers; state: RUNNING, DRAINED (claims no more)
    or TERMINATING. logicVersions: of executors, the rules that they know. started: epoch ms. free:
    how many more jobs the worker would take. partition: of its group's topic, one that it reads; -1
    where it reads none.
    """

    worker_id: str
    sequence: int
    kind: str = "worker"
    worker_group: str = ""
    slots: int = 0
    running: int = 0
    version: str = ""
    logic_versions: list[int] = msgspec.field(default_factory=list)
    tags: list[str] = msgspec.field(default_factory=list)
    state: str = "RUNNING"
    host: str = ""
    started: int = 0
    free: int = 0
    partition: int = -1


class GroupReport(Public, frozen=True):
    """What one shard's jobs of a worker group do; said by the shard's owner, again and again.

    waiting: jobs without a worker. running: those that workers own. oldestAt: since when the oldest
    waits, epoch ms, 0 for none. byNamespace: of those that wait.
    """

    shard: int
    worker_group: str
    waiting: int
    running: int
    oldest_at: int = 0
    by_namespace: dict[str, int] = msgspec.field(default_factory=dict)


class WorkerGone(Public, frozen=True):
    """Written when a worker's supervisor has ended all of its tasks: no need to wait for its
    lease.
    """

    worker_id: str


class Held(Internal, frozen=True):
    """A shard granted something to this worker for the first time: it has to be watched."""

    worker_id: str


class Probe(Internal, frozen=True):
    """An owner's own heartbeat in the partition that it watches: what it read before, nobody can
    take back.
    """

    owner: str
    sequence: int


class Suspect(Internal, frozen=True):
    """An owner read no heartbeat after ``sequence`` for lost-after. Void where a later one stands
    before it.
    """

    worker_id: str
    sequence: int
