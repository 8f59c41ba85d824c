"""Planted bugs that a few seeds find; ``make mutants`` hunts them all."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from kestrapy.ports.rarely import never
from kestrapy.sim.rare_paths import RARE_PATHS
from tests.simulation.hunt import problem_of
from tests.simulation.mutants import MUTANTS


@pytest.mark.parametrize(
    "name", ["wall-clock-in-machine", "id-not-derived", "line-that-stands-still"]
)
def test_a_planted_bug_is_found(name: str) -> None:
    assert any(problem_of((name, seed))[1] for seed in range(1, 6))


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_can_be_planted(name: str) -> None:
    """What it patches is still there."""
    with ExitStack() as planted:
        for each in MUTANTS[name].patches():
            planted.enter_context(each)


def test_outside_of_a_simulation_no_rare_path_is_taken() -> None:
    assert not any(never(path) for path in RARE_PATHS)
