"""Jobs that wait at busy workers while others are free.

A partition ties its jobs to one worker. Where one waits there and another worker says that it would
take more, the job is published once more under the same epoch, to a partition which that one reads:
the first claim is granted, the other one refused. So no slot idles for want of a rebalance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from kestrapy.machine.commands import PublishAgain
from kestrapy.machine.entities import TaskRun
from kestrapy.machine.task_runs import REPUBLISH_AFTER
from kestrapy.servers.shard import Shard
from kestrapy.servers.worker_board import LiveServer

LOOK_EVERY = 20
STUCK = 60
"""ms after which a published job counts as waiting for a busy worker: a claim takes a few."""
MOVED_AT_MOST = 6
"""Times that a job is published elsewhere; it waits twice as long each time."""
FREE_FOR = 300
"""ms for which what a worker was sent counts against what it said to be free for."""

Published = Mapping[str, Mapping[str, int]]
"""By group and key of the task run: when it is to be published again, log time."""


class Redirection:
    """One shard's. Times: monotonic ms, but for the log's."""

    def __init__(self, topic: str):
        self._topic = topic
        self._due = 0
        self._moves: dict[str, int] = {}
        self._sent: dict[str, list[int]] = {}

    def turn(
        self,
        shard: Shard,
        published: Published,
        workers: Callable[[str], Sequence[LiveServer]],
        now: int,
    ) -> None:
        """workers: the live ones of a group."""
        if now < self._due:
            return
        self._due = now + LOOK_EVERY
        log_time = shard.log_time(now)
        for group, runs in published.items():
            stuck = list(self._stuck(runs, log_time))
            if not stuck:
                continue
            places = self._places(workers(group), now)
            for key, place in zip(stuck, places, strict=False):
                self._move(shard, key, *place, now)

    def forget(self, key: str) -> None:
        """It waits no more."""
        self._moves.pop(key, None)

    def _stuck(self, runs: Mapping[str, int], log_time: int) -> Iterator[str]:
        """In the order of their publication; those behind the first that is not have waited less,
        or have been moved.
        """
        for key, due in runs.items():
            waited = log_time - (due - REPUBLISH_AFTER)
            if waited < STUCK:
                continue
            count = self._moves.get(key, 0)
            if count < MOVED_AT_MOST and waited >= STUCK << count:
                yield key

    def _places(self, servers: Sequence[LiveServer], now: int) -> Iterator[tuple[str, int]]:
        """Of free workers, each as often as it has room: first one of each, then the next."""
        rooms = []
        for server in servers:
            beat = server.beat
            sent = [at for at in self._sent.get(beat.worker_id, ()) if now - at < FREE_FOR]
            self._sent[beat.worker_id] = sent
            if beat.state == "RUNNING" and beat.partition >= 0 and beat.free > len(sent):
                rooms.append((beat.worker_id, beat.partition, beat.free - len(sent)))
        for turn in range(max((room for *_, room in rooms), default=0)):
            yield from ((worker, place) for worker, place, room in rooms if turn < room)

    def _move(self, shard: Shard, key: str, worker: str, partition: int, now: int) -> None:
        run = shard.stage(self._topic).state.get(key)
        if isinstance(run, TaskRun):
            self._moves[key] = self._moves.get(key, 0) + 1
            self._sent[worker].append(now)
            shard.command(PublishAgain(run.id, run.due, partition))
