"""What executions have to keep to, and the checks that they have to pass first."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.language.checks import failed_checks, most_severe, require_checks
from kestrapy.machine.commands import ExecutionDue, KillRequested, SlotDenied, TimerDue
from kestrapy.machine.entities import Execution
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.outputs import Kill, LogEntry
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, Driver, flow, plan_of, task

WORLD = FoldWorld(1_000, "seed")


def longest(duration: str, behavior: str = "FAIL", **more: Any) -> dict[str, Any]:
    return {
        **{"id": "longest", "type": "MAX_DURATION", "duration": duration, "behavior": behavior},
        **more,
    }


def asserted(condition: str, behavior: str = "FAIL", **more: Any) -> dict[str, Any]:
    return {
        **{"id": "asserted", "type": "EXECUTION_ASSERTION", "behavior": behavior},
        **{"assert": condition, **more},
    }


def due_of(driver: Driver) -> int:
    assert isinstance(driver.execution, Execution)
    return driver.execution.due


# Durations


@pytest.mark.parametrize(("behavior", "state"), [("FAIL", "FAILED"), ("CANCEL", "CANCELLED")])
def test_one_that_takes_too_long_is_ended(behavior: str, state: str) -> None:
    document = flow(task("a"), task("b"), errors=[task("e")], sla=[longest("PT10S", behavior)])
    driver = Driver(document).create()
    driver.claim(driver.job("a"))
    assert due_of(driver) == 11_005
    assert driver.tell(ExecutionDue(EXECUTION_ID, 11_004)) == []
    out = driver.tell(ExecutionDue(EXECUTION_ID, 11_005))
    assert [it for it in out if isinstance(it, Kill)]
    assert driver.histories() == ["CREATED", "RUNNING", "KILLING"]
    driver.result(driver.job("a"), State.KILLED)
    assert driver.ended == state and driver.jobs == ["a"]
    assert driver.snapshot().error == "SLA longest is violated: it takes longer than 10000 ms"


def test_one_that_ends_in_time_has_no_timer_left() -> None:
    driver = Driver(flow(task("a"), sla=[longest("PT10S")], afterExecution=[task("z")]))
    driver.create().run(z=["silent"])
    assert driver.ended == "SUCCESS" and due_of(driver) == 0


def test_each_duration_has_its_time() -> None:
    slas = [
        longest("PT10S", "NONE", labels={"slow": "very"}),
        longest("PT3S", "NONE"),
        longest("PT20S"),
    ]
    driver = Driver(flow(task("a"), sla=slas)).create()
    for due in (4_005, 11_005, 21_005):
        assert due_of(driver) == due
        driver.tell(ExecutionDue(EXECUTION_ID, due))
    assert driver.ended == "FAILED"
    assert driver.snapshot().labels["slow"] == "very"
    lines = driver.of(LogEntry)
    assert [it.level for it in lines] == ["WARN", "WARN", "ERROR"]
    assert len({it.sequence for it in lines}) == 3


def test_time_in_a_queue_counts() -> None:
    document = flow(task("a"), sla=[longest("PT10S", "CANCEL")], concurrency={"limit": 1})
    driver = Driver(document).create()
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0), ExecutionDue(EXECUTION_ID, 11_005))
    assert driver.histories() == ["CREATED", "QUEUED", "CANCELLED"]


def test_a_date_that_is_waited_for_does_not_count() -> None:
    driver = Driver(flow(task("a"), sla=[longest("PT10S")])).create(not_before=50_000)
    driver.tell(ExecutionDue(EXECUTION_ID, 50_000))
    assert due_of(driver) == 60_000


def test_one_that_is_being_killed_is_not_late() -> None:
    driver = Driver(flow(task("a"), sla=[longest("PT10S")])).create()
    driver.claim(driver.job("a"))
    driver.tell(KillRequested(EXECUTION_ID), ExecutionDue(EXECUTION_ID, 11_005))
    assert due_of(driver) == 0
    driver.result(driver.job("a"), State.KILLED)
    assert driver.ended == "KILLED"


def test_a_paused_one_is_late_too() -> None:
    pause = {"id": "p", "type": "pause"}
    driver = Driver(flow(pause, sla=[longest("PT10S")])).create()
    driver.tell(ExecutionDue(EXECUTION_ID, 11_005))
    assert driver.ended == "FAILED"


# Assertions


def test_an_assertion_is_asked_as_soon_as_it_can_be() -> None:
    slas = [asserted("{{ outputs.a.value != 'a#1' }}", "CANCEL", labels={"wrong": 1})]
    driver = Driver(flow(task("a"), task("b"), sla=slas)).create().run()
    assert driver.jobs == ["a"]
    assert driver.histories() == ["CREATED", "RUNNING", "CANCELLED"]
    assert driver.snapshot().labels["wrong"] == "1"
    assert "gives false" in driver.snapshot().error


def test_one_that_only_labels_does_so_once_and_all_goes_on() -> None:
    driver = Driver(flow(task("a"), task("b"), sla=[asserted("false", "NONE", labels={"x": "y"})]))
    driver.create().run()
    assert driver.ended == "SUCCESS" and driver.snapshot().labels["x"] == "y"
    assert len(driver.of(LogEntry)) == 1


def test_one_that_holds_or_can_never_be_asked_changes_nothing() -> None:
    driver = Driver(flow(task("a"), sla=[asserted("true"), asserted("{{ nowhere.at.all }}")]))
    driver.create().run()
    assert driver.ended == "SUCCESS" and not driver.of(LogEntry)


def test_what_runs_after_the_end_is_not_judged() -> None:
    slas = [asserted("{{ execution.state == 'RUNNING' }}")]
    driver = Driver(flow(task("a"), sla=slas, afterExecution=[task("z")])).create().run()
    assert driver.ended == "SUCCESS" and driver.states["z"] == "SUCCESS"


# Checks


def checked(condition: str, behavior: str = "BLOCK_EXECUTION", style: str = "ERROR") -> Any:
    return {"condition": condition, "message": "no way", "behavior": behavior, "style": style}


@pytest.mark.parametrize("behavior", ["BLOCK_EXECUTION", "FAIL_EXECUTION"])
def test_a_check_that_fails_keeps_an_execution_from_running(behavior: str) -> None:
    inputs = [{"id": "n", "type": "INT"}]
    document = flow(task("a"), inputs=inputs, checks=[checked("{{ inputs.n > 5 }}", behavior)])
    driver = Driver(document).create(inputs='{"n": 3}')
    assert driver.histories() == ["CREATED", "FAILED"] and not driver.jobs
    assert driver.snapshot().error == "checks failed: no way"
    assert [it.message for it in driver.of(LogEntry)] == ["check failed: no way"]
    assert Driver(document).create(inputs='{"n": 6}').jobs == ["a"]


def test_one_that_only_tells_lets_it_run() -> None:
    document = flow(task("a"), checks=[checked("false", "CREATE_EXECUTION", "WARNING")])
    driver = Driver(document).create()
    assert driver.jobs == ["a"]
    assert [(it.level, it.message) for it in driver.of(LogEntry)] == [
        ("WARN", "check failed: no way")
    ]


def test_checks_and_assertions_know_the_time() -> None:
    early, late = "{{ now() | date('yyyy') == '1970' }}", "{{ now() | date('yyyy') == '1971' }}"
    driver = Driver(flow(task("a"), checks=[checked(early)], sla=[asserted(early)]))
    assert driver.create().run().ended == "SUCCESS"
    driver = Driver(flow(task("a"), checks=[checked(late)]))
    assert driver.create().ended == "FAILED"
    driver = Driver(flow(task("a"), sla=[asserted(late)]))
    assert driver.create().run().ended == "FAILED"


def test_a_limited_one_is_checked_before_it_asks_for_a_slot() -> None:
    document = flow(task("a"), checks=[checked("false")], concurrency={"limit": 1})
    driver = Driver(document).create()
    assert driver.ended == "FAILED"
    assert not [it for it in driver.outputs if type(it).__name__.startswith("Slot")]


def test_the_most_severe_one_counts() -> None:
    checks = [checked("false", f"{it}_EXECUTION") for it in ("CREATE", "FAIL", "BLOCK")]
    read = plan_of(flow(task("a"), checks=checks)).flow
    assert most_severe(failed_checks(read, {}, WORLD)) == "BLOCK_EXECUTION"
    assert most_severe(read.checks[:2]) == "FAIL_EXECUTION"
    assert most_severe(read.checks[:1]) == "CREATE_EXECUTION"
    assert most_severe([]) == ""
    with pytest.raises(Exception, match="Flow execution blocked: no way"):
        require_checks(read, {}, WORLD)
    fewer = plan_of(flow(task("a"), checks=checks[:2])).flow
    require_checks(fewer, {}, WORLD)
    unreadable = plan_of(flow(task("a"), checks=[checked("{{ nowhere.at.all }}")])).flow
    assert failed_checks(unreadable, {}, WORLD), "one that can't be evaluated is not passed"


def test_a_timer_of_a_task_is_none_of_the_execution() -> None:
    driver = Driver(flow(task("a"), sla=[longest("PT10S")])).create()
    assert driver.tell(TimerDue(f"{EXECUTION_ID}-0", 11_005)) == []
