"""Jobs that wait at busy workers while others are free.

A partition ties its jobs to one worker. Where one waits there and another worker says that it would
take more, the job is published once more under the same epoch, to a partition which that one reads:
the first claim is granted, the other one refused. So no slot idles for want of a rebalance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from kestrapy.machine.commands import Heartbeat, PublishAgain
from kestrapy.machine.entities import TaskRun
from kestrapy.machine.task_runs import MOST_COPIES, REPUBLISH_AFTER
from kestrapy.servers.shard import Shard
from kestrapy.servers.worker_board import LiveServer

LOOK_EVERY = 20
STUCK = 60
"""ms after which a published job counts as waiting for a busy worker: a claim takes a few. Twice as
long after each copy.
"""

Published = Mapping[str, Mapping[str, TaskRun]]
"""By group and key: task runs whose jobs stand in the topic, unclaimed."""


class Redirection:
    """One process's, for all of its shards. Times: monotonic ms, but for the log's."""

    def __init__(self) -> None:
        self._due: dict[int, int] = {}
        self._sent: dict[str, dict[str, tuple[int, int]]] = {}

    def turn(
        self,
        shard: Shard,
        published: Published,
        workers: Callable[[str], Sequence[LiveServer]],
        now: int,
    ) -> None:
        """workers: the live ones of a group."""
        if now < self._due.get(shard.index, 0):
            return
        self._due[shard.index] = now + LOOK_EVERY
        log_time = shard.log_time(now)
        for group, runs in published.items():
            stuck = [run for run in runs.values() if _is_stuck(run, log_time)]
            if stuck:
                live = workers(group)
                self._sent[group] = {
                    it.beat.worker_id: (it.beat.sequence, self._sent_to(group, it.beat))
                    for it in live
                }
                for run, beat in zip(stuck, self._places(group, live), strict=False):
                    sent = self._sent_to(group, beat) + 1
                    self._sent[group][beat.worker_id] = beat.sequence, sent
                    shard.command(PublishAgain(run.id, run.due, beat.partition))

    def _places(self, group: str, servers: Sequence[LiveServer]) -> Iterator[Heartbeat]:
        """Workers that lack jobs, each as often as it may be sent one: first one for each, then
        again.
        """
        rooms = [
            (it.beat, _wanted(it.beat) - self._sent_to(group, it.beat))
            for it in servers
            if it.beat.state == "RUNNING" and it.beat.partition >= 0
        ]
        for turn in range(max((room for _, room in rooms), default=0)):
            yield from (beat for beat, room in rooms if turn < room)

    def _sent_to(self, group: str, beat: Heartbeat) -> int:
        """How many copies since the worker said this."""
        sequence, sent = self._sent.get(group, {}).get(beat.worker_id, (0, 0))
        return sent if sequence == beat.sequence else 0


def _wanted(beat: Heartbeat) -> int:
    """What is free, and as much as it has slots beside: it speaks up again only when all of that is
    taken. What comes too early is had by whoever is first.
    """
    return beat.free + beat.slots if beat.free else 0


def _is_stuck(run: TaskRun, log_time: int) -> bool:
    waited = log_time - (run.due - REPUBLISH_AFTER)
    return run.copies < MOST_COPIES and waited >= STUCK << run.copies
