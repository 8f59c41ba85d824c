"""What people are told of a simulation."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from kestrapy.sim.campaign import Ran
from kestrapy.sim.faults import FAULTS
from kestrapy.sim.network import NETWORK_FAULTS
from kestrapy.sim.rare_paths import RARE_PATHS
from kestrapy.sim.scenarios import GENERAL
from kestrapy.sim.world import World

PROBLEMS_SHOWN = 3
MANY = 100
"""Seeds after which everything that can go wrong has to have happened."""
EXPECTED = (*FAULTS, *NETWORK_FAULTS, *RARE_PATHS, "restores", "states compared")


class Report:
    """Progress while it runs, each failure at once, and a summary."""

    def __init__(self, scenario: str, console: Console | None = None):
        self._scenario = scenario
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._counts: Counter[str] = Counter()
        self._seeds = self._events = self._failed = 0
        self._progress: Progress | None = None
        self._bar = TaskID(0)

    def again(self, seed: int) -> str:
        """The line that repeats a seed."""
        which = "" if self._scenario == GENERAL else f" --scenario {self._scenario}"
        return f"python -m kestrapy.sim --seed {seed}{which}"

    def one(self, world: World, problems: list[str]) -> None:
        timeline = world.timeline
        self._console.print(
            f"seed {world.seed}: {timeline.events} events in {timeline.now / 1000:.0f} virtual"
            f" seconds, trace {timeline.digest}"
        )
        self._counts.update(world.counts)
        if problems:
            self._failure(world.seed, problems)
        else:
            self._console.print("nothing went wrong")

    def begin(self, count: int) -> None:
        self._progress = Progress(
            TextColumn("seeds"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._progress.start()
        self._bar = self._progress.add_task("seeds", total=count)

    def ran(self, ran: Ran) -> None:
        self._seeds += 1
        self._events += ran.events
        self._counts.update(ran.counts)
        if ran.problems:
            self._failure(ran.seed, ran.problems)
        if self._progress is not None:
            self._progress.advance(self._bar)

    def differs(self, seed: int) -> None:
        self._failure(seed, ["two runs of it did not do the same"])

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _failure(self, seed: int, problems: list[str]) -> None:
        self._failed += 1
        for problem in problems[:PROBLEMS_SHOWN]:
            self._console.print(f"seed {seed}: {problem}", style="red", markup=False)
        self._console.print(self.again(seed), markup=False)

    def summary(self) -> bool:
        """-> whether something that should have happened never did."""
        table = Table("what happened", "times")
        for name in sorted({*self._counts, *EXPECTED}):
            table.add_row(name, f"{self._counts[name]:,}")
        self._console.print(table)
        missing = [name for name in EXPECTED if not self._counts[name]]
        if missing and self._seeds >= MANY:
            self._console.print(f"never happened: {', '.join(missing)}", style="red")
        self._console.print(
            f"{self._seeds} seeds, {self._events:,} events, {self._failed} seeds failed"
        )
        return bool(missing) and self._seeds >= MANY
