"""Clocks of simulated machines: each has zeros of its own, and goes a little wrong."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from kestrapy.sim.timeline import Timeline

EPOCH = 1_800_000_000_000
"""The wall clock's time at the beginning of a world."""
RATE_ERROR = 0.0095
"""How far a clock's rate may be wrong: the inequality of the lease allows one in a hundred."""


@dataclass
class Skew:
    """How the clocks of one machine differ from the world's. slept: ms that it was asleep."""

    wall: int = 0
    monotonic: int = 0
    boottime: int = 0
    rate: float = 1.0
    slept: int = 0


def draw_skew(random: Random) -> Skew:
    return Skew(
        wall=random.randint(-2_000, 2_000),
        monotonic=random.randint(0, 10**7),
        boottime=random.randint(10**7, 10**8),
        rate=1 + random.uniform(-RATE_ERROR, RATE_ERROR),
    )


class SimClock:
    """The port ``Clock`` of one process.

    ahead: ms that the process has spent waiting in its current tick; its next one comes later by
    as much.
    """

    def __init__(self, timeline: Timeline, skew: Skew):
        self.ahead = 0
        self._timeline = timeline
        self._skew = skew

    def true(self) -> int:
        """The world's time, as it is for this process."""
        return self._timeline.now + self.ahead

    def wall(self) -> int:
        return EPOCH + self._skew.wall + self._passed(self.true())

    def monotonic(self) -> int:
        return self._skew.monotonic + self._passed(self.true() - self._skew.slept)

    def boottime(self) -> int:
        return self._skew.boottime + self._passed(self.true())

    def true_at(self, boottime: int) -> int:
        """The world's time at which ``boottime()`` is as given, or just after."""
        return int((boottime - self._skew.boottime) / self._skew.rate) + 1

    def _passed(self, true: int) -> int:
        return int(true * self._skew.rate)


class BrokerClock:
    """What appends are stamped by. It jumps when another broker becomes responsible."""

    def __init__(self, timeline: Timeline):
        self.skew = 0
        self._timeline = timeline

    def wall(self) -> int:
        return EPOCH + self._timeline.now + self.skew

    def monotonic(self) -> int:
        return self._timeline.now

    def boottime(self) -> int:
        return self._timeline.now


class SimEntropy:
    """The port ``Entropy``: tokens that the seed decides."""

    def __init__(self, random: Random):
        self._random = random

    def token(self) -> str:
        return f"{self._random.getrandbits(64):016x}"
