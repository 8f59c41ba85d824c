"""Which offsets of a jobs topic may be committed: a gap-free prefix of what needs no redelivery.

A job's offset is done once its claim stands in the log, for then the fold looks after the job. An
offset commits all before it; so one that is still open holds back all that come after it.
"""

from __future__ import annotations

from collections.abc import Iterable

from kestrapy.ports.log import Partition

Delivery = tuple[Partition, int]


class Deliveries:
    """The jobs that were fetched, by partition and offset."""

    def __init__(self) -> None:
        self._open: dict[Partition, dict[int, bool]] = {}
        self._moved: dict[Partition, int] = {}

    def add(self, delivery: Delivery) -> None:
        partition, offset = delivery
        self._open.setdefault(partition, {})[offset] = False

    def done(self, delivery: Delivery) -> None:
        """Known or not: of a partition that was revoked meanwhile nothing is known any more."""
        partition, offset = delivery
        offsets = self._open.get(partition)
        if offsets is None or offset not in offsets:
            return
        offsets[offset] = True
        for first in list(offsets):  # in the order of delivery, which is that of the offsets
            if not offsets[first]:
                break
            del offsets[first]
            self._moved[partition] = first + 1

    def take_committable(self) -> dict[Partition, int]:
        """The offsets to commit, where they moved since the last call."""
        moved, self._moved = self._moved, {}
        return moved

    def forget(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._open.pop(partition, None)
            self._moved.pop(partition, None)

    @property
    def open(self) -> int:
        """Offsets that hold others back."""
        return sum(len(offsets) for offsets in self._open.values())
