"""The end of the worker's lease, where the supervisor and every guardian see it.

It stands in memory that processes forked later share. So a guardian ends its task in time even
where the supervisor itself is stopped or stuck, and a renewal reaches all of them by one store.
"""

from __future__ import annotations

import mmap

from kestrapy.supervisor import linux

_BYTES = 8


class Deadline:
    """until: boot time (ms), 0 for none. Written by the supervisor alone."""

    def __init__(self) -> None:
        self._shared = memoryview(mmap.mmap(-1, _BYTES)).cast("q")

    @property
    def until(self) -> int:
        return int(self._shared[0])

    def extend(self, until: int) -> None:
        """What was reached once stays."""
        self._shared[0] = max(until, self.until)

    def clear(self) -> None:
        """There is no lease yet."""
        self._shared[0] = 0

    def left(self) -> int | None:
        """ms, 0 or less when it is over; None where there is no lease."""
        return self.until - linux.boottime() if self.until else None

    def is_over(self) -> bool:
        left = self.left()
        return left is not None and left <= 0
