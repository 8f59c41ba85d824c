"""Retries of whole executions, and executions that are made for later."""

from __future__ import annotations

from typing import Any

from kestrapy.machine.commands import ExecutionDue, ExecutionSubmitted, KillRequested, Lineage
from kestrapy.machine.entities import Ended
from kestrapy.machine.intake import step as intake_step
from kestrapy.machine.outputs import Kill
from kestrapy.machine.stage import Arrival
from kestrapy.model.ids import shard_of
from kestrapy.model.state import State
from tests.machine_driver import (
    EXECUTION_ID,
    Driver,
    constant,
    flow,
    parallel,
    plan_of,
    sequential,
    task,
)

ANEW = {"behavior": "CREATE_NEW_EXECUTION"}


def follow(driver: Driver) -> Driver:
    """The next try, as intake makes it, in a partition of its own."""
    (submitted,) = driver.of(ExecutionSubmitted)
    made = intake_step({}, Arrival(submitted, driver.at, 0), driver.at, 0).outputs
    following = Driver(*[])
    following.rules, following.at = driver.rules, driver.at
    following.stage.fold_rules = driver.stage.fold_rules
    following.fold(made[0])  # type: ignore[arg-type]
    return following.run(a=["fail"])


def test_a_failed_task_ends_its_execution_and_another_one_follows() -> None:
    document = flow(task("a", retry=constant("PT10S", maxAttempts=3, **ANEW)), errors=[task("e")])
    driver = Driver(document)
    driver.create(inputs="{}", labels={"x": "y"}).run(a=["fail"])
    assert driver.histories() == ["CREATED", "RUNNING", "RETRIED"]
    assert driver.jobs == ["a"], "another one follows: its errors are not handled"
    assert driver.states == {"a": "FAILED"}
    (submitted,) = driver.of(ExecutionSubmitted)
    assert submitted.lineage == Lineage(EXECUTION_ID, 2, 1_005)
    assert submitted.not_before == driver.at + 10_000
    assert submitted.labels == {"x": "y", "system.correlationId": EXECUTION_ID}
    assert shard_of(submitted.execution_id) == shard_of(EXECUTION_ID)
    second = follow(driver)
    assert second.ended == "RETRIED"
    assert second.snapshot().original_id == EXECUTION_ID
    assert (second.snapshot().attempt, second.snapshot().began) == (2, 1_005)
    third = follow(second)
    assert third.ended == "FAILED", "it was the last try"
    assert third.jobs == ["a", "e"]
    assert not third.of(ExecutionSubmitted)


def test_the_retry_of_a_flow_is_that_of_all_its_tasks() -> None:
    driver = Driver(flow(task("a"), retry=constant(maxAttempts=2, **ANEW)))
    driver.create().run(a=["fail"])
    assert driver.ended == "RETRIED"
    driver = Driver(flow(sequential("s", task("a")), retry=constant(maxAttempts=3)))
    driver.create().run(a=["fail"])
    assert driver.ended == "FAILED"
    assert len(driver.snapshot("a").attempts) == 3


def test_the_nearest_retry_counts() -> None:
    nested = sequential("s", task("a"), task("b", retry=constant(maxAttempts=4)))
    around = parallel("p", nested, task("c"), retry=constant(maxAttempts=2))
    document = flow(around, retry=constant(maxAttempts=9))
    driver = Driver(document)
    driver.create().run(a=["fail", "success"], b=["fail"], c=["fail"])
    attempts = {name: len(driver.snapshot(name).attempts) for name in "abc"}
    assert attempts == {"a": 2, "b": 4, "c": 2}
    plan = plan_of(document)
    assert {name: plan.retry(name).max_attempts for name in "abcps"} == {  # type: ignore[union-attr]
        **{"a": 2, "b": 4, "c": 2},
        **{"p": 2, "s": 2},
    }


def fail_beside_another(driver: Driver) -> None:
    for name in "ab":
        driver.claim(driver.job(name))
    driver.result(driver.job("a"), State.FAILED)


def test_what_else_runs_is_killed_first() -> None:
    failing = task("a", retry=constant(maxAttempts=2, **ANEW))
    driver = Driver(flow(parallel("p", failing, task("b"))))
    driver.create()
    fail_beside_another(driver)
    assert not driver.of(ExecutionSubmitted), "b may still run"
    (kill,) = driver.of(Kill)
    driver.result(driver.job("b"), State.KILLED, kill.worker_id)
    assert driver.histories() == ["CREATED", "RUNNING", "KILLING", "RETRIED"]
    assert driver.states == {"p": "FAILED", "a": "FAILED", "b": "KILLED"}
    assert len(driver.of(ExecutionSubmitted)) == 1


def test_a_kill_meanwhile_is_the_last_word() -> None:
    failing = task("a", retry=constant(maxAttempts=2, **ANEW))
    driver = Driver(flow(parallel("p", failing, task("b"))))
    driver.create()
    fail_beside_another(driver)
    driver.tell(KillRequested(EXECUTION_ID))
    driver.result(driver.job("b"), State.KILLED, "w1")
    assert driver.ended == "KILLED"
    assert not driver.of(ExecutionSubmitted)


def test_a_task_after_the_end_makes_no_new_execution() -> None:
    driver = Driver(flow(task("a"), afterExecution=[task("z")], retry=constant(**ANEW)))
    driver.create().run(z=["fail"])
    assert driver.ended == "SUCCESS"
    assert not driver.of(ExecutionSubmitted)
    assert isinstance(driver.execution, Ended)


def test_the_longest_duration_counts_from_the_first_execution() -> None:
    retry: dict[str, Any] = constant("PT10S", maxDuration="PT60S", **ANEW)
    driver = Driver(flow(task("a", retry=retry)))
    driver.create(lineage=Lineage("first", 5, 1_000), not_before=50_000).run(a=["fail"])
    assert driver.ended == "RETRIED"
    driver = Driver(flow(task("a", retry=retry)))
    driver.create(lineage=Lineage("first", 5, 1_000), not_before=51_000).run(a=["fail"])
    assert driver.ended == "FAILED"


# Executions that are made for later


def test_one_for_later_waits_for_its_date() -> None:
    driver = Driver(flow(task("a")))
    driver.create(not_before=9_000)
    assert driver.histories() == ["CREATED"] and not driver.jobs
    assert not driver.tell(ExecutionDue(EXECUTION_ID, 8_999)), "another one's timer"
    driver.tell(ExecutionDue(EXECUTION_ID, 9_000))
    assert driver.jobs == ["a"]
    assert not driver.tell(ExecutionDue(EXECUTION_ID, 9_000))


def test_a_date_that_has_passed_holds_nothing_back() -> None:
    driver = Driver(flow(task("a")))
    driver.create(not_before=900)
    assert driver.jobs == ["a"]


def test_a_kill_ends_one_that_waits_for_its_date() -> None:
    driver = Driver(flow(task("a")))
    driver.create(not_before=9_000)
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.histories() == ["CREATED", "KILLED"]
    assert not driver.tell(ExecutionDue(EXECUTION_ID, 9_000))
