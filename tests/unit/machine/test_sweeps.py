"""Walks over task runs: what holds while one is under way."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.machine import sweeps
from kestrapy.machine.commands import (
    Claimed,
    ExecutionEnded,
    KillRequested,
    Result,
    SweepDue,
    TimerDue,
    TriggerFired,
    WorkerLost,
)
from kestrapy.machine.entities import Ended, Holder, Sweep, TaskRun, group_key, sweep_key
from kestrapy.machine.folds import ExecutionFold
from kestrapy.machine.outputs import ExecutionEvent, Granted, Job, Kill, Refused
from kestrapy.model.state import State
from kestrapy.model.worker_group import DEFAULT_GROUP
from tests.machine_driver import (
    EXECUTION_ID,
    ROOMY,
    Driver,
    constant,
    flow,
    parallel,
    sequential,
    task,
    timer_of,
)

KILL = KillRequested(EXECUTION_ID)
TRIGGER = TriggerFired("t", "schedule", "uid")


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SLICE", 1)


def sweep(driver: Driver) -> Sweep:
    found = driver.state[sweep_key(EXECUTION_ID)]
    assert isinstance(found, Sweep)
    return found


def ends(driver: Driver) -> list[str]:
    told = [it.execution for it in driver.of(ExecutionEvent) if it.execution is not None]
    return [str(it.state) for it in told if it.state.is_terminal]


def wide(**properties: Any) -> Driver:
    """Four tasks side by side, all claimed but the last; the first waits to be tried again."""
    first = task("a", retry=constant("PT1M"))
    tasks = [first, task("b"), task("c"), task("d")]
    driver = Driver(flow(parallel("p", *tasks), **properties)).create(trigger=TRIGGER)
    for task_id in ("a", "b", "c"):
        driver.claim(driver.job(task_id))
    driver.result(driver.job("a"), State.FAILED)
    return driver


@pytest.mark.usefixtures("one_at_a_time")
def test_what_comes_before_the_walk_does_is_killed_too() -> None:
    driver = wide()
    retry = timer_of(driver.runs["a"])
    driver.tell(KILL)
    assert driver.states == {"p": "RUNNING", "a": "RETRYING", "b": "RUNNING", "c": "RUNNING"} | {
        "d": "KILLED"
    }
    assert driver.tell(retry) != [] and driver.states["a"] == "KILLED", "no new epoch"
    job = driver.job("b")
    answers = driver.tell(Claimed(job.task_run_id, 1, "w1"))
    assert Kill("w1", job.task_run_id, 1) in answers and not driver.of(Granted)[3:]
    driver.result(driver.job("c"))
    assert driver.states["c"] == "SUCCESS", "it was done before it was killed"
    driver.run()
    assert (driver.ended, driver.states["p"], ends(driver)) == ("KILLED", "KILLED", ["KILLED"])
    assert driver.of(ExecutionEnded) == [ExecutionEnded("uid", EXECUTION_ID, State.KILLED)]


@pytest.mark.usefixtures("one_at_a_time")
def test_a_kill_that_is_repeated_does_not_begin_anew() -> None:
    driver = wide()
    driver.tell(KILL)
    before = sweep(driver)
    assert driver.tell(KILL) == [] and sweep(driver) == before
    assert driver.tell(SweepDue(EXECUTION_ID, before.due + 1)) == []
    driver.tell(SweepDue(EXECUTION_ID, before.due))
    assert sweep(driver).below < before.below
    assert driver.tell(SweepDue(EXECUTION_ID, before.due)) == [], "each timer counts once"


@pytest.mark.usefixtures("one_at_a_time")
def test_what_follows_the_end_begins_once_all_is_killed() -> None:
    driver = wide(afterExecution=[task("z")])
    driver.tell(KILL)
    driver.run()
    assert driver.states["z"] == "SUCCESS" and ends(driver) == ["KILLED"]
    assert isinstance(driver.execution, Ended)
    assert not [it for it in driver.state.values() if isinstance(it, TaskRun | Sweep)]


@pytest.mark.usefixtures("one_at_a_time")
def test_the_end_may_come_before_the_walk_has_met_all() -> None:
    """Of a sequence, whose owner is met last: a result ends it first."""
    driver = Driver(flow(sequential("s", task("a"), task("b")))).create()
    driver.claim(driver.job("a"))
    driver.tell(KILL)
    driver.tell(Result(driver.job("a").task_run_id, 1, "w1", State.KILLED))
    assert (driver.ended, driver.states) == ("KILLED", {"s": "KILLED", "a": "KILLED"})
    driver.run()
    assert ends(driver) == ["KILLED"]


@pytest.mark.usefixtures("one_at_a_time")
def test_late_commands_find_nothing_of_an_ended_execution_that_is_still_being_forgotten() -> None:
    driver = wide()
    jobs = [driver.job(it) for it in "abcd"]
    driver.claim(driver.job("d"))
    for task_id in "bcd":
        driver.result(driver.job(task_id))
    driver.tell(timer_of(driver.runs["a"]))
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"))
    assert driver.ended == "SUCCESS" and sweep(driver).kind == sweeps.FORGET
    before = dict(driver.state)
    for job in jobs:
        (answer,) = driver.tell(Claimed(job.task_run_id, job.epoch, "w1"))
        assert isinstance(answer, Refused)
        assert driver.result(job) == [] and driver.tell(TimerDue(job.task_run_id, 5), KILL) == []
    assert driver.state == before
    driver.run()
    assert not [it for it in driver.state.values() if isinstance(it, TaskRun | Sweep)]


def broken(driver: Driver, command: Any, times: int = 1) -> Any:
    """Fold a command, in which the rules fail."""

    def fail(*_: Any) -> Any:
        raise RuntimeError("planted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExecutionFold, "step", fail)
        for _ in range(times):
            folded = driver.fold_any(command)
            assert folded.poison == "RuntimeError: planted"
    return folded


@pytest.mark.usefixtures("one_at_a_time")
def test_a_quarantine_goes_in_slices_and_nothing_counts_meanwhile() -> None:
    driver = wide()
    broken(driver, KILL)
    assert driver.ended == "KILLING" and sweep(driver).kind == sweeps.BREAK
    before = dict(driver.state)
    job = driver.job("b")
    (answer,) = driver.claim(job)
    assert isinstance(answer, Refused)
    assert driver.result(job) == [] and driver.tell(timer_of(driver.runs["a"])) == []
    assert driver.state == before
    sent = len(driver.of(Job))
    driver.run()
    assert set(driver.states.values()) == {"FAILED"} and ends(driver) == ["FAILED"]
    assert driver.snapshot().error == "quarantined: RuntimeError: planted"
    assert sorted(it.task_run_id[-1] for it in driver.of(Kill)) == ["2", "3"]
    assert len(driver.of(ExecutionEnded)) == 1 and len(driver.of(Job)) == sent
    assert not [it for it in driver.state.values() if isinstance(it, TaskRun | Sweep)]


@pytest.mark.usefixtures("one_at_a_time")
def test_a_quarantine_that_fails_too_ends_the_execution_all_the_same() -> None:
    driver = wide()
    broken(driver, KILL)
    broken(driver, SweepDue(EXECUTION_ID, sweep(driver).due))
    assert driver.ended == "FAILED" and isinstance(driver.execution, Ended)
    broken(driver, SweepDue(EXECUTION_ID, sweep(driver).due))
    assert sweep_key(EXECUTION_ID) not in driver.state, "it is not tried for ever"


@pytest.mark.usefixtures("one_at_a_time")
def test_a_quarantine_that_fails_too_leaves_nothing_behind_with_workers_and_groups() -> None:
    driver = wide()
    broken(driver, KILL)
    broken(driver, KILL)
    job = driver.job("c")
    assert driver.result(job) == []
    (answer,) = driver.claim(job)
    assert isinstance(answer, Refused)
    driver.tell(WorkerLost("w1"))
    driver.run()
    assert not [it for it in driver.state.values() if isinstance(it, TaskRun | Sweep)]
    (holder,) = [it for it in driver.state.values() if isinstance(it, Holder)]
    assert holder.dead and holder.held == () and driver.state[group_key(DEFAULT_GROUP)] == ROOMY
