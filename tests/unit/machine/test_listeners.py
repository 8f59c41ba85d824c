"""Tasks that run once an execution has its last state: listeners, then afterExecution."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.machine.commands import KillRequested
from kestrapy.machine.entities import Ended
from kestrapy.machine.outputs import Job, Kill
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, FLOW_ID, NAMESPACE, Driver, flow, task

CORE = "io.kestra.plugin.core.condition"
STATUS = f"{CORE}.ExecutionStatus"
EXPRESSION = "io.kestra.core.models.conditions.types.ExpressionCondition"


def listener(*tasks: dict[str, Any], conditions: list[dict[str, Any]] | None = None) -> Any:
    return {"tasks": list(tasks), "conditions": conditions or []}


def test_they_run_after_the_end_and_change_nothing_of_it() -> None:
    listeners = [listener(task("l1"), task("l2")), listener(task("l3"))]
    driver = Driver(flow(task("a"), listeners=listeners, afterExecution=[task("z")]))
    driver.create().run(l1=["fail"], l3=["fail"])
    assert driver.jobs == ["a", "l1", "l2", "l3", "z"]
    assert driver.states["l1"] == "FAILED"
    assert driver.ended == "SUCCESS"
    assert isinstance(driver.execution, Ended)


@pytest.mark.parametrize(
    ("condition", "outcome", "runs"),
    [
        ({"type": STATUS, "in": ["FAILED", "WARNING"]}, "fail", True),
        ({"type": STATUS, "in": ["FAILED", "WARNING"]}, "success", False),
        ({"type": STATUS, "notIn": ["SUCCESS"]}, "fail", True),
        ({"type": STATUS, "notIn": ["SUCCESS"]}, "success", False),
        ({"type": STATUS}, "success", True),
        ({"type": EXPRESSION, "expression": "{{ execution.state == 'FAILED' }}"}, "fail", True),
        ({"type": EXPRESSION, "expression": "{{ outputs.a.value == 'a#1' }}"}, "success", True),
        ({"type": EXPRESSION, "expression": "{{ nowhere }}"}, "success", False),
        ({"type": f"{CORE}.ExecutionFlow", "namespace": NAMESPACE, "flowId": FLOW_ID}, "", True),
        ({"type": f"{CORE}.ExecutionFlow", "namespace": NAMESPACE, "flowId": "f"}, "", False),
        ({"type": f"{CORE}.ExecutionNamespace", "namespace": NAMESPACE}, "", True),
        ({"type": f"{CORE}.ExecutionNamespace", "namespace": NAMESPACE[:2]}, "", False),
        (
            {"type": f"{CORE}.ExecutionNamespace", "namespace": NAMESPACE[:2], "prefix": True},
            "",
            True,
        ),
        (
            {
                "type": f"{CORE}.ExecutionNamespace",
                "namespace": NAMESPACE[-2:],
                "comparison": "SUFFIX",
            },
            "",
            True,
        ),
        ({"type": f"{CORE}.Not", "conditions": [{"type": STATUS, "in": ["FAILED"]}]}, "", True),
        ({"type": f"{CORE}.Not", "conditions": [{"type": STATUS}]}, "", False),
        (
            {
                "type": f"{CORE}.Or",
                "conditions": [{"type": STATUS, "in": ["FAILED"]}, {"type": STATUS}],
            },
            "",
            True,
        ),
        ({"type": f"{CORE}.Or", "conditions": [{"type": STATUS, "in": ["FAILED"]}]}, "", False),
    ],
)
def test_only_where_their_conditions_hold(condition: Any, outcome: str, runs: bool) -> None:
    driver = Driver(flow(task("a"), listeners=[listener(task("l"), conditions=[condition])]))
    driver.create().run(a=[outcome or "success"])
    assert ("l" in driver.jobs) == runs


def test_all_conditions_have_to_hold() -> None:
    conditions = [{"type": STATUS, "in": ["SUCCESS"]}, {"type": STATUS, "notIn": ["SUCCESS"]}]
    driver = Driver(flow(task("a"), listeners=[listener(task("l"), conditions=conditions)]))
    driver.create().run()
    assert driver.jobs == ["a"]


def test_a_kill_ends_those_that_run_and_all_that_would_follow() -> None:
    listeners = [listener(task("l1"), task("l2")), listener(task("l3"))]
    driver = Driver(flow(task("a"), listeners=listeners, afterExecution=[task("z")]))
    driver.create().run(l1=["silent"])
    (kill,) = [it for it in driver.tell(KillRequested(EXECUTION_ID)) if isinstance(it, Kill)]
    driver.result(driver.job("l1"), State.KILLED, kill.worker_id)
    assert driver.jobs == ["a", "l1"]
    assert driver.ended == "SUCCESS"
    assert isinstance(driver.execution, Ended)


def test_of_a_killed_execution_they_run_too() -> None:
    conditions = [{"type": STATUS, "in": ["KILLED"]}]
    driver = Driver(flow(task("a"), listeners=[listener(task("l"), conditions=conditions)]))
    driver.create()
    assert [it.task_id for it in driver.tell(KillRequested(EXECUTION_ID)) if isinstance(it, Job)]


def test_what_stands_after_a_failed_task_of_after_execution_runs() -> None:
    driver = Driver(flow(task("a"), afterExecution=[task("y"), task("z")]))
    driver.create().run(y=["fail"])
    assert driver.states == {"a": "SUCCESS", "y": "FAILED", "z": "SUCCESS"}
