"""Many seeds, on all cores; some of them a second time, in a process that hashes otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pool
from typing import NamedTuple, Protocol

from kestrapy.sim.world import World

TWICE = 10
"""Each tenth seed is run twice."""
ROUND = 40
"""Seeds of one round of a run that lasts for a while."""


class Ran(NamedTuple):
    """One seed's run."""

    seed: int
    problems: list[str]
    counts: Counter[str]
    digest: str
    events: int


class Listener(Protocol):
    """Who is told how it goes."""

    def begin(self, count: int) -> None: ...

    def ran(self, ran: Ran) -> None: ...

    def differs(self, seed: int) -> None:
        """Two runs of the seed did not do the same."""

    def end(self) -> None: ...


def run_seed(asked: tuple[int, str]) -> Ran:
    seed, scenario = asked
    world = World(seed, scenario)
    problems = world.run()
    return Ran(seed, problems, world.counts, world.timeline.digest, world.timeline.events)


class Campaign:
    """jobs: processes at once."""

    def __init__(self, scenario: str, jobs: int, listener: Listener):
        self._scenario = scenario
        self._jobs = jobs
        self._listener = listener

    def run(self, first: int, last: int) -> bool:
        """-> whether any seed failed."""
        seeds = range(first, last + 1)
        self._listener.begin(len(seeds))
        failed = False
        digests: dict[int, str] = {}
        with Pool(self._jobs) as pool:
            for ran in pool.imap_unordered(run_seed, [(it, self._scenario) for it in seeds]):
                self._listener.ran(ran)
                digests[ran.seed] = ran.digest
                failed = failed or bool(ran.problems)
        twice = [seed for seed in seeds if seed % TWICE == 0]
        for seed, digest in self._again(twice):
            if digests[seed] != digest:
                self._listener.differs(seed)
                failed = True
        self._listener.end()
        return failed

    def for_seconds(self, first: int, seconds: int) -> bool:
        """Round after round, until seconds have passed or one has failed."""
        end = time.monotonic() + seconds  # noqa: TID251  # how long people wait
        while time.monotonic() < end:  # noqa: TID251
            if self.run(first, first + ROUND - 1):
                return True
            first += ROUND
        return False

    def _again(self, seeds: list[int]) -> Iterable[tuple[int, str]]:
        """The seeds' digests, from processes of another hash seed."""
        env = {**os.environ, "PYTHONHASHSEED": "4711"}
        running = []
        for number in range(self._jobs):
            share = ",".join(map(str, seeds[number :: self._jobs]))
            if share:
                argv = [sys.executable, "-m", "kestrapy.sim", "--scenario", self._scenario]
                argv += ["--digests", share]
                running.append(subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True))
        for process in running:
            output, _ = process.communicate()
            for line in output.splitlines():
                seed, digest = line.split()
                yield int(seed), digest
