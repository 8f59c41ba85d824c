"""Timeouts of flowable tasks and of subflows: what is killed, and what comes after."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kestrapy.machine import sweeps
from kestrapy.machine.commands import (
    ChildReported,
    Claimed,
    ExecutionSubmitted,
    KillRequested,
    PauseRequested,
    ResumeRequested,
    TimerDue,
    WorkerLost,
)
from kestrapy.machine.entities import Child, Group, Sweep, TaskRun
from kestrapy.machine.outputs import Granted, Job, Kill, LogEntry, Refused
from kestrapy.machine.pictures import restart
from kestrapy.machine.timeouts import Timeout, timeout_key
from kestrapy.model.state import State
from kestrapy.model.worker_group import DEFAULT_GROUP, GroupSettings
from tests.machine_driver import (
    EXECUTION_ID,
    Document,
    Driver,
    constant,
    flow,
    parallel,
    plan_of,
    sequential,
    task,
)

MESSAGE = "Timeout: the task ran longer than 60000 ms"
MINUTE: Document = {"timeout": "PT1M"}


def timeout_of(driver: Driver, ordinal: int = 0) -> Timeout | None:
    found = driver.state.get(timeout_key(f"{EXECUTION_ID}-{ordinal}"))
    assert found is None or isinstance(found, Timeout)
    return found


def time_out(driver: Driver, ordinal: int = 0) -> list[Any]:
    """The time of this run is over. -> what goes out for it."""
    timeout = timeout_of(driver, ordinal)
    assert timeout is not None
    return driver.tell(TimerDue(timeout.task_run_id, timeout.due))


def each(*tasks: Document, values: Any, **properties: Any) -> Document:
    return {"id": "each", "type": "forEach", "values": values, "tasks": list(tasks), **properties}


def call(**properties: Any) -> Document:
    return {"id": "call", "type": "subflow", "namespace": "other", "flowId": "it", **properties}


FLOWABLES: list[Document] = [
    sequential("s", task("a"), task("b")),
    parallel("s", task("a"), task("b"), concurrent=1),
    each(task("a"), values=["x", "y"], concurrencyLimit=1) | {"id": "s"},
    each(task("a"), task("b"), values=["x"]) | {"id": "s"},
    {"id": "s", "type": "eachSequential", "value": ["x", "y"], "tasks": [task("a")]},
    {"id": "s", "type": "eachParallel", "value": ["x"], "tasks": [task("a")]},
    {
        "id": "s",
        "type": "dag",
        "tasks": [{"task": task("a")}, {"task": task("b"), "dependsOn": ["a"]}],
    },
    {"id": "s", "type": "if", "condition": "true", "then": [task("a"), task("b")]},
    {"id": "s", "type": "switch", "value": "v", "cases": {"v": [task("a"), task("b")]}},
    {"id": "s", "type": "loopUntil", "condition": "false", "tasks": [task("a")]},
]


@pytest.mark.parametrize("document", FLOWABLES, ids=lambda it: it["type"])
def test_what_runs_too_long_is_killed_and_the_flowable_task_has_failed(document: Document) -> None:
    mended = {"errors": [task("mend")], "finally": [task("clean")]}
    driver = Driver(flow(document | MINUTE | mended, task("next"))).create()
    driver.claim(job := driver.job("a"))
    timeout = timeout_of(driver)
    assert timeout is not None and timeout.due == driver.runs["s"].history.start + 60_000
    told = time_out(driver)
    assert [it for it in told if isinstance(it, Kill)] == [Kill("w1", job.task_run_id, 1)]
    lines = [it for it in told if isinstance(it, LogEntry)]
    assert [(it.level, it.message) for it in lines] == [("ERROR", MESSAGE)]
    assert (driver.states["s"], driver.states["a"]) == ("RUNNING", "KILLING")
    assert timeout_of(driver) is None and "mend" not in driver.states, "not before all is killed"
    driver.result(job, State.KILLED)
    driver.run()
    assert driver.states["mend"] == driver.states["clean"] == "SUCCESS"
    assert driver.snapshot("s").error == MESSAGE
    assert (driver.states["s"], driver.states["a"], driver.ended) == ("FAILED", "KILLED", "FAILED")
    assert "next" not in driver.states and "b" not in driver.jobs
    assert {type(it).__name__ for it in driver.state.values()} <= {"Ended", "Holder", "Group"}


def test_an_end_in_time_is_an_end() -> None:
    driver = Driver(flow(sequential("s", task("a"), **MINUTE), task("next"))).create()
    timeout = timeout_of(driver)
    assert timeout is not None
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"))
    assert timeout_of(driver) is None
    assert driver.tell(TimerDue(timeout.task_run_id, timeout.due)) == []
    assert driver.run().ended == "SUCCESS"


def test_a_timer_counts_once_and_only_the_one_that_is_wanted() -> None:
    driver = Driver(flow(sequential("s", task("a"), **MINUTE))).create()
    timeout = timeout_of(driver)
    assert timeout is not None
    before = dict(driver.state)
    assert driver.tell(TimerDue(timeout.task_run_id, timeout.due - 1)) == []
    assert driver.state == before
    driver.claim(driver.job("a"))
    assert time_out(driver) != []
    assert driver.tell(TimerDue(timeout.task_run_id, timeout.due)) == []


@pytest.mark.parametrize(
    ("allowed", "ends"),
    [
        ({"allowFailure": True}, "WARNING"),
        ({"allowFailure": True, "allowWarning": True}, "SUCCESS"),
    ],
)
def test_the_failure_may_be_allowed(allowed: Document, ends: str) -> None:
    driver = Driver(flow(sequential("s", task("a"), **MINUTE, **allowed), task("next")))
    driver.create().run(a=["silent"])
    assert (driver.states["s"], driver.states["next"], driver.ended) == (ends, "SUCCESS", ends)


def test_a_timeout_of_an_allow_failure_is_a_warning() -> None:
    document = {"id": "s", "type": "allowFailure", "tasks": [task("a"), task("b")], **MINUTE}
    driver = Driver(flow(document, task("next"))).create().run(a=["silent"])
    assert driver.states == {"s": "WARNING", "a": "KILLED", "next": "SUCCESS"}


def test_what_handles_errors_and_cleans_up_is_not_limited() -> None:
    document = sequential("s", task("a"), errors=[task("mend")], **MINUTE)
    driver = Driver(flow(document)).create()
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"), State.FAILED)
    assert not [it for it in time_out(driver) if not isinstance(it, Job)]
    assert timeout_of(driver) is None and driver.states["mend"] == "SUBMITTED"
    driver.run()
    assert driver.states["mend"] == "SUCCESS" and driver.snapshot("s").error == ""


def test_killed_children_are_not_tried_again_whatever_their_workers_say() -> None:
    """A result, a return and a loss that come between two slices of the walk."""
    tasks = [task(it, retry=constant()) for it in ("a", "b", "c", "d", "e")]
    driver = Driver(flow(parallel("p", *tasks, **MINUTE))).create()
    for name, worker in zip("abcde", ("w1", "w1", "w2", "w1", "w1"), strict=True):
        driver.claim(driver.job(name), worker)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "SLICE", 1)
        time_out(driver)
        assert driver.states["e"] == "KILLING" and driver.states["d"] == "RUNNING"
        driver.result(driver.job("a"), State.FAILED)
        assert driver.states["a"] == "FAILED"
        driver.result(driver.job("b"))
        assert driver.states["b"] == "SUCCESS", "it was done before it was killed"
        driver.tell(WorkerLost("w2"))
        assert driver.states["c"] == "KILLED"
        answers = driver.claim(driver.job("d"))
        assert [it for it in answers if isinstance(it, Kill)] and driver.states["d"] == "KILLING"
        driver.run()
    assert driver.ended == "FAILED" and len(driver.jobs) == len(tasks)


def test_nothing_begins_in_a_list_that_the_walk_has_not_met_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "SLICE", 1)
    lists = [sequential("one", task("a"), task("b")), sequential("two", task("c"), task("d"))]
    driver = Driver(flow(parallel("p", *lists, **MINUTE))).create()
    driver.claim(driver.job("a"))
    time_out(driver)
    driver.result(driver.job("a"))
    driver.run()
    ended = {"p": "FAILED", "one": "KILLED", "two": "KILLED", "a": "SUCCESS", "c": "KILLED"}
    assert driver.states == ended


def test_what_waits_in_line_is_not_published_though_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "SLICE", 1)
    small = Group(GroupSettings(DEFAULT_GROUP), workers=1, slots=1)
    tasks = [task(f"t{it}") for it in range(8)]
    driver = Driver(flow(parallel("p", *tasks, **MINUTE)), groups=(small,)).create()
    published = list(driver.jobs)
    assert len(published) < len(tasks)
    time_out(driver)
    assert not [it for it in driver.claim(driver.job("t0")) if isinstance(it, Job)]
    assert driver.states["t0"] == "KILLED"
    driver.run()
    assert driver.jobs == published and driver.ended == "FAILED"


def test_a_child_that_was_killed_before_makes_it_no_less_a_failure() -> None:
    driver = Driver(flow(parallel("p", call(), task("a"), **MINUTE))).create()
    reported(driver, 0, State.KILLED)
    assert driver.states["call"] == "KILLED"
    time_out(driver)
    driver.run()
    assert driver.states["p"] == "FAILED"


@pytest.mark.parametrize("slice_of", [1, 100])
def test_all_that_is_within_is_killed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, slice_of: int
) -> None:
    monkeypatch.setattr(sweeps, "SLICE", slice_of)
    within = [
        sequential("deep", parallel("deeper", task("a"), task("b", retry=constant("PT1H")))),
        call(),
        {"id": "wait", "type": "pause"},
        {"id": "dir", "type": "workingDirectory", "tasks": [task("i")]},
        {"id": "asks", "type": "if", "condition": "{{ kv('k') }}", "then": [task("t")]},
    ]
    driver = Driver(flow(parallel("all", task("out"), parallel("p", *within, **MINUTE)))).create()
    for name in ("a", "b", "dir", "out"):
        driver.claim(driver.job(name))
    driver.result(driver.job("b"), State.FAILED)
    assert driver.ended == "PAUSED"
    (child,) = driver.of(ExecutionSubmitted)
    p = driver.runs["p"].ordinal
    sent = len(driver.outputs)
    while timeout_of(driver, p) is not None:
        time_out(driver, p)
    assert driver.ended == "RUNNING", "nothing is paused any more"
    out = driver.outputs[sent:]
    assert {it.execution_id for it in out if isinstance(it, KillRequested)} == {child.execution_id}
    killed = {it.task_run_id for it in out if isinstance(it, Kill)}
    assert killed == {driver.job("a").task_run_id, driver.job("dir").task_run_id}
    (answer,) = driver.claim(driver.job("asks"))
    assert isinstance(answer, Refused)
    driver.run()
    states = driver.states
    assert (states.pop("out"), states.pop("all"), states.pop("p")) == (
        "SUCCESS",
        "FAILED",
        "FAILED",
    )
    assert set(states.values()) == {"KILLED"} and driver.ended == "FAILED"


def test_what_is_held_back_meanwhile_does_not_begin() -> None:
    """The clock goes on while the execution is paused; what handles the error waits for the end of
    that.
    """
    document = sequential("s", task("a"), task("b"), errors=[task("mend")], **MINUTE)
    driver = Driver(flow(document)).create()
    driver.claim(driver.job("a"))
    driver.tell(PauseRequested(EXECUTION_ID))
    driver.result(driver.job("a"))
    time_out(driver)
    assert driver.jobs == ["a"] and driver.ended == "PAUSED"
    driver.tell(ResumeRequested(execution_id=EXECUTION_ID))
    assert driver.jobs == ["a", "mend"]
    assert driver.run().states == {"s": "FAILED", "a": "SUCCESS", "mend": "SUCCESS"}


@pytest.mark.parametrize("first", ["kill", "timeout"])
def test_a_kill_of_the_execution_is_the_last_word(first: str) -> None:
    driver = Driver(flow(sequential("s", task("a"), errors=[task("mend")], **MINUTE))).create()
    driver.claim(driver.job("a"))
    if first == "timeout":
        time_out(driver)
    driver.tell(KillRequested(EXECUTION_ID))
    if first == "kill":
        time_out(driver)
    assert timeout_of(driver) is None
    driver.result(driver.job("a"), State.KILLED)
    assert (driver.ended, driver.states) == ("KILLED", {"s": "KILLED", "a": "KILLED"})


def test_of_two_around_it_the_outer_one_stops_both() -> None:
    inner = sequential("in", task("a"), errors=[task("mend")], timeout="PT1M")
    driver = Driver(flow(sequential("out", inner, timeout="PT30S"))).create()
    driver.claim(driver.job("a"))
    time_out(driver, 0)
    assert (driver.states["in"], driver.states["a"]) == ("KILLING", "KILLING")
    assert [it for it in time_out(driver, 1) if not isinstance(it, Kill)] == []
    driver.result(driver.job("a"), State.KILLED)
    assert driver.states == {"out": "FAILED", "in": "KILLED", "a": "KILLED"}


def test_a_loop_between_two_rounds_ends() -> None:
    often = {"interval": "PT1H"}
    loop = {"id": "l", "type": "loopUntil", "condition": "false", "checkFrequency": often}
    driver = Driver(flow({**loop, "tasks": [task("a")], **MINUTE})).create()
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"))
    time_out(driver)
    assert (driver.states["l"], driver.snapshot("l").error) == ("FAILED", MESSAGE)


def asking() -> Driver:
    """A loop whose condition a worker is to evaluate."""
    loop = {"id": "l", "type": "loopUntil", "condition": "{{ kv('k') }}", "tasks": [task("a")]}
    driver = Driver(flow({**loop, "errors": [task("mend")], **MINUTE})).create()
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"))
    assert driver.jobs == ["a", "l"]
    return driver


def test_a_loop_that_no_worker_answers_ends_all_the_same() -> None:
    driver = asking()
    time_out(driver)
    (answer,) = driver.claim(driver.job("l"))
    assert isinstance(answer, Refused)
    driver.run()
    assert driver.states == {"l": "FAILED", "a": "SUCCESS", "mend": "SUCCESS"}


def test_a_worker_that_evaluates_a_condition_is_waited_for() -> None:
    driver = asking()
    driver.claim(driver.job("l"))
    assert time_out(driver) == []
    due = timeout_of(driver)
    assert due is not None and due.due >= driver.at
    driver.result(driver.job("l"), outputs='{"runIf":true,"properties":{"condition":false}}')
    time_out(driver)
    driver.run()
    assert driver.states == {"l": "FAILED", "a": "SUCCESS", "mend": "SUCCESS"}


# Subflows


def reported(driver: Driver, number: int, state: State) -> None:
    child = driver.of(ExecutionSubmitted)[number]
    assert child.parent is not None
    place = child.parent.iteration
    driver.tell(ChildReported(child.parent.task_run_id, child.execution_id, place, state))


@pytest.mark.parametrize("transmits", [True, False])
@pytest.mark.parametrize("late", [State.KILLED, State.SUCCESS])
def test_a_subflow_is_killed_and_has_failed_once_it_has_ended(late: State, transmits: bool) -> None:
    driver = Driver(flow(call(transmitFailed=transmits, **MINUTE), task("next"))).create()
    (child,) = driver.of(ExecutionSubmitted)
    told = time_out(driver)
    assert KillRequested(child.execution_id) in told and driver.states["call"] == "RUNNING"
    reported(driver, 0, late)
    assert driver.states == {"call": "FAILED"} and driver.ended == "FAILED"
    assert driver.snapshot("call").error == MESSAGE
    assert [str(it.histories[-1].state) for it in driver.snapshot("call").attempts] == ["FAILED"]
    outputs = msgspec.json.decode(driver.snapshot("call").outputs)
    assert outputs == {"executionId": child.execution_id, "state": str(late)}


def test_each_try_of_a_subflow_has_its_time() -> None:
    driver = Driver(flow(call(retry=constant("PT1S", maxAttempts=2), **MINUTE))).create()
    time_out(driver)
    reported(driver, 0, State.KILLED)
    assert driver.states["call"] == "RETRYING" and timeout_of(driver) is None
    run = driver.runs["call"]
    driver.tell(TimerDue(run.id, run.due))
    timeout = timeout_of(driver)
    assert timeout is not None and timeout.due == run.due + 60_000
    assert len(driver.of(ExecutionSubmitted)) == 2
    reported(driver, 1, State.SUCCESS)
    assert (driver.states["call"], driver.ended) == ("SUCCESS", "SUCCESS")


def test_the_time_between_two_tries_of_a_subflow_does_not_count() -> None:
    driver = Driver(flow(call(retry=constant("PT1H"), **MINUTE))).create()
    reported(driver, 0, State.FAILED)
    assert driver.states["call"] == "RETRYING" and timeout_of(driver) is None


def test_a_kill_by_a_timeout_follows_a_child_to_its_next_try() -> None:
    driver = Driver(flow(call(**MINUTE))).create()
    (child,) = driver.of(ExecutionSubmitted)
    time_out(driver)
    report = ChildReported(
        f"{EXECUTION_ID}-0", child.execution_id, -1, State.RETRIED, following="n"
    )
    assert KillRequested("n") in driver.tell(report)


def test_a_subflow_that_nobody_waits_for_fails_if_it_does_not_start_in_time() -> None:
    driver = Driver(flow(call(wait=False, **MINUTE))).create()
    told = time_out(driver)
    assert not [it for it in told if isinstance(it, KillRequested)]
    assert driver.states["call"] == "FAILED" and driver.ended == "FAILED"


def test_a_kill_while_a_subflow_is_being_ended_is_the_last_word() -> None:
    driver = Driver(flow(call(retry=constant(), **MINUTE))).create()
    time_out(driver)
    driver.tell(KillRequested(EXECUTION_ID))
    reported(driver, 0, State.KILLED)
    assert (driver.states["call"], driver.ended) == ("KILLED", "KILLED")


def test_batches_of_a_for_each_item_are_killed() -> None:
    given = {"items": "kestra:///all.txt", "namespace": "other", "flowId": "it"}
    driver = Driver(flow({"id": "each", "type": "forEachItem", **given, **MINUTE})).create()
    driver.claim(driver.job("each_split"))
    driver.result(driver.job("each_split"), outputs='{"numberOfBatches":250}')
    while (run := driver.runs["each_items"]).due:
        driver.tell(TimerDue(run.id, run.due))
    sent = len(driver.outputs)
    told = [time_out(driver)]
    while (run := driver.runs["each_items"]).due:
        told.append(driver.tell(TimerDue(run.id, run.due)))
    assert max(len([it for it in one if isinstance(it, KillRequested)]) for one in told) <= 100
    killed = {it.execution_id for it in driver.outputs[sent:] if isinstance(it, KillRequested)}
    assert killed == {it.execution_id for it in driver.of(ExecutionSubmitted)}
    driver.run()
    assert (driver.states["each_items"], driver.states["each"]) == ("KILLED", "FAILED")


# Costs and restarts


def test_a_command_of_the_walk_costs_the_same_however_much_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def largest(count: int) -> tuple[int, int]:
        """-> changes and bytes of the most that one command did, from the timeout on. The end drops
        each part of the values as well.
        """
        values = [str(it) for it in range(count)]
        document = each(task("a"), values=values, concurrencyLimit=0, **MINUTE)
        driver = Driver(flow(document)).create()
        while (run := driver.runs["each"]).due:
            driver.tell(TimerDue(run.id, run.due))
        assert len(driver.jobs) == count
        costs = []
        while (timeout := timeout_of(driver)) is not None:
            folded = driver.fold(TimerDue(timeout.task_run_id, timeout.due))
            size = len(msgspec.msgpack.encode([*folded.changes.values()]))
            costs.append((len(folded.changes), size))
        assert driver.ended == "FAILED"
        assert set(driver.states.values()) == {"KILLED", "FAILED"}
        return max(costs)

    monkeypatch.setattr(sweeps, "SLICE", 20)
    few, many = largest(100), largest(900)
    assert many[0] <= few[0] + 3 and many[1] < 1.1 * few[1]


def test_a_walk_looks_at_so_many_runs_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those outside, and those that have ended, count too."""
    outside = parallel("out", *(task(f"o{it}") for it in range(30)))
    inside = sequential("in", task("a"), **MINUTE)
    driver = Driver(flow(parallel("all", inside, outside))).create()
    monkeypatch.setattr(sweeps, "GLANCES", 10)
    driver.claim(driver.job("a"))
    slices, p = 0, driver.runs["in"].ordinal
    while timeout_of(driver, p) is not None:
        time_out(driver, p)
        slices += 1
    assert slices >= 3 and driver.states["a"] == "KILLING"
    assert {driver.states[f"o{it}"] for it in range(30)} == {"SUBMITTED"}


def test_a_restart_gives_it_its_time_anew() -> None:
    document = flow(sequential("s", task("a"), task("b"), **MINUTE))
    driver = Driver(document).create().run(b=["fail"])
    assert driver.ended == "FAILED"
    driver.restore(restart(driver.stored(), plan_of(document), "r1")).run(b=["silent"])
    assert (driver.states, driver.ended) == (
        {"s": "FAILED", "a": "SUCCESS", "b": "KILLED"},
        "FAILED",
    )
    assert driver.snapshot("s").error == MESSAGE
    driver.restore(restart(driver.stored(), plan_of(document), "r2")).run()
    assert driver.ended == "SUCCESS" and set(driver.states.values()) == {"SUCCESS"}
    assert not [it for it in driver.state.values() if isinstance(it, Timeout | TaskRun | Sweep)]


def test_a_grant_that_comes_late_is_a_kill() -> None:
    driver = Driver(flow(sequential("s", task("a"), **MINUTE)), groups=()).create()
    job = driver.job("a")
    time_out(driver)
    assert driver.states == {"s": "FAILED", "a": "KILLED"}
    (answer,) = driver.tell(Claimed(job.task_run_id, 1, "w1"))
    assert isinstance(answer, Refused) and not driver.of(Granted)
    assert not [it for it in driver.state.values() if isinstance(it, Child)]
