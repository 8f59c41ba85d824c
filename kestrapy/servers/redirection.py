"""Jobs that wait at busy workers while others are free.

A partition ties its jobs to one worker. Where one waits there and another worker says that it would
take more, the job is published once more under the same epoch, to a partition which that one reads:
the first claim is granted, the other one refused. So no slot idles for want of a rebalance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from kestrapy.machine.commands import PublishAgain
from kestrapy.machine.entities import TaskRun
from kestrapy.machine.task_runs import MOST_COPIES, REPUBLISH_AFTER
from kestrapy.servers.shard import Shard
from kestrapy.servers.worker_board import LiveServer

LOOK_EVERY = 20
STUCK = 60
"""ms after which a published job counts as waiting for a busy worker: a claim takes a few. Twice as
long after each copy.
"""
SENT_FOR = 300
"""ms for which what a worker was sent counts against what it said to be free for."""

Published = Mapping[str, Mapping[str, TaskRun]]
"""By group and key: task runs whose jobs stand in the topic, unclaimed."""


class Redirection:
    """One shard's. Times: monotonic ms, but for the log's."""

    def __init__(self) -> None:
        self._due = 0
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
        self._sent = {
            worker: fresh
            for worker, sent in self._sent.items()
            if (fresh := [at for at in sent if now - at < SENT_FOR])
        }
        for group, runs in published.items():
            stuck = [run for run in runs.values() if _is_stuck(run, log_time)]
            if stuck:
                places = self._places(workers(group))
                for run, (worker, partition) in zip(stuck, places, strict=False):
                    self._sent.setdefault(worker, []).append(now)
                    shard.command(PublishAgain(run.id, run.due, partition))

    def _places(self, servers: Sequence[LiveServer]) -> Iterator[tuple[str, int]]:
        """Workers and partitions, each as often as it has room: first one of each, then again."""
        rooms = [
            (it.beat, it.beat.free - len(self._sent.get(it.beat.worker_id, ())))
            for it in servers
            if it.beat.state == "RUNNING" and it.beat.partition >= 0
        ]
        for turn in range(max((room for _, room in rooms), default=0)):
            yield from ((beat.worker_id, beat.partition) for beat, room in rooms if turn < room)


def _is_stuck(run: TaskRun, log_time: int) -> bool:
    waited = log_time - (run.due - REPUBLISH_AFTER)
    return run.copies < MOST_COPIES and waited >= STUCK << run.copies
