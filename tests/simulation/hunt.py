"""``python -m tests.simulation.hunt``: let the simulator find each planted bug."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from multiprocessing import Pool
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from kestrapy.sim.world import World
from tests.simulation.mutants import MUTANTS

BATCH = 4
"""Seeds at once; those behind the first that finds are for nothing."""


def problem_of(asked: tuple[str, int]) -> tuple[int, str]:
    """-> the seed, and what the seed sees of it."""
    name, seed = asked
    with ExitStack() as planted:
        for each in MUTANTS[name].patches():
            planted.enter_context(each)
        problems = World(seed, MUTANTS[name].scenario).run()
    if problems and "TypeError" in problems[0]:  # a bug is planted in what is done, not in types
        raise RuntimeError(f"the switch of {name} does not fit the code any more: {problems[0]}")
    return seed, problems[0] if problems else ""


def first_of(pool: Any, name: str) -> tuple[int, str]:
    """-> the first seed that finds the mutant and is clean without it, 0 for none; and how."""
    last = MUTANTS[name].seeds
    for first in range(1, last + 1, BATCH):
        batch = [(name, seed) for seed in range(first, min(first + BATCH, last + 1))]
        for seed, problem in pool.imap(problem_of, batch):
            if problem and not World(seed, MUTANTS[name].scenario).run():
                return seed, problem
    return 0, ""


def hunt(only: str = "", jobs: int = 0) -> None:
    """A table of the mutants; exits with 1 where one survives."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("mutant", "seeds needed", "how it was seen")
    survived = []
    logging.disable(logging.CRITICAL)
    with Pool(jobs or os.cpu_count() or 1) as pool:
        for name in [only] if only else MUTANTS:
            needed, seen = first_of(pool, name)
            if not needed:
                survived.append(name)
            console.print(f"{name}: {needed or 'SURVIVED'}: {seen[:150]}", markup=False)
            table.add_row(name, str(needed or "-"), seen[:120])
    console.print(table)
    console.print(f"{len(survived)} survived: {', '.join(survived) or 'none'}")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    typer.run(hunt)
