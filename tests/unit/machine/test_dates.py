"""Executions that wait for their date."""

from __future__ import annotations

import pytest

from kestrapy.machine.commands import ExecutionDue, ExecutionRequested, FlowResolved, KillRequested
from kestrapy.machine.entities import Ended, Execution
from kestrapy.machine.outputs import Job
from tests.machine_driver import EXECUTION_ID, FLOW_ID, NAMESPACE, Driver, flow, task

DATE = 90_000


def dated(**fields: object) -> Driver:
    return Driver(flow(task("a"), afterExecution=[task("z")])).create(not_before=DATE, **fields)


def test_it_is_created_and_starts_at_its_date() -> None:
    driver = dated()
    assert (driver.ended, driver.jobs) == ("CREATED", [])
    assert driver.snapshot().schedule_date == DATE
    assert isinstance(driver.execution, Execution) and driver.execution.due == DATE
    driver.fold(ExecutionDue(EXECUTION_ID, DATE), at=DATE - 5)
    assert (driver.ended, driver.jobs) == ("RUNNING", ["a"])
    assert driver.snapshot().histories[-1].at == DATE, "the timer's time counts as passed"
    assert driver.run().ended == "SUCCESS"


def test_a_timer_that_it_does_not_want_has_no_effect() -> None:
    driver = dated()
    assert driver.tell(ExecutionDue(EXECUTION_ID, DATE - 1), ExecutionDue("none", DATE)) == []
    driver.tell(ExecutionDue(EXECUTION_ID, DATE))
    assert driver.tell(ExecutionDue(EXECUTION_ID, DATE)) == [], "once"


@pytest.mark.parametrize("date", [1, 1_005])
def test_a_date_that_has_passed_holds_nothing_back(date: int) -> None:
    driver = Driver(flow(task("a"))).create(not_before=date)
    assert driver.jobs == ["a"]
    assert driver.snapshot().schedule_date == date


def test_one_without_a_revision_looks_for_it_at_once_and_waits_then() -> None:
    request = ExecutionRequested("k", NAMESPACE, FLOW_ID, schedule_date=DATE)
    driver = dated(revision=0, requested=request)
    assert driver.tell(ExecutionDue(EXECUTION_ID, DATE)) == [], "its flow is not known yet"
    driver.fold(FlowResolved(EXECUTION_ID, 1), at=DATE)
    assert driver.ended == "RUNNING", "the date passed while it was looked for"
    driver = dated(revision=0, requested=request)
    driver.tell(FlowResolved(EXECUTION_ID, 1))
    assert (driver.ended, driver.jobs) == ("CREATED", [])
    driver.tell(ExecutionDue(EXECUTION_ID, DATE))
    assert driver.jobs == ["a"]


def test_a_kill_comes_before_the_date() -> None:
    driver = dated()
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.histories() == ["CREATED", "KILLED"]
    assert isinstance(driver.execution, Ended) and not driver.of(Job)
    assert driver.tell(ExecutionDue(EXECUTION_ID, DATE)) == []
