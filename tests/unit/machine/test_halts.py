"""Executions that stand still: paused by request, resumed with inputs, left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kestrapy.machine import sweeps
from kestrapy.machine.commands import (
    ExecutionCreated,
    KillRequested,
    PauseRequested,
    ResumeAnswered,
    ResumeAsked,
    ResumeRequested,
    SettingChanged,
    SweepDue,
)
from kestrapy.machine.entities import Ended, Halt, HeldBack, Sweep, TaskRun, sweep_key
from kestrapy.machine.halts import LOOK_AGAIN, LOOK_AT_LEAST
from kestrapy.machine.outputs import LogEntry
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.model.worker_group import IGNORED
from tests.machine_driver import (
    EXECUTION_ID,
    FLOW_ID,
    NAMESPACE,
    Document,
    Driver,
    constant,
    flow,
    parallel,
    sequential,
    task,
    timer_of,
)

PAUSE = PauseRequested(EXECUTION_ID)
RESUME = ResumeRequested(execution_id=EXECUTION_ID)
OTHER = derive_execution_id(0, 1_000, "other")


def kept(driver: Driver, *kinds: type) -> list[Any]:
    return [it for it in driver.state.values() if isinstance(it, kinds)]


def test_what_runs_goes_on_and_nothing_starts() -> None:
    lists = [sequential("s", task("a"), task("b")), task("c", retry=constant("PT1S"))]
    driver = Driver(flow(parallel("p", *lists), task("z"))).create()
    for task_id in ("a", "c"):
        driver.claim(driver.job(task_id))
    driver.tell(PAUSE)
    assert driver.ended == "PAUSED"
    driver.result(driver.job("a"))
    driver.result(driver.job("c"), State.FAILED)
    driver.tell(timer_of(driver.runs["c"]))
    assert sorted(driver.jobs) == ["a", "c"] and driver.states["c"] == "RETRYING"
    assert driver.tell(PAUSE) == [], "it is paused already"
    driver.tell(RESUME)
    assert driver.ended == "RUNNING" and sorted(driver.jobs[2:]) == ["b", "c"]
    assert driver.tell(RESUME) == []
    assert driver.run().ended == "SUCCESS"
    assert driver.histories() == ["CREATED", "RUNNING", "PAUSED", "RUNNING", "SUCCESS"]
    assert not kept(driver, Halt, HeldBack, Sweep, TaskRun)


def test_one_whose_last_task_ends_ends_when_it_is_resumed() -> None:
    driver = Driver(flow(task("a"))).create()
    driver.claim(driver.job("a"))
    driver.tell(PAUSE)
    driver.result(driver.job("a"))
    assert driver.ended == "PAUSED"
    driver.tell(RESUME)
    assert driver.ended == "SUCCESS"


def test_a_paused_one_can_be_killed_and_what_follows_runs() -> None:
    driver = Driver(flow(task("a"), task("b"), afterExecution=[task("z")])).create()
    driver.claim(driver.job("a"))
    driver.tell(PAUSE)
    driver.result(driver.job("a"))
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.ended == "KILLED" and driver.run().states["z"] == "SUCCESS"
    assert isinstance(driver.execution, Ended) and not kept(driver, Halt, HeldBack)


def test_only_what_runs_can_be_paused() -> None:
    driver = Driver(flow(task("a"))).create(not_before=90_000)
    assert driver.tell(PAUSE, RESUME, PauseRequested(OTHER)) == []
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.tell(PAUSE, RESUME) == []


def test_a_thousand_go_on_a_slice_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SLICE", 3)
    values = [f"{n}" for n in range(10)]
    pause = {"id": "p", "type": "pause"}
    loop = {"id": "e", "type": "forEach", "values": values, "concurrencyLimit": 0, "tasks": [pause]}
    driver = Driver(flow(loop)).create()
    assert driver.ended == "PAUSED"
    driver.tell(RESUME)
    paused = sum(it.state is State.PAUSED for it in kept(driver, TaskRun))
    assert (paused, driver.ended) == (7, "PAUSED")
    assert driver.run().ended == "SUCCESS"


# Inputs of a Pause


def asking(**more: Any) -> Document:
    asked = [{"id": "yes", "type": "BOOL"}, {"id": "why", "type": "STRING", "defaults": "so"}]
    return {"id": "p", "type": "pause", "onResume": asked, **more}


def test_a_resume_brings_what_the_pause_asks_for() -> None:
    shown = task("z", format="{{ outputs.p.onResume.yes }} {{ outputs.p.onResume.why }}")
    driver = Driver(flow(asking(), shown)).create()
    driver.tell(ResumeRequested(execution_id=EXECUTION_ID, inputs='{"yes": "true"}'))
    outputs = json.loads(driver.snapshot("p").outputs)
    assert outputs["onResume"] == {"yes": True, "why": "so"}
    assert outputs["resumed"]["by"] is None and outputs["resumed"]["on"].endswith("Z")
    assert json.loads(driver.job("z").variables)["outputs"] == {
        "p": {"onResume": {"yes": True, "why": "so"}}
    }


@pytest.mark.parametrize("inputs", ["{}", '{"yes": "perhaps"}', "[]"])
def test_a_resume_without_it_is_refused_and_says_so(inputs: str) -> None:
    driver = Driver(flow(asking())).create()
    driver.tell(ResumeRequested(execution_id=EXECUTION_ID, inputs=inputs))
    assert driver.ended == "PAUSED"
    (line,) = driver.of(LogEntry)
    assert line.level == "ERROR" and "it is not resumed" in line.message
    driver.tell(ResumeRequested(driver.runs["p"].id, inputs='{"yes": true}'))
    assert driver.ended == "SUCCESS"


def test_one_that_goes_on_by_itself_has_the_defaults() -> None:
    asked = [{"id": "why", "type": "STRING", "defaults": "so"}]
    pause = {"id": "p", "type": "pause", "pauseDuration": "PT1S", "onResume": asked}
    driver = Driver(flow(pause)).create().run()
    assert json.loads(driver.snapshot("p").outputs)["onResume"] == {"why": "so"}


# The task Resume


def resuming(**more: Any) -> Driver:
    return Driver(flow({"id": "r", "type": "resume", "executionId": OTHER, **more}, task("z")))


def test_the_task_asks_and_waits_for_the_answer() -> None:
    driver = resuming(inputs={"yes": True}, namespace="n", flowId="f").create()
    (asked,) = driver.of(ResumeAsked)
    assert asked == ResumeAsked(OTHER, driver.runs["r"].id, "n", "f", '{"yes":true}')
    assert driver.states == {"r": "RUNNING"}
    driver.tell(ResumeAnswered(asked.task_run_id))
    assert driver.states["r"] == "SUCCESS" and driver.jobs == ["z"]
    assert driver.tell(ResumeAnswered(asked.task_run_id, "late")) == []


def test_an_execution_that_can_not_be_resumed_fails_the_task() -> None:
    driver = resuming().create()
    driver.tell(ResumeAnswered(driver.runs["r"].id, "it is not paused"))
    assert (driver.ended, driver.snapshot("r").error) == ("FAILED", "it is not paused")


@pytest.mark.parametrize("execution_id", ["none", derive_execution_id(7, 1, "x")])
def test_what_is_no_execution_is_not_asked_for(execution_id: str) -> None:
    driver = resuming(executionId=execution_id).create()
    assert driver.ended == "FAILED" and not driver.of(ResumeAsked)
    assert execution_id in driver.snapshot("r").error


def test_the_other_fold_answers() -> None:
    driver = Driver(flow(asking())).create()

    def answer(execution_id: str = EXECUTION_ID, *more: str) -> str:
        (told,) = [
            it
            for it in driver.tell(ResumeAsked(execution_id, "x-0", *more))
            if isinstance(it, ResumeAnswered)
        ]
        assert told.task_run_id == "x-0"
        return told.problem

    assert "there is none" in answer(OTHER)
    assert "not of elsewhere" in answer(EXECUTION_ID, "elsewhere")
    assert "Missing required input:yes" in answer(EXECUTION_ID, NAMESPACE, FLOW_ID)
    assert driver.ended == "PAUSED"
    assert answer(EXECUTION_ID, NAMESPACE, FLOW_ID, '{"yes": true}') == ""
    assert driver.ended == "SUCCESS"
    assert "has ended" in answer(EXECUTION_ID)


# Left alone


def ignore(name: str, content: str = "{}") -> SettingChanged:
    return SettingChanged(IGNORED, name, 1, content)


NAMES = [
    f"execution/{EXECUTION_ID}",
    f"flow/{NAMESPACE}/{FLOW_ID}",
    f"namespace/{NAMESPACE}",
    "tenant/main",
]


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_left_alone_does_not_begin_until_it_is_no_more(name: str) -> None:
    driver = Driver(flow(task("a")))
    driver.tell(ignore(name))
    driver.create()
    assert (driver.ended, driver.jobs) == ("CREATED", [])
    driver.tell(ignore(name, ""))
    (sweep,) = kept(driver, Sweep)
    assert sweep.due == driver.at - 5 + LOOK_AGAIN
    driver.fold(SweepDue(EXECUTION_ID, sweep.due), at=sweep.due)
    assert driver.jobs == ["a"] and driver.run().ended == "SUCCESS"


def test_of_one_that_runs_nothing_more_starts_and_a_pause_stays_one() -> None:
    lists = [sequential("s", task("a"), task("b")), {"id": "p", "type": "pause"}]
    driver = Driver(flow(parallel("x", *lists))).create()
    driver.claim(driver.job("a"))
    driver.tell(ignore(NAMES[1]))
    driver.result(driver.job("a"))
    assert driver.states["a"] == "SUCCESS" and driver.jobs == ["a"]
    driver.tell(ignore(NAMES[1], ""))
    driver.run()
    assert driver.states["b"] == "SUCCESS"
    assert driver.ended == "PAUSED"
    driver.tell(RESUME)
    assert driver.ended == "SUCCESS"


def test_it_is_looked_at_less_and_less_often_and_may_be_killed() -> None:
    driver = Driver(flow(task("a")))
    driver.tell(ignore(NAMES[0]))
    driver.create()
    waits = []
    for _ in range(8):
        (sweep,) = kept(driver, Sweep)
        waits.append(sweep.due - driver.at)
        driver.fold(SweepDue(EXECUTION_ID, sweep.due), at=sweep.due)
    assert waits[:2] == [LOOK_AGAIN, 2 * LOOK_AGAIN] and waits[-1] == LOOK_AT_LEAST
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.ended == "KILLED" and sweep_key(EXECUTION_ID) not in driver.state


def test_others_are_not_left_alone() -> None:
    driver = Driver(flow(task("a")))
    driver.tell(ignore(NAMES[0]), ignore("namespace/tes"), ignore("flow/tests/other"))
    driver.fold(ExecutionCreated(OTHER, NAMESPACE, FLOW_ID, 1))
    assert driver.jobs == ["a"]
