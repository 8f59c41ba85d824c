"""How long the jobs of this worker run, and what follows from it for claims ahead."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable

REMEMBERED = 21
SHORT = 1_000
"""ms: only where the median run is shorter, a job is claimed ahead of a free slot."""
SURPLUS_PATIENCE, LONGEST_SURPLUS_PATIENCE = 1_000, 2_000
LEAST_SURPLUS_PATIENCE = 100


class Pace:
    """The median of the last runs. Times: ms."""

    def __init__(self) -> None:
        self._runs: deque[int] = deque(maxlen=REMEMBERED)
        self.median: int | None = None
        """None before the first run ended."""

    def note(self, run: int) -> None:
        self._runs.append(run)
        self.median = round(statistics.median(self._runs))

    def ahead(self, ages: Iterable[int]) -> int:
        """How many jobs to claim beyond the slots: one, while a slot is expected to be free soon.

        ages: for how long those that run have run.
        """
        if self.median is None or self.median >= SHORT:
            return 0
        return int(any(age <= self._soon() for age in ages))

    @property
    def surplus_patience(self) -> int:
        """For how long a grant may wait for a slot."""
        if self.median is None:
            return SURPLUS_PATIENCE
        return min(max(3 * self.median, LEAST_SURPLUS_PATIENCE), LONGEST_SURPLUS_PATIENCE)

    def _soon(self) -> int:
        return 2 * (self.median or 0)
