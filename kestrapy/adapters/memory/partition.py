"""A partition in memory: records by offset, and how far readers may see.

As in Kafka, a transaction ends with a control record, which takes an offset of its own; readers
are shown neither these nor aborted records, so offsets have gaps, in memory too.
"""

from __future__ import annotations

from threading import Event

from kestrapy.errors import TopicUnfit
from kestrapy.ports.log import Message, Partition, Record


class Watcher:
    """A client that may be waiting. Everything but ``wait`` is guarded by the log's lock."""

    def __init__(self) -> None:
        self._event = Event()
        self._asleep = False

    def fall_asleep(self) -> None:
        """Say that ``wait`` will follow, once the lock is given up."""
        self._event.clear()
        self._asleep = True

    def wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._event.set()

    def wait(self, timeout: float) -> bool:
        """-> whether ``wake`` came within timeout seconds."""
        return self._event.wait(timeout)


class PartitionLog:
    """Guarded by the log's lock.

    begin: the first offset that is still there. end: the offset of the next append.
    stable: readers see what is below (Kafka's last stable offset).
    """

    def __init__(self, name: Partition):
        self.name = name
        self.begin = self.end = self.stable = 0
        self.deleted = False
        self.watchers: set[Watcher] = set()
        self._entries: list[Record | None] = []
        self._open: dict[str, list[int]] = {}

    def append(self, message: Message, now: int, transaction: str | None = None) -> None:
        """transaction: the id of the open transaction that this belongs to."""
        offset = self.end
        topic, index = self.name
        self._entries.append(
            Record(topic, index, offset, now, message.key, message.value, message.headers)
        )
        self.end = offset + 1
        if transaction is not None:
            self._open.setdefault(transaction, []).append(offset)
        if not self._open:
            self.stable = self.end
            self._wake()

    def finish(self, transaction: str, *, commit: bool) -> None:
        """End a transaction that appended here."""
        offsets = self._open.pop(transaction)
        if not commit:
            for offset in offsets:
                self._entries[offset - self.begin] = None
        self._entries.append(None)
        self.end += 1
        self.stable = min((held[0] for held in self._open.values()), default=self.end)
        self._wake()

    def read(self, position: int, limit: int) -> tuple[list[Record], int]:
        """-> at most limit records from position on, and the position behind what was passed.

        Raises TopicUnfit where there is no such position.
        """
        if not self.begin <= position <= self.end or self.deleted:
            raise self._unfit(position)
        while position < self.stable and self._entries[position - self.begin] is None:
            position += 1
        stop = min(self.stable, position + limit)
        entries = self._entries[position - self.begin : stop - self.begin]
        records = [entry for entry in entries if entry is not None]
        return records, max(position, stop)

    def offset_at(self, timestamp: int) -> int:
        """The first offset whose record was appended at this time or later; else the end."""
        for offset, entry in enumerate(self._entries, self.begin):
            if entry is not None and entry.timestamp >= timestamp:
                return offset
        return self.end

    def delete_before(self, offset: int) -> None:
        """What retention does: the records below offset are no more."""
        gone = max(0, min(offset, self.stable) - self.begin)
        del self._entries[:gone]
        self.begin += gone

    def delete(self) -> None:
        self.deleted = True
        self._wake()

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.wake()

    def _unfit(self, position: int) -> TopicUnfit:
        name = f"{self.name.topic}[{self.name.index}]"
        if self.deleted:
            return TopicUnfit(f"{name} was deleted while it was being read: create it again")
        return TopicUnfit(
            f"{name} has offsets {self.begin} to {self.end}, not {position}:"
            " its records were deleted, or the topic was made anew"
        )
