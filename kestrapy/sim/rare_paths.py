"""The port ``Rarely`` of a world: each path is taken now and then, in some worlds."""

from __future__ import annotations

from collections import Counter
from random import Random

RARE_PATHS = (
    "rare: reads one record",
    "rare: reads nothing",
    "rare: checkpoint just now",
    "rare: restore just now",
    "rare: reads one answer",
    "rare: claim sent again",
    "rare: grant handed back",
)
"""Those that shells ask for; the summary shows how often each was taken."""
HIGHEST = 0.1


class RarePaths:
    """asleep: no path is taken, as in the calm after the faults."""

    def __init__(self, random: Random, counts: Counter[str]):
        self.asleep = False
        self._random = random
        self._counts = counts
        self._rates = {
            path: random.uniform(0, HIGHEST) if random.random() < 0.5 else 0.0
            for path in RARE_PATHS
        }

    def __call__(self, path: str) -> bool:
        rate = self._rates[f"rare: {path}"]
        if self.asleep or not rate or self._random.random() >= rate:
            return False
        self._counts[f"rare: {path}"] += 1
        return True
