"""``ports.log.Member`` in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kestrapy.adapters.memory.cursor import Cursor
from kestrapy.adapters.memory.group import Group, Membership
from kestrapy.adapters.memory.journal import Journal
from kestrapy.adapters.memory.partition import Watcher
from kestrapy.errors import MemberBroken, TopicUnfit
from kestrapy.ports.log import Partition, RebalanceListener, Record


class MemoryMember:
    def __init__(
        self,
        journal: Journal,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        instance_id: str,
    ):
        self._journal = journal
        self._topics = self._wanted = tuple(topics)
        self._listener = listener
        self._instance_id = instance_id
        self._watcher = Watcher()
        self._cursor = Cursor(journal, self._watcher)
        self._paused: dict[Partition, int] | None = None
        self._given: set[Partition] = set()
        self._seen = -1
        with journal.lock:
            self._group: Group = journal.group(group)
            self._seat = self._sit_down()

    def poll(self, limit: int, timeout: float) -> list[Record]:
        with self._journal.lock:
            self._seat.polled_at = None
            self._group.expire(self._journal.clock.monotonic())
        try:
            deadline = self._journal.clock.monotonic() + round(timeout * 1000)
            while True:
                self._rebalance()
                records = self._read(limit, timeout)
                timeout = (deadline - self._journal.clock.monotonic()) / 1000
                if records or timeout <= 0 or not self._has_news():
                    return records
        finally:
            self._seat.polled_at = self._journal.clock.monotonic()

    def pause(self) -> None:
        if self._paused is None:
            owned = self._cursor.partitions()
            self._paused = {partition: self._cursor.position(partition) for partition in owned}
            self._cursor.remove(owned)

    def resume(self) -> None:
        if self._paused is not None:
            positions, self._paused = self._paused, None
            for partition, position in positions.items():
                self._place(partition, position)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        with self._journal.lock:
            self._group.commit(self._seat, offsets)

    def step_aside(self) -> None:
        self.pause()
        self._subscribe(())

    def step_in(self) -> None:
        self._subscribe(self._topics)
        self.resume()

    def is_aside(self) -> bool:
        return not self._seat.topics and not self.assignment()

    def assignment(self) -> list[Partition]:
        return self._cursor.partitions() if self._paused is None else list(self._paused)

    def close(self) -> None:
        if not self._seat.out:
            if owned := self.assignment():
                self._give_up(owned)
            with self._journal.lock:
                if not self._instance_id:
                    self._group.leave(self._seat)
        self._forget(self.assignment())

    def _read(self, limit: int, timeout: float) -> list[Record]:
        while True:
            try:
                return self._cursor.poll(limit, timeout, self._has_news)
            except TopicUnfit:
                if self._has_news():
                    return []
                if not self._start_anew():
                    raise

    def _start_anew(self) -> bool:
        """Where the committed offset is gone, go to the first record. -> whether all could.

        A place that the listener gave is different: nothing may be skipped there.
        """
        unfit = self._cursor.unfit()
        if self._given.intersection(unfit):
            return False
        for partition in unfit:
            self._place(partition, self._journal.partition(partition).begin)
        return True

    def _rebalance(self) -> None:
        if self._seat.fenced:
            self._lose_all()
            raise MemberBroken(
                f"instance id {self._instance_id!r} is used by another member too:"
                " give each process its own"
            )
        if self._seat.out:
            self._lose_all()
            with self._journal.lock:
                self._seat = self._sit_down()
        with self._journal.lock:
            self._seen = self._group.version
            surplus = self._group.surplus(self._seat)
        if surplus:
            self._give_up(surplus)
        with self._journal.lock:
            taken = self._group.take(self._seat)
        if taken:
            self._begin(taken)

    def _begin(self, partitions: list[Partition]) -> None:
        given = self._listener.assigned(partitions)
        self._given.update(given)
        for partition in partitions:
            self._place(partition, given.get(partition, self._group.committed.get(partition, 0)))

    def _place(self, partition: Partition, position: int) -> None:
        if self._paused is None:
            self._cursor.place(partition, position)
        else:
            self._paused[partition] = position

    def _give_up(self, partitions: list[Partition]) -> None:
        try:
            self._listener.revoked(partitions)
        finally:
            self._forget(partitions)
            with self._journal.lock:
                self._group.release(self._seat, partitions)

    def _lose_all(self) -> None:
        if owned := self.assignment():
            self._forget(owned)
            self._listener.lost(owned)

    def _forget(self, partitions: list[Partition]) -> None:
        self._given.difference_update(partitions)
        self._cursor.remove(partitions)
        if self._paused is not None:
            for partition in partitions:
                self._paused.pop(partition, None)

    def _subscribe(self, topics: Sequence[str]) -> None:
        self._wanted = tuple(topics)
        with self._journal.lock:
            self._seat.topics = frozenset(topics)
            if not self._seat.out:
                self._group.share_out()

    def _sit_down(self) -> Membership:
        seat = Membership(self._wanted, self._instance_id, self._watcher)
        self._group.join(seat)
        return seat

    def _has_news(self) -> bool:
        return self._seat.out or self._seen != self._group.version
