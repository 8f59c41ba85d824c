"""``ports.log.ShareMember`` in memory."""

from __future__ import annotations

from kestrapy.adapters.memory.journal import Journal
from kestrapy.adapters.memory.partition import PartitionLog, Watcher
from kestrapy.errors import InvariantViolated, TopicUnfit
from kestrapy.ports.log import Partition, Record


class MemoryShareMember:
    """A poll gives one record at most."""

    def __init__(self, journal: Journal, group: str, topic: str):
        self._journal = journal
        self._group = group
        self._topic = topic
        self._watcher = Watcher()
        self._open: set[tuple[int, int]] = set()
        self._accepted: list[Record] = []
        self._closed = False

    def poll(self, timeout: float) -> list[Record]:
        if self._open:
            raise InvariantViolated(f"{len(self._open)} records of the last poll are not accepted")
        self.commit()
        clock = self._journal.clock
        deadline = clock.monotonic() + round(timeout * 1000)
        while True:
            now = clock.monotonic()
            with self._journal.lock:
                share = self._journal.share(self._group, self._topic)
                record = share.take(self, self._partitions(), now)
                if record is not None:
                    self._open = {(record.partition, record.offset)}
                    return [record]
                if now >= deadline:
                    return []
                share.watchers.add(self._watcher)
                self._watcher.fall_asleep()
                expiry = share.next_expiry()
            wake = deadline if expiry is None else min(deadline, expiry)
            self._watcher.wait(max(0, wake - now) / 1000)

    def accept(self, record: Record) -> None:
        self._open.discard((record.partition, record.offset))
        self._accepted.append(record)

    def commit(self) -> None:
        now = self._journal.clock.monotonic()
        with self._journal.lock:
            share = self._journal.share(self._group, self._topic)
            for record in self._accepted:
                log = self._journal.partition(Partition(record.topic, record.partition))
                share.accept(self, log, record.offset, now)
        self._accepted.clear()

    def close(self) -> None:
        if self._closed:
            return
        self.commit()
        self._closed = True
        with self._journal.lock:
            share = self._journal.share(self._group, self._topic)
            share.watchers.discard(self._watcher)
            share.leave(self)
            for partition in self._partitions():
                partition.watchers.discard(self._watcher)

    def _partitions(self) -> list[PartitionLog]:
        """Those of the topic, and this member is woken when they grow; none before it exists."""
        names = self._journal.partitions_of(self._topic)
        try:
            logs = [self._journal.partition(name) for name in names]
        except TopicUnfit:
            return []
        for log in logs:
            log.watchers.add(self._watcher)
        return logs
