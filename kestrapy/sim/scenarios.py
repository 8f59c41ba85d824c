"""Named kinds of worlds: the general one, and some that are made for one danger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from kestrapy.machine.endings import ENDED_KEPT
from kestrapy.sim.network import Rates
from kestrapy.sim.options import Options, draw_options

GENERAL = "general"


def old_zombie(random: Random) -> Options:
    """An executor is stopped before the first request, and goes on when what it then folds and
    sends is about executions that everybody has forgotten.
    """
    asleep = ENDED_KEPT + random.randint(60_000, 120_000)
    return replace(draw_options(random), shared_group=False, faults=0, zombie=asleep)


def losses(random: Random) -> Options:
    """Workers and their machines go down, stand still and lose the network; messages come late.
    Mostly with one owner of a shard: the second one publishes each job once more, which hides that
    a worker lost it.
    """
    options = replace(draw_options(random), shared_group=random.random() < 0.7)
    kinds = ("worker crash", "worker pause", "machine down", "machine sleep", "network cut")
    rates = Rates(late=0.2, answer_lost=0.01)
    return replace(options, faults=14, kinds=kinds, longest=25_000, rates=rates, slow=0.3)


def owners(random: Random) -> Options:
    """Executors crash, stand still and lose the network, two at a shard or one; messages are late,
    so that checkpoints wait for acks.
    """
    kinds = ("executor crash", "executor pause", "executor restart", "network cut", "broker away")
    options = replace(draw_options(random), interval=200, per_batch=False, executors=2)
    rates = Rates(late=0.3, answer_lost=0.005)
    shared = random.random() < 0.6
    return replace(options, faults=14, kinds=kinds, rates=rates, shared_group=shared)


def away(random: Random) -> Options:
    """Brokers are away, for all or for one, and each shard has one owner."""
    options = replace(draw_options(random), per_batch=False, executors=2, shared_group=True)
    return replace(options, faults=20, kinds=("broker away",), rates=Rates(late=0.1), executions=60)


def skew(random: Random) -> Options:
    """Few slots and many jobs: workers are full, hold what they fetched ahead, and step aside."""
    kinds = ("worker crash", "worker stop", "rebalance", "network cut")
    options = replace(draw_options(random), slots=1, job_partitions=2, executors=2)
    return replace(options, faults=10, kinds=kinds, executions=40)


SCENARIOS: dict[str, Callable[[Random], Options]] = {
    GENERAL: draw_options,
    "old-zombie": old_zombie,
    "losses": losses,
    "owners": owners,
    "away": away,
    "skew": skew,
}
