"""Positions in some partitions, and waiting for the records behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kestrapy.adapters.memory.journal import Journal
from kestrapy.adapters.memory.partition import PartitionLog, Watcher
from kestrapy.errors import TopicUnfit
from kestrapy.ports.log import Partition, Record


class _Place:
    """Where in a partition the cursor stands."""

    def __init__(self, log: PartitionLog, position: int):
        self.log = log
        self.position = position

    @property
    def waiting(self) -> bool:
        """There is nothing to be read or said, as yet."""
        return self.position == self.log.stable and not self.log.deleted

    @property
    def unfit(self) -> bool:
        return self.log.deleted or not self.log.begin <= self.position <= self.log.end


class Cursor:
    """Used by one client; what it does under the log's lock it locks itself."""

    def __init__(self, journal: Journal, watcher: Watcher):
        self._journal = journal
        self._watcher = watcher
        self._places: dict[Partition, _Place] = {}
        self._turn = 0

    def place(self, partition: Partition, position: int) -> None:
        """Read a partition too, or from elsewhere. Raises TopicUnfit where there is none."""
        with self._journal.lock:
            log = self._journal.partition(partition)
            log.watchers.add(self._watcher)
            self._places[partition] = _Place(log, position)

    def remove(self, partitions: Iterable[Partition]) -> None:
        with self._journal.lock:
            for partition in partitions:
                if place := self._places.pop(partition, None):
                    place.log.watchers.discard(self._watcher)

    def position(self, partition: Partition) -> int:
        return self._places[partition].position

    def partitions(self) -> list[Partition]:
        return list(self._places)

    def unfit(self) -> list[Partition]:
        """Those that can't be read on from where they stand: ``poll`` raises for them."""
        with self._journal.lock:
            return [partition for partition, place in self._places.items() if place.unfit]

    def poll(self, limit: int, timeout: float, ready: Callable[[], bool]) -> list[Record]:
        """Records, at most limit; waits up to timeout seconds, while ``ready()`` is false.

        ready: called under the lock; whether there is something else that the client has to do.
        """
        deadline = self._journal.clock.monotonic() + round(timeout * 1000)
        while True:
            with self._journal.lock:
                records = self._take(limit)
                if records or timeout <= 0 or ready():
                    return records
                self._watcher.fall_asleep()
            if not self._watcher.wait(timeout):
                return []
            timeout = (deadline - self._journal.clock.monotonic()) / 1000

    def _take(self, limit: int) -> list[Record]:
        """Each partition in turn is the first, so that a busy one can't starve the others."""
        places = list(self._places.values())
        taken: list[Record] = []
        self._turn += 1
        for number in range(len(places)):
            place = places[(self._turn + number) % len(places)]
            if place.waiting:
                continue
            try:
                records, place.position = place.log.read(place.position, limit - len(taken))
            except TopicUnfit:
                if taken:
                    break  # these have been passed and must be given; the next poll raises
                raise
            taken += records
            if len(taken) >= limit:
                break
        return taken
