"""Seeds of the simulator that every test run goes through; ``make sim`` runs more of them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kestrapy.sim.world import World

SEEDS = 40


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Servers that are fenced and cut off warn a lot."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_a_seed(seed: int) -> None:
    problems = World(seed).run()
    assert problems == [], f"python -m kestrapy.sim --seed {seed}"


@pytest.mark.parametrize(("scenario", "seed"), [("owners", 2), ("old-zombie", 3), ("skew", 1)])
def test_a_seed_that_once_failed(scenario: str, seed: int) -> None:
    """owners 2: an output timed out, one behind it did not, and the first was dropped as known."""
    problems = World(seed, scenario).run()
    assert problems == [], f"python -m kestrapy.sim --seed {seed} --scenario {scenario}"


def test_a_seed_does_the_same_in_a_process_that_hashes_otherwise() -> None:
    seeds = (3, 11, 20)
    argv = [sys.executable, "-m", "kestrapy.sim", "--digests", ",".join(map(str, seeds))]
    found = [
        subprocess.run(
            argv, env=os.environ | {"PYTHONHASHSEED": it}, capture_output=True, text=True
        )
        for it in ("1", "2")
    ]
    assert found[0].stdout == found[1].stdout
    assert [line.split()[0] for line in found[0].stdout.splitlines()] == [*map(str, seeds)]


def test_a_seed_that_fails_prints_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By way of the command line; a world without executors saves no flow."""
    code = (
        "import sys; from kestrapy.sim import options, processes;"
        "processes.Process.start = lambda self: None;"
        "sys.argv = ['sim', '--seed', '7'];"
        "import runpy; runpy.run_module('kestrapy.sim', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "the flows are not saved" in done.stdout
    assert "python -m kestrapy.sim --seed 7" in done.stdout.splitlines()
