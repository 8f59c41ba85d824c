"""What holds for every flow and every history of commands, wrong ones included."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kestrapy.machine import sweeps
from kestrapy.machine.commands import (
    ChildReported,
    ChildWanted,
    Claimed,
    ForceRun,
    SlotGranted,
)
from kestrapy.machine.folds import decode_entity, encode_entity
from kestrapy.machine.outputs import Granted, Kill, Refused
from kestrapy.machine.stage import Arrival, Position, Stage
from tests.machine_driver import Driver, flow, parallel, sequential, task
from tests.machine_referee import Referee
from tests.random_histories import History, output_bytes

PROJECT = Path(__file__).parents[3]
SEEDS = st.integers(0, 2**32)
"""Of histories: a whole one is drawn from its seed, hypothesis is slow with thousands of draws."""


def runs(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def restored(stage: Stage) -> Stage:
    """A stage from the checkpoint of another; its entities come in another order."""
    kept = {key: encode_entity(it) for key, it in reversed(stage.state.items())}
    position = msgspec.msgpack.decode(msgspec.msgpack.encode(stage.position), type=Position)
    state = {key: decode_entity(data) for key, data in kept.items()}
    return Stage(stage.fold_rules, state, position)


def folded(stage: Stage, arrivals: list[Arrival]) -> list[bytes]:
    return [output_bytes(stage.fold(arrival).outputs) for arrival in arrivals]


@runs(60)
@given(SEEDS)
def test_a_checkpoint_at_any_point_changes_nothing(seed: int) -> None:
    driver = History(Random(seed)).play(45).driver
    stage = Stage(driver.stage.fold_rules, {}, Position())
    told, checkpoints = [], [restored(stage)]
    for arrival in driver.log:
        told += folded(stage, [arrival])
        checkpoints.append(restored(stage))
        assert checkpoints[-1].state == stage.state
    for number, other in enumerate(checkpoints):
        assert folded(other, driver.log[number:]) == told[number:]
        assert other.state == stage.state
        assert other.position == stage.position


@runs(150)
@given(SEEDS)
def test_a_command_given_twice_counts_once(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "SLICE", 1 + seed % 2)
        _each_twice(seed)


def _each_twice(seed: int) -> None:
    driver = History(Random(seed)).play(45).driver
    stage = Stage(driver.stage.fold_rules, {}, Position())
    for arrival in driver.log:
        alone = arrival._replace(source=None)
        known = dict(stage.state)
        first = stage.fold(alone._replace(offset=stage.position.offset))
        before = dict(stage.state)
        gone = [key for key, it in first.changes.items() if it is None]
        if any(getattr(known.get(key), "until", 0) for key in gone):
            continue  # what it is about was forgotten just now
        second = stage.fold(alone._replace(offset=stage.position.offset))
        forgotten = set(known).difference(before)  # it may be news again of what expired just now
        after = {key: it for key, it in stage.state.items() if key not in forgotten}
        assert after == before, f"{arrival.command} counted twice"
        if isinstance(arrival.command, Claimed):
            assert len(second.outputs) == 1
            assert isinstance(second.outputs[0], Granted | Refused | Kill)
            assert second.outputs[0] in first.outputs
        elif isinstance(
            arrival.command, ChildWanted
        ):  # a parent is answered; its word has a source
            assert all(isinstance(it, ChildReported) and it.missing for it in second.outputs)
        elif isinstance(arrival.command, SlotGranted | ForceRun):  # what it asks is asked again
            assert all(it in first.outputs for it in second.outputs)
        else:
            assert second.outputs == []


@pytest.mark.parametrize(("length", "slice_of"), [(30, 1), (150, 1), (150, 100)])
@runs(200)
@given(SEEDS)
def test_no_command_breaks_a_rule_and_everything_ends(
    length: int, slice_of: int, seed: int
) -> None:
    """A poison command fails the driver; whatever was said, all ends once everyone answers. Kills
    and clean-ups go one task run at a time, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "SLICE", slice_of)
        History(Random(seed), Referee()).play(length).settle()


def test_hash_seeds_change_nothing() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-m", "tests.random_histories", "40"],
            cwd=PROJECT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


# Costs


def cost(document: dict[str, Any]) -> tuple[int, int, int]:
    """-> how many outputs, bytes of outputs, and bytes of the largest answer to one command but
    the first.
    """
    driver = Driver(document)
    driver.create().run()
    assert driver.ended == "SUCCESS"
    stage = Stage(driver.stage.fold_rules, {}, Position())
    sizes = [len(it) for it in folded(stage, driver.log)]
    return len(driver.outputs), sum(sizes), max(sizes[1:])


@pytest.mark.parametrize("shape", [parallel, sequential])
def test_records_grow_in_step_with_the_tasks(shape: Any) -> None:
    sizes = (10, 100, 1_000)
    costs = [cost(flow(shape("p", *(task(f"t{n:04}") for n in range(size))))) for size in sizes]
    steps = [
        [(after - before) / (more - less) for before, after in zip(one, other, strict=True)]
        for (less, one), (more, other) in zip(
            zip(sizes, costs, strict=True), list(zip(sizes, costs, strict=True))[1:], strict=False
        )
    ]
    (few_outputs, few_bytes, _), (many_outputs, many_bytes, _) = steps
    assert few_outputs == many_outputs, "outputs for each task more"
    assert many_bytes < 1.05 * few_bytes, "bytes for each task more"
    assert many_bytes < 3_000
    assert max(largest for _, _, largest in costs) < 4_000


def test_what_is_kept_is_bounded_by_what_is_live() -> None:
    driver = Driver(flow(parallel("p", *(task(f"t{n}") for n in range(50)))), groups=())
    driver.create().run()
    assert {type(it).__name__ for it in driver.state.values()} == {"Ended", "Holder"}
