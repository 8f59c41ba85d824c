"""``ports.log.Reader`` in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kestrapy.adapters.memory.cursor import Cursor
from kestrapy.adapters.memory.journal import Journal
from kestrapy.adapters.memory.partition import Watcher
from kestrapy.ports.log import Partition, Record


class MemoryReader:
    def __init__(self, journal: Journal):
        self._journal = journal
        self._cursor = Cursor(journal, Watcher())

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Raises TopicUnfit where there is no such partition."""
        for partition, position in positions.items():
            self._cursor.place(partition, position)

    def unassign(self, partitions: Iterable[Partition]) -> None:
        self._cursor.remove(partitions)

    def poll(self, limit: int, timeout: float) -> list[Record]:
        return self._cursor.poll(limit, timeout, _never)

    def position(self, partition: Partition) -> int:
        return self._cursor.position(partition)

    def beginning_offset(self, partition: Partition, timeout: float) -> int:
        with self._journal.lock:
            return self._journal.partition(partition).begin

    def end_offset(self, partition: Partition, timeout: float) -> int:
        with self._journal.lock:
            return self._journal.partition(partition).stable

    def offset_at(self, partition: Partition, timestamp: int, timeout: float) -> int:
        with self._journal.lock:
            return self._journal.partition(partition).offset_at(timestamp)

    def close(self) -> None:
        self._cursor.remove(self._cursor.partitions())


def _never() -> bool:
    return False
