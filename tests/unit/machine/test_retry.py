"""When a failed task run is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.machine.commands import TimerDue
from kestrapy.machine.outputs import Job
from kestrapy.machine.retry import retry_delay
from kestrapy.model.flow import Retry
from kestrapy.model.state import State
from tests.machine_driver import Driver, constant, flow, task


def delays(retry: Retry, count: int, seed: str = "run") -> list[int | None]:
    return [retry_delay(retry, failures, 0, seed) for failures in range(1, count + 1)]


def test_constant() -> None:
    assert delays(Retry("constant", interval=700), 3) == [700, 700, 700]


def test_exponential_grows_up_to_its_longest() -> None:
    retry = Retry("exponential", interval=100, max_interval=1_000, delay_factor=3.0)
    assert delays(retry, 5) == [100, 300, 900, 1_000, 1_000]


def test_exponential_keeps_to_whole_ms_and_survives_any_factor() -> None:
    retry = Retry("exponential", interval=10, max_interval=40, delay_factor=1.25)
    assert delays(retry, 4) == [10, 12, 15, 18]
    steep = Retry("exponential", interval=1_000, max_interval=10**14, delay_factor=1e308)
    assert delays(steep, 3) == [1_000, 10**14, 10**14]


def test_random_is_drawn_by_run_and_attempt() -> None:
    retry = Retry("random", min_interval=1_000, max_interval=1_000_000)
    drawn = delays(retry, 20)
    assert drawn == delays(retry, 20)
    assert drawn != delays(retry, 20, "another run")
    assert len(set(drawn)) == 20
    assert all(it is not None and 1_000 <= it <= 1_000_000 for it in drawn)
    assert drawn[:2] == [527_899, 373_203], "the same in each process and build"
    assert delays(Retry("random", min_interval=5, max_interval=5), 2) == [5, 5]


def test_max_attempts() -> None:
    assert delays(Retry("constant", interval=1, max_attempts=3), 4) == [1, 1, None, None]
    assert delays(Retry("constant", interval=1, max_attempts=1), 1) == [None]


def test_max_duration_counts_the_next_delay() -> None:
    retry = Retry("constant", interval=1_000, max_duration=5_000)
    assert retry_delay(retry, 1, 4_000, "r") == 1_000
    assert retry_delay(retry, 1, 4_001, "r") is None


# In a flow


def failing(**retry: Any) -> Driver:
    return Driver(flow(task("a", retry=constant("PT2S", **retry)), task("b"))).create()


def test_a_retry_waits_for_its_timer() -> None:
    driver = failing()
    driver.run(a=["silent"])
    driver.result(driver.job("a"), State.FAILED, error="no luck")
    run = driver.runs["a"]
    assert (run.state, run.due, run.failures) == (State.RETRYING, driver.at + 2_000, 1)
    assert driver.jobs == ["a"]
    assert driver.snapshot("a").error == "no luck"
    driver.tell(TimerDue(run.id, run.due))
    assert [(it.task_id, it.epoch, it.attempt) for it in driver.of(Job)] == [
        ("a", 1, 1),
        ("a", 2, 2),
    ]


def test_a_success_at_last() -> None:
    driver = failing(maxAttempts=3).run(a=["fail", "fail", "success"])
    assert driver.jobs == ["a", "a", "a", "b"]
    attempts = driver.snapshot("a").attempts
    assert [it.histories[-1].state for it in attempts] == ["FAILED", "FAILED", "SUCCESS"]
    assert [it.epoch for it in attempts] == [1, 2, 3]
    tried = ["SUBMITTED", "RUNNING", "RETRYING"]
    assert driver.histories("a") == ["CREATED", *tried, *tried, "SUBMITTED", "RUNNING", "SUCCESS"]
    assert driver.ended == "SUCCESS"


def test_attempts_run_out() -> None:
    driver = failing(maxAttempts=2).run(a=["fail"])
    assert driver.jobs == ["a", "a"]
    assert driver.states == {"a": "FAILED"}


def test_duration_runs_out() -> None:
    driver = failing(maxDuration="PT5S").run(a=["fail"])
    assert driver.jobs == ["a", "a", "a"], "the third attempt begins 4 s after the first"
    assert driver.ended == "FAILED"


@pytest.mark.parametrize(("warn", "state"), [(True, "WARNING"), (False, "SUCCESS")])
def test_warning_on_retry(warn: bool, state: str) -> None:
    driver = failing(warningOnRetry=warn).run(a=["fail", "success"])
    assert driver.states == {"a": state, "b": "SUCCESS"}
    assert driver.ended == state
    assert failing(warningOnRetry=warn).run().states["a"] == "SUCCESS"


def test_a_lost_attempt_does_not_count() -> None:
    driver = failing(maxAttempts=2, warningOnRetry=True).run(a=["lost", "lost", "fail", "success"])
    assert driver.jobs == ["a", "a", "a", "a", "b"]
    assert driver.states["a"] == "WARNING"
    assert [it.attempt for it in driver.of(Job)] == [1, 1, 1, 2, 1]
