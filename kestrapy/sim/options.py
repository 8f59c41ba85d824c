"""What a seed draws: the size of a world, its settings, and how much goes wrong in it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from kestrapy.config import BROKER_FAILOVER_MS
from kestrapy.config import Worker as WorkerConfig
from kestrapy.sim.network import Rates

GROUPS = ("default", "gpu")
EMPTY_GROUP = "onprem"
"""Declared, and no worker serves it."""


@dataclass(frozen=True)
class Options:
    """A world. Times: ms.

    shared_group: executors share one consumer group, with rebalances; else each owns every shard,
    so that two owners of everything live at the same time. kinds: of faults, empty: drawn ones.
    longest: of a pause or a cut. slow: how many of the tasks are, 0 to 1. zombie: for how long the
    first executor is stopped.
    """

    shards: int
    job_partitions: int
    executors: int
    shared_group: bool
    workers: int
    slots: int
    executions: int
    interval: int
    per_batch: bool
    times: WorkerConfig
    safety: int
    faults: int
    rates: Rates
    kinds: tuple[str, ...] = ()
    longest: int = 15_000
    slow: float = 0.03
    zombie: int = 0


def draw_options(random: Random) -> Options:
    lease = random.randint(BROKER_FAILOVER_MS + 100, 12_000)
    end_tasks = random.randint(300, 1_000)
    lost_after = int((lease * 1.01 + end_tasks) / 0.99) + random.randint(20, 1_500)
    return Options(
        shards=random.choice([1, 2, 2, 3]),
        job_partitions=random.choice([1, 2, 3]),
        executors=random.choice([2, 2, 3]),
        shared_group=random.random() < 0.25,
        workers=random.choice([4, 4, 5]),
        slots=random.choice([1, 2, 3]),
        executions=20,
        interval=random.choice([200, 300, 500, 500]),
        per_batch=random.random() < 0.1,
        times=WorkerConfig(lease=lease, end_tasks=end_tasks, lost_after=lost_after),
        safety=random.randint(30_000, 45_000),
        faults=random.randint(5, 14),
        rates=draw_rates(random),
    )


def draw_rates(random: Random) -> Rates:
    """Each kind of fault is there in some worlds only: some bugs show where others are absent."""

    def some(probability: float, highest: float) -> float:
        return random.uniform(0, highest) if random.random() < probability else 0.0

    return Rates(
        late=some(0.5, 0.05),
        duplicate=some(0.5, 0.1),
        answer_lost=some(0.5, 0.01),
        stalled_fetch=some(0.5, 0.3),
        commit_aborted=some(0.3, 0.1),
        commit_unknown=some(0.5, 0.2),
    )
