"""Who lives, and what waits: the last seconds of the topic ``workers``, read into memory.

Heartbeats are judged by when they came here, by this process's own clock. So a board that did not
listen for a while knows nobody's silence: it says by ``is_settled`` when it does again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kestrapy.machine.commands import GroupReport, Heartbeat, WorkerGone
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Log, Partition, Reader, Record
from kestrapy.servers.topic_view import ASK_TIMEOUT, TopicView
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import WORKERS, Catalogue

REPORT_KEPT = 15_000
"""ms for which a GroupReport counts; its shard's owner repeats it sooner."""
SETTLED_AFTER = 3
"""Heartbeat intervals of listening, after which a silent group is a dead one."""


@dataclass(frozen=True)
class LiveServer:
    """A server that was heard. beat: its last heartbeat. last_seen: when the log took it, epoch
    ms.
    """

    beat: Heartbeat
    last_seen: int


@dataclass(frozen=True)
class GroupLoad:
    """A worker group now. workers: live ones that take jobs; slots: of these.

    waiting: jobs without a worker. running: jobs that workers own. oldest_at: since when the oldest
    waits, epoch ms, 0 for none. by_namespace: of those that wait.
    """

    group: str
    workers: int = 0
    slots: int = 0
    waiting: int = 0
    running: int = 0
    oldest_at: int = 0
    by_namespace: Mapping[str, int] = field(default_factory=dict)


class WorkerBoard(TopicView):
    """heartbeat_interval, lost_after: ms, of the workers' settings.

    It begins some seconds back, so that what was reported just now is known at once.
    """

    def __init__(
        self,
        log: Log,
        codec: Codec,
        catalogue: Catalogue,
        clock: Clock,
        heartbeat_interval: int,
        lost_after: int,
    ):
        super().__init__(log, codec, catalogue.workers, WORKERS.records)
        self._clock = clock
        self._settle = SETTLED_AFTER * heartbeat_interval
        self._lost_after = lost_after
        self._ends: dict[Partition, int] = {}
        self._since: int | None = None
        self._polled = clock.monotonic()
        self._heard: dict[str, tuple[int, LiveServer]] = {}
        self._gone: dict[str, int] = {}
        self._reports: dict[tuple[str, int], tuple[int, GroupReport]] = {}

    @property
    def is_settled(self) -> bool:
        """Whether it has listened, without a break, for long enough to call a group dead."""
        now = self._clock.monotonic()
        since, silent = self._since, now - self._polled
        return since is not None and now - since >= self._settle and silent <= self._settle

    @property
    def is_caught_up(self) -> bool:
        """Whether all is read that stood in the log when it began to listen."""
        return self._since is not None

    def workers(self, group: str | None = None) -> list[LiveServer]:
        """Live workers in whatever state, by id; of one group, or of all."""
        found = self.servers("worker")
        return [it for it in found if group is None or it.beat.worker_group == group]

    def worker(self, worker_id: str) -> LiveServer | None:
        return next((it for it in self.workers() if it.beat.worker_id == worker_id), None)

    def executors(self) -> list[LiveServer]:
        """Live executors, by id; their heartbeats say which logic versions they know."""
        return self.servers("executor")

    def group(self, key: str) -> GroupLoad:
        """All zero for a group of which nothing was heard."""
        return self.groups().get(key) or GroupLoad(key)

    def groups(self) -> dict[str, GroupLoad]:
        """All groups of which something was heard, by key."""
        beats = [it.beat for it in self.workers()]
        taking = [it for it in beats if it.state == "RUNNING"]
        reports = self._fresh_reports()
        keys = {it.worker_group for it in beats} | {it.worker_group for it in reports}
        return {
            key: _load(
                key,
                [it for it in taking if it.worker_group == key],
                [it for it in reports if it.worker_group == key],
            )
            for key in sorted(keys)
        }

    def poll(self, timeout: float = 0.0) -> int:
        """As in ``TopicView``. After a break too long, it begins anew."""
        if self._clock.monotonic() - self._polled > self._settle:
            self._drop_reader()
        count = super().poll(timeout)
        self._polled = self._clock.monotonic()
        self._note_caught_up()
        self._forget()
        return count

    def _first(self, reader: Reader, partition: Partition) -> int:
        self._ends[partition] = reader.end_offset(partition, ASK_TIMEOUT)
        back = self._clock.wall() - REPORT_KEPT
        return min(reader.offset_at(partition, back, ASK_TIMEOUT), self._ends[partition])

    def _drop_reader(self) -> None:
        super()._drop_reader()
        self._since = None

    def _note_caught_up(self) -> None:
        reader = self._reader
        if self._since is None and reader is not None:
            ends = self._ends.items()
            if all(reader.position(partition) >= end for partition, end in ends):
                self._since = self._polled

    def _take(self, content: Any, record: Record) -> None:
        now = self._clock.monotonic()
        match content:
            case Heartbeat(worker_id=server) if server not in self._gone:
                self._heard[server] = now, LiveServer(content, record.timestamp)
            case WorkerGone(worker_id=server):
                self._heard.pop(server, None)
                self._gone[server] = now
            case GroupReport(worker_group=group, shard=shard):
                self._reports[group, shard] = now, content

    def _forget(self) -> None:
        """A gone worker's id is kept until no heartbeat of its can be under way any more."""
        now = self._clock.monotonic()
        with self._changed:
            for kept in (self._heard, self._gone):
                _drop(kept, now - self._lost_after)
            _drop(self._reports, now - REPORT_KEPT)

    def servers(self, kind: str) -> list[LiveServer]:
        oldest = self._clock.monotonic() - self._lost_after
        with self._changed:
            found = [it for at, it in self._heard.values() if at > oldest and it.beat.kind == kind]
        return sorted(found, key=lambda it: it.beat.worker_id)

    def _fresh_reports(self) -> list[GroupReport]:
        oldest = self._clock.monotonic() - REPORT_KEPT
        with self._changed:
            return [it for at, it in self._reports.values() if at > oldest]


def _drop(kept: dict[Any, Any], oldest: int) -> None:
    """Forget what came at ``oldest`` or before."""
    for key, value in list(kept.items()):
        if (value if isinstance(value, int) else value[0]) <= oldest:
            del kept[key]


def _load(key: str, beats: Iterable[Heartbeat], reports: Iterable[GroupReport]) -> GroupLoad:
    beats, reports = list(beats), list(reports)
    by_namespace: dict[str, int] = {}
    for report in reports:
        for namespace, count in report.by_namespace.items():
            by_namespace[namespace] = by_namespace.get(namespace, 0) + count
    return GroupLoad(
        group=key,
        workers=len(beats),
        slots=sum(it.slots for it in beats),
        waiting=sum(it.waiting for it in reports),
        running=sum(it.running for it in reports),
        oldest_at=min((it.oldest_at for it in reports if it.oldest_at), default=0),
        by_namespace=by_namespace,
    )
