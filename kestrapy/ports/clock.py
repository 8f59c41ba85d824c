"""Time and chance, given to shells from outside. Adapter: ``adapters.system``."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Three clocks that must not be compared with each other; all in whole milliseconds."""

    def wall(self) -> int:
        """Epoch ms. May jump."""

    def monotonic(self) -> int:
        """Never goes back; its zero means nothing. May stand still while the machine sleeps."""

    def boottime(self) -> int:
        """Never goes back, and goes on while the machine sleeps (CLOCK_BOOTTIME): for leases."""


class Entropy(Protocol):
    """Fresh randomness, for what nobody folds: ids of processes and of requests."""

    def token(self) -> str:
        """16 characters of 0-9a-f."""
