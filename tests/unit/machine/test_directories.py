"""A WorkingDirectory in the fold: one job, and a task run for each of its tasks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kestrapy.machine.commands import KillRequested, Result, Returned, TaskReport, WorkerLost
from kestrapy.machine.entities import TaskRun
from kestrapy.machine.outputs import ExecutionEvent, Job, Output
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, Document, Driver, flow, task

S = State


def directory(*tasks: Document, **properties: Any) -> Document:
    return {"id": "dir", "type": "workingDirectory", "tasks": list(tasks), **properties}


def begun(*tasks: Document, **properties: Any) -> Driver:
    """A flow with such a directory, whose job w1 owns."""
    driver = Driver(flow(directory(*tasks, **properties))).create()
    driver.claim(driver.job("dir"))
    return driver


def report(
    driver: Driver, place: int, *states: State, worker: str = "w1", attempt: int = 1, **fields: Any
) -> list[Output]:
    job, said = driver.job("dir"), []
    for state in states:
        fence = (job.task_run_id, job.epoch, worker, place)
        said.append(TaskReport(*fence, attempt, state, **fields))
        attempt += state is S.RETRYING
    return driver.tell(*said)


def told(driver: Driver) -> list[tuple[str, str]]:
    """Task and state of each event of a task run, in order."""
    runs = [it.task_run for it in driver.of(ExecutionEvent) if it.task_run is not None]
    return [(it.task_id, str(it.state)) for it in runs]


def test_one_job_carries_all_tasks_and_what_they_read() -> None:
    first = task("a", format="{{ inputs.n }} {{ outputs.before.value }}")
    second = task("b", format="{{ outputs.a.value }}", runIf="{{ labels.team == 'x' }}")
    off = task("off", format="{{ vars.unread }}", disabled=True)
    made = flow(
        task("before"),
        directory(first, off, second, errors=[task("handler", format="{{ vars.unread }}")]),
        inputs=[{"id": "n", "type": "INT"}],
        variables={"unread": "x"},
    )
    driver = Driver(made).create(inputs='{"n":7}', labels={"team": "x"})
    driver.claim(driver.job("before"))
    driver.result(driver.job("before"), outputs='{"value":1}')

    job = driver.job("dir")
    assert driver.jobs == ["before", "dir"]
    assert job.children == [f"{EXECUTION_ID}-2", f"{EXECUTION_ID}-3"]
    assert msgspec.json.decode(job.variables) == {
        "inputs": {"n": 7},
        "labels": {"team": "x"},
        "outputs": {"before": {"value": 1}},
    }
    assert [it["id"] for it in msgspec.json.decode(job.task)["tasks"]] == ["a", "off", "b"]
    assert "errors" not in msgspec.json.decode(job.task)


def test_a_task_is_told_from_its_first_report_on() -> None:
    driver = begun(task("a"), task("b"))
    assert set(driver.states) == {"dir"}
    report(driver, 0, S.RUNNING)
    report(driver, 0, S.SUCCESS, outputs='{"value":1}')
    assert driver.states == {"dir": "RUNNING", "a": "SUCCESS"}
    snapshot = driver.snapshot("a")
    assert snapshot.outputs == '{"value":1}' and snapshot.parent_id == f"{EXECUTION_ID}-0"
    assert [(it.epoch, it.worker_id) for it in snapshot.attempts] == [(1, "w1")]
    driver.result(driver.job("dir"))
    assert driver.ended == "SUCCESS"
    assert set(driver.states) == {"dir", "a"}, "b never began: nobody was told of it"


@pytest.mark.parametrize(
    "wrong",
    [
        {"worker_id": "w2"},
        {"epoch": 0},
        {"epoch": 2},
        {"child": -1},
        {"child": 2},
        {"state": S.PAUSED},
        {"task_run_id": f"{EXECUTION_ID}-1"},
        {"task_run_id": "nobody-0"},
    ],
)
def test_a_report_counts_from_the_owner_of_the_epoch_alone(wrong: dict[str, Any]) -> None:
    driver = begun(task("a"), task("b"))
    fields = {
        "task_run_id": f"{EXECUTION_ID}-0",
        "epoch": 1,
        "worker_id": "w1",
        "child": 0,
        "attempt": 1,
    }
    assert driver.tell(TaskReport(**{**fields, "state": S.RUNNING, **wrong})) == []
    assert set(driver.states) == {"dir"}


def test_no_worker_may_claim_or_end_a_task_of_a_directory() -> None:
    driver = begun(task("a"))
    report(driver, 0, S.RUNNING)
    run = driver.runs["a"]
    assert [type(it).__name__ for it in driver.claim(run, "w2")] == ["Refused"]
    assert driver.tell(Result(run.id, 1, "w1", S.SUCCESS), Returned(run.id, 1, "w1")) == []
    assert driver.states["a"] == "RUNNING"


def test_what_was_said_of_an_end_stands_in_its_epoch() -> None:
    driver = begun(task("a"))
    report(driver, 0, S.RUNNING, S.SUCCESS)
    assert report(driver, 0, S.RUNNING) == report(driver, 0, S.FAILED) == []
    assert driver.states["a"] == "SUCCESS"


def test_each_attempt_of_a_task_is_one_of_its_run() -> None:
    driver = begun(task("a"))
    report(driver, 0, S.RUNNING, S.RETRYING, S.RUNNING, S.SUCCESS)
    attempts = [str(it.histories[-1].state) for it in driver.snapshot("a").attempts]
    assert attempts == ["FAILED", "SUCCESS"]
    assert report(driver, 0, S.RETRYING) == report(driver, 0, S.RUNNING, attempt=2) == []
    expected = ["CREATED", "RUNNING", "RETRYING", "RUNNING", "SUCCESS"]
    assert driver.histories("a") == expected


def test_an_end_without_a_beginning_has_an_attempt_and_a_skipped_task_none() -> None:
    driver = begun(task("a"), task("b"))
    report(driver, 0, S.SUCCESS)
    report(driver, 1, S.SKIPPED)
    assert driver.histories("a") == ["CREATED", "RUNNING", "SUCCESS"]
    assert driver.histories("b") == ["CREATED", "SKIPPED"]
    assert driver.runs["b"].attempts == ()


def test_a_failure_may_be_allowed() -> None:
    driver = begun(task("a", allowFailure=True))
    report(driver, 0, S.RUNNING, S.FAILED, error="oh")
    assert driver.states["a"] == "WARNING"
    driver.result(driver.job("dir"), S.WARNING)
    assert driver.ended == "WARNING"


def test_outputs_that_are_no_object_fail_the_task_and_its_directory() -> None:
    driver = begun(task("a"))
    report(driver, 0, S.SUCCESS, outputs="[]")
    assert driver.states["a"] == "FAILED"
    assert "JSON object" in driver.snapshot("a").error
    driver.result(driver.job("dir"), S.SUCCESS)
    assert driver.ended == "FAILED"


def test_errors_and_finally_are_tasks_of_their_own() -> None:
    driver = begun(task("a"), errors=[task("mend")], **{"finally": [task("tidy")]})
    report(driver, 0, S.RUNNING, S.FAILED)
    driver.result(driver.job("dir"), S.FAILED, error="its task a FAILED")
    driver.run()
    assert driver.jobs == ["dir", "mend", "tidy"]
    assert driver.states == {"dir": "FAILED", "a": "FAILED", "mend": "SUCCESS", "tidy": "SUCCESS"}
    assert driver.snapshot("dir").error == "its task a FAILED"
    assert driver.histories("dir") == ["CREATED", "SUBMITTED", "RUNNING", "FAILED"]


def test_a_lost_directory_runs_again_from_its_first_task() -> None:
    driver = begun(task("a"), task("b"))
    report(driver, 0, S.RUNNING, S.SUCCESS, outputs='{"value":1}')
    report(driver, 1, S.RUNNING)
    driver.tell(WorkerLost("w1"))
    assert (driver.states["a"], driver.states["b"]) == ("SUBMITTED", "SUBMITTED")
    assert driver.snapshot("a").outputs == "{}"

    driver.claim(driver.job("dir"), "w2")
    assert report(driver, 1, S.SUCCESS, worker="w1") == [], "the lost worker has no say any more"
    report(driver, 0, S.RUNNING, S.SUCCESS, worker="w2", outputs='{"value":2}')
    report(driver, 1, S.RUNNING, S.SUCCESS, worker="w2")
    driver.result(driver.job("dir"), worker="w2")
    assert driver.ended == "SUCCESS"
    assert driver.snapshot("a").outputs == '{"value":2}'
    ended = {
        name: [(it.epoch, str(it.histories[-1].state)) for it in driver.snapshot(name).attempts]
        for name in ("a", "b")
    }
    assert ended == {
        "a": [(1, "SUCCESS"), (2, "SUCCESS")],
        "b": [(1, "RESUBMITTED"), (2, "SUCCESS")],
    }
    assert len({it.task_run.id for it in driver.of(ExecutionEvent) if it.task_run}) == 3


def test_a_retry_begins_with_the_first_task_again() -> None:
    driver = begun(task("a"), retry={"type": "constant", "interval": "PT1S", "maxAttempts": 2})
    report(driver, 0, S.RUNNING, S.FAILED)
    driver.result(driver.job("dir"), S.FAILED)
    assert driver.states["dir"] == "RETRYING"
    driver.run(dir=["success"])
    assert driver.jobs == ["dir", "dir"]


def test_a_kill_ends_what_runs_inside_with_the_directory() -> None:
    driver = begun(task("a"), errors=[task("mend")])
    report(driver, 0, S.RUNNING)
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.states["a"] == "RUNNING", "its worker is asked"
    driver.result(driver.job("dir"), S.KILLED)
    assert driver.states == {"dir": "KILLED", "a": "KILLED"}
    assert driver.ended == "KILLED" and driver.jobs == ["dir"]


def test_a_kill_while_it_waits_again_ends_it_all() -> None:
    driver = begun(task("a"))
    report(driver, 0, S.RUNNING, S.SUCCESS)
    driver.tell(WorkerLost("w1"), KillRequested(EXECUTION_ID))
    assert driver.states == {"dir": "KILLED", "a": "KILLED"}


def test_nobody_reads_a_task_that_has_not_begun() -> None:
    reader = task("reader", format="{{ outputs.a ?? 'none' }}{{ outputs.b.value ?? 'none' }}")
    made = flow({"id": "p", "type": "parallel", "tasks": [directory(task("a"), task("b")), reader]})
    driver = Driver(made).create()
    assert msgspec.json.decode(driver.job("reader").variables) == {"outputs": {}}


def test_within_a_loop_its_outputs_are_found_by_the_values() -> None:
    inner = directory(task("a", format="{{ taskrun.value }}"))
    loop = {"id": "each", "type": "forEach", "values": ["x", "y"], "tasks": [inner]}
    made = flow(loop, task("reader", format="{{ outputs.a.y.value }}"))
    driver = Driver(made).create()
    for value in ("x", "y"):
        job = driver.job("dir")
        assert job.values == [value]
        assert msgspec.json.decode(job.variables) == {"taskrun": {"value": value}}
        driver.claim(job)
        report(driver, 0, S.RUNNING, S.SUCCESS, outputs=f'{{"value":"{value}!"}}')
        driver.result(job)
    found = msgspec.json.decode(driver.job("reader").variables)
    assert found == {"outputs": {"a": {"y": {"value": "y!"}}}}


def test_a_directory_whose_run_if_is_false_has_no_tasks() -> None:
    driver = Driver(flow(directory(task("a"), runIf="false"))).create()
    assert driver.states == {"dir": "SKIPPED"} and driver.of(Job) == []
    assert not [it for it in driver.state.values() if isinstance(it, TaskRun)]


def test_a_directory_that_no_group_may_run_is_handled_as_a_failed_one() -> None:
    made = directory(task("a"), workerSelector={"tags": ["nowhere"]}, errors=[task("mend")])
    driver = Driver(flow(made)).create().run()
    assert driver.states == {"dir": "FAILED", "mend": "SUCCESS"}
    assert driver.ended == "FAILED"
    assert told(driver)[-1] == ("dir", "FAILED")


def test_what_has_begun_is_not_skipped_any_more() -> None:
    driver = begun(task("a"))
    report(driver, 0, S.RUNNING)
    assert report(driver, 0, S.SKIPPED) == report(driver, 0, S.SKIPPED, attempt=2) == []
    report(driver, 0, S.RETRYING)
    assert report(driver, 0, S.SKIPPED) == report(driver, 0, S.SKIPPED, attempt=2) == []
    assert driver.histories("a") == ["CREATED", "RUNNING", "RETRYING"]
