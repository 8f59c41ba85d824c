"""The clock of a flow test: it stands still until it is moved, and tasks sleep by it."""

from __future__ import annotations

import threading
from collections.abc import Callable

START = 1_767_225_600_000
"""What the wall clock shows at the beginning: 2026-01-01T00:00:00Z, in epoch ms."""


class VirtualClock:
    """The port ``Clock``, for servers in one thread, whose tasks may run in others.

    start: epoch ms at the beginning.
    """

    def __init__(self, start: int = START):
        self._start = start
        self._now = 0
        self._changed = threading.Condition()
        self._sleepers: dict[threading.Event, int] = {}

    def wall(self) -> int:
        return self._start + self._now

    def monotonic(self) -> int:
        return self._now

    def boottime(self) -> int:
        return self._now

    def move(self, milliseconds: int) -> None:
        """Later by so much; whoever sleeps looks whether it is time."""
        with self._changed:
            self._now += milliseconds
            self._changed.notify_all()

    def wake(self) -> None:
        """Whoever sleeps looks whether it is to end, and whoever awaits a task looks at it."""
        with self._changed:
            self._changed.notify_all()

    def sleep(self, ending: threading.Event, seconds: float) -> bool:
        """In a task's thread: sleep by this clock. -> whether ``ending`` is set."""
        with self._changed:
            self._sleepers[ending] = self._now + round(seconds * 1000)
            self._changed.notify_all()
            self._changed.wait_for(lambda: ending.is_set() or self._is_due(ending))
            del self._sleepers[ending]
        return ending.is_set()

    @property
    def sleeping(self) -> int:
        """How many tasks sleep, and will go on sleeping as long as the clock stands still."""
        with self._changed:
            return self._count()

    def next_waking(self) -> int | None:
        """When the first sleeper wakes, monotonic ms."""
        with self._changed:
            return min(self._sleepers.values(), default=None)

    def await_tasks(self, unfinished: Callable[[], int], seconds: float) -> bool:
        """Wait, in real time, until each task that has not finished sleeps. -> whether they do."""
        with self._changed:
            return self._changed.wait_for(lambda: unfinished() <= self._count(), seconds)

    def _count(self) -> int:
        return sum(1 for it in self._sleepers if not it.is_set() and not self._is_due(it))

    def _is_due(self, ending: threading.Event) -> bool:
        return self._now >= self._sleepers[ending]
