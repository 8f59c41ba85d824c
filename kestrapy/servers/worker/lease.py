"""How long a worker may run tasks: counted from when the last acked heartbeat was sent, by the boot
clock.
"""

from __future__ import annotations


class Lease:
    """length: ms. Whatever ack comes late, a lease that is over stays over: another may own the
    tasks.
    """

    def __init__(self, length: int):
        self._length = length
        self.until: int | None = None

    def renew(self, sent: int, now: int) -> bool:
        """A heartbeat that was sent at ``sent`` was acked; boot time, ms. -> whether the lease
        grew.
        """
        until = sent + self._length
        if self.is_over(now) or until <= (self.until or 0) or until <= now:
            return False
        self.until = until
        return True

    def is_held(self, now: int) -> bool:
        return self.until is not None and now < self.until

    def is_over(self, now: int) -> bool:
        """It was held once, and is no more."""
        return self.until is not None and now >= self.until
