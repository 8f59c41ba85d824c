"""A share group in memory: which records of a topic are whose, and which are done."""

from __future__ import annotations

from dataclasses import dataclass, field

from kestrapy.adapters.memory.partition import PartitionLog, Watcher
from kestrapy.ports.log import Record

LOCK_MS = 15_000
DELIVERIES = 5


@dataclass
class _Delivered:
    """A record that was delivered and not accepted. until: of its lock; None: it is free."""

    record: Record
    count: int = 0
    holder: object = None
    until: int | None = None


@dataclass
class _Cursor:
    position: int
    delivered: dict[int, _Delivered] = field(default_factory=dict)


class Share:
    """What a group has of one topic. Guarded by the log's lock. Times: monotonic ms."""

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()
        self._cursors: dict[PartitionLog, _Cursor] = {}
        self._turn = 0

    def take(self, holder: object, partitions: list[PartitionLog], now: int) -> Record | None:
        """A record for the holder: one whose lock is over, else the next one."""
        self._turn += 1
        for number in range(len(partitions)):
            log = partitions[(self._turn + number) % len(partitions)]
            cursor = self._cursors.setdefault(log, _Cursor(log.begin))
            found = self._again(cursor, now) or self._next(log, cursor)
            if found is not None:
                found.count, found.holder, found.until = found.count + 1, holder, now + LOCK_MS
                return found.record
        return None

    def accept(self, holder: object, log: PartitionLog, offset: int, now: int) -> None:
        """Without effect when the record is another's meanwhile, or free."""
        cursor = self._cursors.get(log)
        found = cursor.delivered.get(offset) if cursor is not None else None
        if cursor is not None and found is not None and found.holder is holder:
            if found.until is not None and now < found.until:
                del cursor.delivered[offset]

    def leave(self, holder: object) -> None:
        """What the holder has not accepted is free."""
        for cursor in self._cursors.values():
            for found in cursor.delivered.values():
                if found.holder is holder:
                    found.holder = found.until = None
        for watcher in self.watchers:
            watcher.wake()

    def next_expiry(self) -> int | None:
        """When the first lock is over."""
        ends = [
            found.until
            for cursor in self._cursors.values()
            for found in cursor.delivered.values()
            if found.until is not None
        ]
        return min(ends, default=None)

    def _again(self, cursor: _Cursor, now: int) -> _Delivered | None:
        for offset, found in list(cursor.delivered.items()):
            if found.until is not None and now < found.until:
                continue
            if found.count < DELIVERIES:
                return found
            del cursor.delivered[offset]
        return None

    def _next(self, log: PartitionLog, cursor: _Cursor) -> _Delivered | None:
        cursor.position = max(cursor.position, log.begin)
        while cursor.position < log.stable:
            records, cursor.position = log.read(cursor.position, 1)
            if records:
                found = _Delivered(records[0])
                cursor.delivered[records[0].offset] = found
                return found
        return None
