"""Executions that are restarted together with their parent: what the two folds say to each
other.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kestrapy.machine import pictures, restoring, sweeps
from kestrapy.machine.commands import (
    ChildReported,
    ChildWanted,
    ExecutionSubmitted,
    KillRequested,
    Parent,
    RestoringContinued,
    SweepDue,
    TimerDue,
)
from kestrapy.machine.entities import Sweep
from kestrapy.machine.outputs import ExecutionEvent
from kestrapy.machine.restored import FormerChild, RestoredChild, RestoredPart, Restoring
from kestrapy.machine.subflows import PAGE
from kestrapy.machine.timeouts import Timeout
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, Document, Driver, flow, plan_of, task
from tests.unit.machine.test_subflows import PARENT, items, subflow

TOLD = msgspec.structs.replace(PARENT, restoring="r1")
WANTED = ChildWanted(EXECUTION_ID, TOLD)
CHILD = flow(task("a"), task("b"))


def held(document: Document = CHILD, token: str = "r1") -> Driver:
    """A child that has failed, and whose parts wait."""
    driver = Driver(document).create(parent=PARENT).run(b=["fail"])
    assert driver.ended == "FAILED"
    return hold(driver, document, token)


def hold(driver: Driver, document: Document = CHILD, token: str = "r1") -> Driver:
    restart = pictures.Restart.of(driver.stored(), plan_of(document))
    return driver.restore(restart.parts(token, held=True))


def answers(driver: Driver) -> list[ChildReported]:
    return [it for it in driver.of(ChildReported) if it.restoring]


# The child's fold


def test_parts_wait_for_the_word_of_the_parent_and_the_end_is_reported_to_it() -> None:
    driver = held()
    assert driver.ended == "FAILED" and driver.histories()[-1] == "FAILED"
    driver.tell(WANTED)
    driver.run()
    assert driver.histories()[-3:] == ["RESTARTED", "RUNNING", "SUCCESS"]
    assert driver.jobs == ["a", "b", "b"]
    (report,) = answers(driver)
    assert (report.state, report.missing) == (State.SUCCESS, False)
    assert (report.task_run_id, report.restoring) == (PARENT.task_run_id, "r1")


@pytest.mark.parametrize("spoilt", ["none", "other token", "part missing", "replaced", "expired"])
def test_a_parent_is_told_where_its_child_can_not_go_on(spoilt: str) -> None:
    document = flow(*(task(f"t{n}") for n in range(150)))
    driver = Driver(document).create(parent=PARENT).run(t149=["fail"])
    parts = [*pictures.Restart.of(driver.stored(), plan_of(document)).parts("r1", held=True)]
    if spoilt != "none":
        driver.restore(parts[:1] if spoilt == "part missing" else parts)
    if spoilt == "replaced":
        driver.tell(pictures.label(driver.stored(), "r2", {"a": "b"}))
    token = "r0" if spoilt == "other token" else "r1"
    wanted = msgspec.structs.replace(WANTED, parent=msgspec.structs.replace(TOLD, restoring=token))
    later = driver.at + 8 * 24 * 3600 * 1000 if spoilt == "expired" else None
    if later is not None:
        driver.fold(KillRequested("another"), at=later)
    driver.fold(wanted)
    (report,) = answers(driver)
    assert report == ChildReported(
        PARENT.task_run_id, EXECUTION_ID, -1, State.FAILED, restoring=token, missing=True
    )
    assert driver.ended == "FAILED"


def test_parts_that_nobody_asks_for_are_forgotten() -> None:
    driver = held()
    driver.fold(KillRequested("another"), at=driver.at + 8 * 24 * 3600 * 1000)
    assert not [it for it in driver.state.values() if isinstance(it, Restoring | RestoredPart)]


def test_one_that_lives_is_waited_for_unless_another_parent_does() -> None:
    driver = Driver(CHILD).create()
    driver.tell(WANTED)
    other = msgspec.structs.replace(TOLD, task_run_id="00other-0")
    driver.tell(msgspec.structs.replace(WANTED, parent=other))
    driver.run()
    refusal, report = answers(driver)
    assert (refusal.task_run_id, refusal.missing) == ("00other-0", True)
    assert (report.task_run_id, report.state) == (PARENT.task_run_id, State.SUCCESS)


def test_one_that_is_being_killed_is_not_waited_for() -> None:
    driver = Driver(CHILD).create(parent=PARENT)
    job = driver.job("a")
    driver.claim(job)
    driver.tell(KillRequested(EXECUTION_ID), WANTED)
    (report,) = answers(driver)
    assert report.missing


def walking(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A child that was wanted while the shard still forgot its task runs."""
    monkeypatch.setattr(sweeps, "SLICE", 1)
    document = flow(task("a"), task("b"))
    driver = Driver(document).create(parent=PARENT)
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"))
    driver.claim(driver.job("b"))
    driver.result(driver.job("b"), State.FAILED)
    assert [it for it in driver.state.values() if isinstance(it, Sweep)]
    hold(driver, document).tell(WANTED)
    assert driver.ended == "FAILED"
    return driver


def walk(driver: Driver) -> None:
    for sweep in [it for it in driver.state.values() if isinstance(it, Sweep)]:
        driver.tell(SweepDue(sweep.execution_id, sweep.due))


def test_one_that_is_just_being_forgotten_goes_on_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = walking(monkeypatch)
    another = pictures.Restart.of(driver.stored(), plan_of(CHILD)).parts("r9")
    driver.tell(*another)  # the first one counts, and is about to begin
    driver.run()
    assert driver.ended == "SUCCESS"
    assert [it.restoring for it in answers(driver)] == ["r1"]


def test_a_kill_meets_one_that_is_about_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = walking(monkeypatch)
    driver.tell(KillRequested(EXECUTION_ID))
    driver.run()
    assert driver.ended == "KILLED" and driver.jobs == ["a", "b"]
    assert [it.state for it in answers(driver)] == [State.KILLED]


@pytest.mark.parametrize("when", ["at the word", "after the walk"])
def test_a_parent_is_told_of_a_bug_in_the_rules_too(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("planted")

    driver = walking(monkeypatch) if when == "after the walk" else held()
    monkeypatch.setattr(restoring, "_begin", broken)
    if when == "at the word":
        assert driver.fold_any(WANTED).poison == "ValueError: planted"
    else:
        (sweep,) = [it for it in driver.state.values() if isinstance(it, Sweep)]
        assert driver.fold_any(SweepDue(EXECUTION_ID, sweep.due)).poison == "ValueError: planted"
    (report,) = answers(driver)
    assert report.missing


# The parent's fold

CALLER = flow(subflow(), task("last"))


def restart(driver: Driver, document: Document, *children: RestoredChild) -> Driver:
    parts = pictures.Restart.of(driver.stored(), plan_of(document)).parts("p1", children)
    return driver.restore(parts)


def former(state: State = State.FAILED, iteration: int = -1, **fields: Any) -> RestoredChild:
    ordinal = 0 if iteration < 0 else 2
    return RestoredChild(ordinal, iteration, f"former{iteration}", f"r{iteration}", state, **fields)


def failed(document: Document = CALLER, **scripts: list[str]) -> Driver:
    driver = Driver(document).create().run(**(scripts or {"call": ["fail"]}))
    assert driver.ended == "FAILED"
    return driver


def submitted(driver: Driver) -> list[str]:
    return [it.execution_id for it in driver.of(ExecutionSubmitted)]


def test_a_failed_child_is_wanted_again_and_its_report_ends_the_run() -> None:
    driver = restart(failed(), CALLER, former()).run(call=["fail", "success"])
    assert driver.ended == "SUCCESS" and len(submitted(driver)) == 1
    (wanted,) = driver.of(ChildWanted)
    assert wanted == ChildWanted("former-1", Parent(f"{EXECUTION_ID}-0", depth=1, restoring="r-1"))
    outputs = msgspec.json.decode(driver.snapshot("call").outputs)
    assert outputs == {"executionId": "former-1", "state": "SUCCESS", "outputs": {"o": 2}}
    assert not [it for it in driver.state.values() if isinstance(it, FormerChild)]


def test_only_a_report_of_its_new_life_counts() -> None:
    driver = restart(failed(), CALLER, former()).run(call=["fail", "silent"])
    late = ChildReported(f"{EXECUTION_ID}-0", "former-1", -1, State.FAILED)
    assert driver.tell(late) == []
    driver.tell(msgspec.structs.replace(late, state=State.SUCCESS, restoring="r-1"))
    assert driver.run().ended == "SUCCESS"


def test_a_new_one_takes_the_place_of_one_that_can_not_go_on() -> None:
    retry = {"type": "constant", "interval": "PT1S", "maxAttempts": 9}
    document = flow(subflow(retry=retry), task("last"))
    words = ["fail", "killed"]
    driver = Driver(document).create().run(call=words)
    for _ in range(2):
        assert driver.ended == "KILLED"
        words += ["missing", "fail", "killed"]
        restart(driver, document, former(State.KILLED)).run(call=words)
    restart(driver, document, former(State.KILLED)).run(call=[*words, "missing", "success"])
    assert driver.ended == "SUCCESS"
    ids = submitted(driver)
    assert len(set(ids)) == len(ids) == 7
    outputs = msgspec.json.decode(driver.snapshot("call").outputs)
    assert outputs["executionId"] == ids[-1]


def test_where_a_new_one_can_not_start_either_the_run_fails() -> None:
    document = flow(task("name"), subflow(flowId="{{ outputs.name.value }}"))
    driver = failed(document, call=["fail"])
    (first, _) = driver.stored().task_runs
    driver.restore([])
    bare = msgspec.structs.replace(first, outputs='{"value":""}')
    stored = driver.stored()
    spoilt = type(stored)(**{**stored.__dict__, "task_runs": (bare, stored.task_runs[1])})
    again = pictures.Restart.of(spoilt, plan_of(document))
    child = RestoredChild(1, -1, "former", "r", State.FAILED)
    driver.restore(again.parts("p1", [child])).run(call=["fail", "missing"])
    assert driver.ended == "FAILED"
    assert "flowId is empty" in driver.snapshot("call").error


def test_one_that_is_killed_before_it_can_go_on_ends_its_run() -> None:
    driver = restart(failed(), CALLER, former()).run(call=["fail", "silent"])
    out = driver.tell(KillRequested(EXECUTION_ID))
    assert [it for it in out if isinstance(it, KillRequested)] == [KillRequested("former-1")]
    missing = ChildReported(
        f"{EXECUTION_ID}-0", "former-1", -1, State.FAILED, restoring="r-1", missing=True
    )
    driver.tell(missing)
    assert driver.ended == "KILLED" and len(submitted(driver)) == 1


def test_one_that_can_not_go_on_is_not_replaced_once_its_time_is_over() -> None:
    document = flow(subflow(timeout="PT1H"), task("last"))
    driver = restart(failed(document), document, former())
    for _ in range(3):  # a step that was taken has no effect
        driver.tell(*driver.of(RestoringContinued))
    assert driver.states["call"] == "RUNNING"
    (due,) = [it for it in driver.state.values() if isinstance(it, Timeout)]
    out = driver.tell(TimerDue(f"{EXECUTION_ID}-0", due.due))
    assert KillRequested("former-1") in out
    missing = ChildReported(
        f"{EXECUTION_ID}-0", "former-1", -1, State.FAILED, restoring="r-1", missing=True
    )
    driver.tell(missing)
    assert driver.ended == "FAILED" and len(submitted(driver)) == 1


@pytest.mark.parametrize(
    ("properties", "state", "wanted"),
    [
        ({}, State.SUCCESS, 0),
        ({}, State.WARNING, 0),
        ({}, State.KILLED, 1),
        ({}, State.RUNNING, 1),
        ({"transmitFailed": False}, State.FAILED, 0),
        ({"wait": False}, State.FAILED, 0),
        ({"wait": False}, State.RUNNING, 0),
    ],
)
def test_what_a_former_child_has_come_to_decides(
    properties: dict[str, Any], state: State, wanted: int
) -> None:
    document = flow(subflow(**properties), task("last"))
    driver = failed(document, call=["refused"])
    restart(driver, document, former(state, outputs='{"o":7}')).run(call=["refused", "success"])
    assert len(driver.of(ChildWanted)) == wanted and len(submitted(driver)) == 1
    assert driver.ended == ("WARNING" if state is State.WARNING else "SUCCESS")
    outputs = msgspec.json.decode(driver.snapshot("call").outputs)
    assert outputs["executionId"] == "former-1"
    if not wanted:
        given = {} if "wait" in properties else {"state": str(state), "outputs": {"o": 7}}
        assert outputs == {"executionId": "former-1", **given}


def test_one_whose_outputs_its_parent_has_to_ask_for_runs_anew() -> None:
    document = flow(subflow(outputs={"k": "{{ outputs.a.value }}"}))
    driver = failed(document, call=["fail"])
    restart(driver, document, former(State.SUCCESS)).run(call=["fail", "success"])
    assert driver.ended == "SUCCESS" and len(submitted(driver)) == 2


def test_new_executions_are_made_where_the_task_says_so() -> None:
    document = flow(subflow(restartBehavior="NEW_EXECUTION"))
    driver = failed(document)
    assert pictures.Restart.of(driver.stored(), plan_of(document)).callers == []


# Batches

EACH = flow(items())
SPLIT = ["success"]


def batches(count: int, document: Document = EACH) -> Driver:
    """A ForEachItem all of whose batches have failed."""
    driver = Driver(document).create()
    job = driver.job("each_split")
    driver.claim(job)
    outputs = {"numberOfBatches": count, "prefix": "kestra:///b-", "suffix": ".txt"}
    driver.result(job, outputs=msgspec.json.encode(outputs).decode())
    driver.run(each_items=["fail"])
    assert driver.ended == "FAILED"
    return driver


def test_what_went_well_is_taken_over_without_a_word_and_no_command_does_it_all() -> None:
    count = 10 * PAGE
    driver = batches(count)
    big = msgspec.json.encode({"o": "x" * 20_000}).decode()
    children = [
        former(State.FAILED, n) if n % 2 else former(State.SUCCESS, n, outputs=big)
        for n in range(count)
    ]
    parts = [*pictures.Restart.of(driver.stored(), plan_of(EACH)).parts("p1", children)]
    assert all(len(it.children) <= 100 and sum(map(len, it.children)) < 330_000 for it in parts)
    start = len(driver.log)
    driver.restore(parts)
    folding, fold = [], driver.stage.fold

    def measured(arrival: Any) -> Any:
        folded = fold(arrival)
        size = sum(len(msgspec.msgpack.encode(it)) for it in folded.changes.values() if it)
        folding.append((size, len(folded.outputs)))
        return folded

    driver.stage.fold = measured  # type: ignore[method-assign]
    driver.run(each_items=["success"])
    assert max(size for size, _ in folding) < 1_000_000
    assert max(outputs for _, outputs in folding) <= PAGE + 20
    assert driver.ended == "SUCCESS" and len(driver.log) > start
    assert len(driver.of(ChildWanted)) == count // 2 and len(submitted(driver)) == count
    iterations = msgspec.json.decode(driver.snapshot("each_items").outputs)["iterations"]
    assert iterations["SUCCESS"] == count
    assert not [it for it in driver.state.values() if isinstance(it, FormerChild)]


def test_a_batch_that_can_not_go_on_is_run_anew() -> None:
    driver = batches(3)
    children = [former(State.FAILED, n) for n in range(3)]
    parts = pictures.Restart.of(driver.stored(), plan_of(EACH)).parts("p1", children)
    driver.restore(parts).run(each_items=[*["fail"] * 3, "success", "missing", "success"])
    assert driver.ended == "SUCCESS"
    ids = submitted(driver)
    assert len(ids) == len(set(ids)) == 4
    assert driver.of(ExecutionSubmitted)[-1].parent.iteration == 1


def test_all_batches_may_have_gone_well_in_the_meantime() -> None:
    driver = batches(3)
    children = [former(State.SUCCESS, n) for n in range(3)]
    parts = pictures.Restart.of(driver.stored(), plan_of(EACH)).parts("p1", children)
    driver.restore(parts).run()
    assert driver.ended == "SUCCESS" and len(submitted(driver)) == 3
    attempts = driver.snapshot("each_items").attempts
    assert [str(it.histories[-1].state) for it in attempts] == ["FAILED", "SUCCESS"]


def test_a_run_none_of_whose_batches_can_start_is_tried_again() -> None:
    retry = {"type": "constant", "interval": "PT1S", "maxAttempts": 2}
    document = flow(items(flowId="{{ taskrun.iteration / 0 }}", retry=retry))
    driver = Driver(document).create()
    job = driver.job("each_split")
    driver.claim(job)
    driver.result(job, outputs='{"numberOfBatches":2}')
    driver.run()
    assert driver.ended == "FAILED"
    attempts = driver.snapshot("each_items").attempts
    assert [str(it.histories[-1].state) for it in attempts] == ["FAILED", "FAILED"]


def test_events_tell_nothing_twice_of_what_stays() -> None:
    """The batches' run of a merge that runs again gets its outputs back, unseen."""
    driver = Driver(EACH).create()
    job = driver.job("each_split")
    driver.claim(job)
    driver.result(job, outputs='{"numberOfBatches":1}')
    driver.run(each_merge=["fail"])
    assert driver.ended == "FAILED"
    told = len([it for it in driver.of(ExecutionEvent) if _is_of(it, "each_items")])
    child = former(State.SUCCESS, 0, outputs='{"o":9}')
    parts = pictures.Restart.of(driver.stored(), plan_of(EACH)).parts("p1", [child])
    driver.restore(parts).run()
    merging = msgspec.json.decode(driver.job("each_merge").variables)["merging"]
    assert merging["outputs"] == [[0, {"o": 9}]]
    assert driver.ended == "SUCCESS"
    assert told == len([it for it in driver.of(ExecutionEvent) if _is_of(it, "each_items")])


def _is_of(event: ExecutionEvent, task_id: str) -> bool:
    return event.task_run is not None and event.task_run.task_id == task_id
