"""What goes wrong in a world, at times that the seed draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kestrapy.sim.network import BROKERS

if TYPE_CHECKING:
    from kestrapy.sim.processes import Process
    from kestrapy.sim.world import World

FAULTS = (
    "executor crash",
    "executor pause",
    "executor restart",
    "worker crash",
    "worker pause",
    "worker stop",
    "worker slow",
    "machine down",
    "machine sleep",
    "network cut",
    "broker cut",
    "broker away",
    "wall clock jump",
    "rebalance",
    "dead producer",
)


class Faults:
    """Draws faults for a world, and ends them."""

    def __init__(self, world: World):
        self._world = world
        self._random = world.random
        acts: tuple[Callable[[], None], ...] = (
            self._crash_executor,
            self._pause_executor,
            self._close_executor,
            self._crash_worker,
            self._pause_worker,
            self._stop_worker,
            self._slow_worker,
            self._machine_down,
            self._machine_sleeps,
            self._cut,
            self._cut_one,
            self._broker_away,
            self._wall_jump,
            self._rebalance,
            self._dead_producer,
        )
        self._kinds = dict(zip(FAULTS, acts, strict=True))

    def plan(self, until: int) -> None:
        """Some faults between now and until, of a few kinds."""
        count = self._random.randint(3, len(self._kinds))
        names = self._world.options.kinds or self._random.sample(sorted(self._kinds), count)
        now = self._world.timeline.now
        for _ in range(self._world.options.faults):
            name = self._random.choice(names)
            when = self._random.randint(now, until)
            self._world.timeline.at(when, lambda name=name: self._strike(name, until))  # type: ignore[misc]

    def _strike(self, name: str, until: int) -> None:
        if self._world.timeline.now <= until:
            self._world.counts[name] += 1
            self._world.timeline.note("fault", name)
            self._kinds[name]()

    def heal(self) -> None:
        """Nothing goes wrong any more. What sleeps or is down comes back by itself."""
        world = self._world
        world.network.calm()
        world.rare_paths.asleep = True
        for process in world.processes:
            process.pace = min(process.pace, 120)
            process.keep_down_until = 0
            if process.link is not None:
                process.link.cut = [0] * BROKERS

    def _span(self) -> int:
        if self._random.random() < 0.5:
            return self._random.randint(50, 3_000)
        return self._random.randint(1_000, self._world.options.longest)

    def _keep_down(self, process: Process, crash: Callable[[], None]) -> None:
        """Mostly its parent restarts it at once; at times it is away for a while."""
        crash()
        if self._random.random() < 0.3:
            process.keep_down_until = self._world.timeline.now + self._span()

    def _crash_executor(self) -> None:
        process = self._random.choice(self._world.executors)
        self._keep_down(process, process.crash)

    def _pause_executor(self) -> None:
        self._random.choice(self._world.executors).pause(self._span())

    def _close_executor(self) -> None:
        self._random.choice(self._world.executors).close()

    def _crash_worker(self) -> None:
        process = self._random.choice(self._world.workers)
        self._keep_down(process, process.crash)

    def _pause_worker(self) -> None:
        self._random.choice(self._world.workers).pause(self._span())

    def _stop_worker(self) -> None:
        self._random.choice(self._world.workers).stop()

    def _slow_worker(self) -> None:
        self._random.choice(self._world.workers).pace = self._random.choice([500, 1_500, 3_000])

    def _machine_down(self) -> None:
        process = self._random.choice(self._world.workers)
        self._keep_down(process, process.machine_down)

    def _machine_sleeps(self) -> None:
        self._random.choice(self._world.workers).sleep(self._span())

    def _cut(self) -> None:
        link = self._random.choice(self._world.processes).link
        if link is not None:
            link.cut = [self._world.timeline.now + self._span()] * BROKERS

    def _cut_one(self) -> None:
        link = self._random.choice(self._world.processes).link
        if link is not None:
            link.cut[self._random.randrange(BROKERS)] = self._world.timeline.now + self._span()

    def _broker_away(self) -> None:
        """Its partitions move to another broker, whose clock is another."""
        world = self._world
        span = min(self._span(), 9_000)
        world.network.away[self._random.randrange(BROKERS)] = world.timeline.now + span
        world.broker_clock.skew = self._random.randint(-400, 400)

    def _wall_jump(self) -> None:
        process = self._random.choice(self._world.processes)
        process.skew.wall += self._random.randint(-600_000, 600_000)

    def _rebalance(self) -> None:
        self._world.rebalance()

    def _dead_producer(self) -> None:
        link = self._random.choice(self._world.processes).link
        if link is not None:
            link.dead = True
