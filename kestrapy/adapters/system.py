"""The machine's clocks and randomness: the only module that reads them."""

from __future__ import annotations

import secrets
import time

# Where the system has no such clock (macOS), its monotonic one already goes on during sleep.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """``ports.clock.Clock`` of this machine."""

    def wall(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def boottime(self) -> int:
        return time.clock_gettime_ns(_BOOTTIME) // 1_000_000


class SystemEntropy:
    """``ports.clock.Entropy`` of this machine."""

    def token(self) -> str:
        return secrets.token_hex(8)
