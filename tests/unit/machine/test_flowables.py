"""Flowable tasks: which of their children run, when, for which values, and how they end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kestrapy.machine.commands import (
    Claimed,
    KillRequested,
    Result,
    ResumeRequested,
    TimerDue,
)
from kestrapy.machine.entities import Ended, TaskRun
from kestrapy.machine.folds import encode_entity
from kestrapy.machine.lists import FAN_OUT
from kestrapy.machine.outputs import ExecutionEvent, Job, LogEntry, TaskRunSnapshot
from kestrapy.machine.stage import Folded, Position, Stage
from kestrapy.machine.sweeps import SLICE
from kestrapy.model.flow import CORRELATION_ID
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, Document, Driver, flow, parallel, sequential, task
from tests.random_histories import output_bytes


def flowable(kind: str, task_id: str, *tasks: Document, **properties: Any) -> Document:
    children = {"tasks": list(tasks)} if tasks else {}
    return {"id": task_id, "type": kind, **children, **properties}


def each(task_id: str, values: Any, *tasks: Document, **properties: Any) -> Document:
    return flowable("forEach", task_id, *tasks, values=values, **properties)


def told(driver: Driver) -> list[TaskRunSnapshot]:
    """Task runs as they were told last, in the order in which they were created."""
    last: dict[str, TaskRunSnapshot] = {}
    for event in driver.of(ExecutionEvent):
        if event.task_run is not None:
            last[event.task_run.id] = event.task_run
    return sorted(last.values(), key=lambda it: it.ordinal)


def names(driver: Driver) -> list[str]:
    """Task runs in the order of their creation, with their values."""
    return [it.task_id + (f"[{it.value}]" if it.value is not None else "") for it in told(driver)]


def outputs(driver: Driver, task_id: str) -> Any:
    return msgspec.json.decode(driver.snapshot(task_id).outputs)


def variables(driver: Driver, task_id: str) -> Any:
    return msgspec.json.decode(driver.job(task_id).variables)


# runIf


def test_a_task_whose_condition_is_false_is_skipped() -> None:
    document = flow(task("a", runIf="{{ false }}"), task("b", runIf="{{ taskrun.id }}"))
    driver = Driver(document).create().run()
    assert driver.states == {"a": "SKIPPED", "b": "SUCCESS"}
    assert driver.histories("a") == ["CREATED", "SKIPPED"]
    assert driver.jobs == ["b"]
    assert driver.ended == "SUCCESS"


def test_a_skipped_flowable_starts_none_of_its_tasks() -> None:
    driver = Driver(flow(sequential("s", task("a"), runIf="false"), task("b"))).create().run()
    assert driver.states == {"s": "SKIPPED", "b": "SUCCESS"}


def test_a_condition_that_can_not_be_told_fails_the_task() -> None:
    document = flow(task("a", runIf="{{ outputs.nowhere.value }}"), task("b"))
    driver = Driver(document).create().run()
    assert driver.states == {"a": "FAILED"}
    assert "nowhere" in driver.snapshot("a").error
    assert [it.task_id for it in driver.of(LogEntry)] == ["a"]
    assert driver.ended == "FAILED"


def test_what_no_worker_had_to_do_with_has_one_attempt_all_the_same() -> None:
    driver = Driver(flow(sequential("s", task("a", runIf="false"), task("b")))).create().run()
    for task_id, states in (
        ("s", ["CREATED", "RUNNING", "SUCCESS"]),
        ("a", ["CREATED", "SKIPPED"]),
    ):
        (attempt,) = driver.snapshot(task_id).attempts
        assert [str(it.state) for it in attempt.histories] == states
        assert (attempt.epoch, attempt.worker_id) == (0, "")
    assert [it.worker_id for it in driver.snapshot("b").attempts] == ["w1"]


# If, Switch, AllowFailure


@pytest.mark.parametrize(
    ("condition", "branch"),
    [("{{ true }}", "yes"), ("1", "yes"), ("{{ 0 }}", "no"), ("false", "no"), ("-0", "no")],
)
def test_an_if_runs_one_of_its_branches(condition: str, branch: str) -> None:
    both = {"then": [task("yes")], "else": [task("no")]}
    document = flow(flowable("if", "i", condition=condition, **both), task("z"))
    driver = Driver(document).create().run()
    assert driver.states == {"i": "SUCCESS", branch: "SUCCESS", "z": "SUCCESS"}
    assert outputs(driver, "i") == {"evaluationResult": branch == "yes"}


def test_an_if_without_else_ends_at_once() -> None:
    document = flow(flowable("if", "i", condition="false", then=[task("a")]))
    assert Driver(document).create().run().states == {"i": "SUCCESS"}


def test_a_failed_branch_runs_the_handlers_of_its_if() -> None:
    handlers = {"errors": [task("e")], "finally": [task("f")]}
    document = flow(flowable("if", "i", condition="true", then=[task("a"), task("b")], **handlers))
    driver = Driver(document).create().run(a=["fail"])
    assert driver.states == {"i": "FAILED", "a": "FAILED", "e": "SUCCESS", "f": "SUCCESS"}


def test_a_switch_runs_the_case_of_its_value() -> None:
    cases = {"x": [task("a")], "true": [task("b")]}
    choice = flowable("switch", "s", value="{{ inputs.n == 3 }}", cases=cases, defaults=[task("d")])
    driver = Driver(flow(choice, inputs=[{"id": "n", "type": "INT", "defaults": 3}]))
    assert driver.create().run().states == {"s": "SUCCESS", "b": "SUCCESS"}
    assert outputs(driver, "s") == {"value": "true", "defaults": False}


def test_a_switch_without_the_case_runs_its_defaults() -> None:
    choice = flowable("switch", "s", value="y", cases={"x": [task("a")]}, defaults=[task("d")])
    driver = Driver(flow(choice)).create().run()
    assert driver.states == {"s": "SUCCESS", "d": "SUCCESS"}
    assert outputs(driver, "s") == {"value": "y", "defaults": True}


def test_a_switch_with_neither_fails() -> None:
    driver = Driver(flow(flowable("switch", "s", value="y", cases={"x": [task("a")]})))
    assert driver.create().run().states == {"s": "FAILED"}
    assert "`y`" in driver.snapshot("s").error


def test_allow_failure_makes_a_warning_of_its_tasks_failures() -> None:
    inner = flowable("allowFailure", "w", task("a"), task("b"), errors=[task("e")])
    driver = Driver(flow(inner, task("c"))).create().run(a=["fail"])
    states = {"w": "WARNING", "a": "FAILED", "e": "SUCCESS", "c": "SUCCESS"}
    assert driver.states == states
    assert driver.ended == "WARNING"


# Values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        ('["a", 1, {"k": 2}]', ["a", "1", '{"k":2}']),
        ({"k": 1, "l": "x"}, ['{"key":"k","value":1}', '{"key":"l","value":"x"}']),
        ("{{ inputs.list }}", ["1", "2"]),
        (["{{ inputs.list[0] }}", "1", True], ["1", "true"]),
    ],
)
def test_the_tasks_of_a_for_each_run_for_each_value(values: Any, expected: list[str]) -> None:
    inputs = [{"id": "list", "type": "JSON", "defaults": "[1, 2]"}]
    driver = Driver(flow(each("e", values, task("a"), task("b")), inputs=inputs)).create().run()
    assert names(driver)[1:] == [f"{it}[{value}]" for value in expected for it in "ab"]
    assert [it.iteration for it in told(driver)[1:]] == [
        n for n in range(len(expected)) for _ in "ab"
    ]
    assert driver.ended == "SUCCESS"


def test_no_value_is_no_work() -> None:
    assert Driver(flow(each("e", [], task("a")))).create().run().states == {"e": "SUCCESS"}


def test_a_null_value_fails_with_kestras_words() -> None:
    driver = Driver(flow(each("e", '[1, null, {"key": "k", "value": [true]}]', task("a"))))
    assert driver.create().run().states == {"e": "FAILED"}
    text = "Found '1' null values on Each, with values=[1, null, {key=k, value=[true]}]"
    assert [it.message for it in driver.of(LogEntry)] == [text]


def test_values_that_are_none_are_refused_when_they_are_known() -> None:
    driver = Driver(flow(each("e", "{{ 5 }}", task("a")))).create().run()
    assert driver.states == {"e": "FAILED"}
    assert "a list, a map" in driver.snapshot("e").error


def test_iterations_side_by_side_are_each_a_sequence() -> None:
    document = flow(each("e", ["x", "y", "z"], task("a"), task("b"), concurrencyLimit=2))
    driver = Driver(document).create()
    assert names(driver) == ["e", "a[x]", "a[y]"]
    driver.claim(driver.of(Job)[1])
    driver.result(driver.of(Job)[1])
    assert names(driver) == ["e", "a[x]", "a[y]", "b[y]"], "its own iteration goes on first"
    driver.claim(driver.of(Job)[2])
    driver.result(driver.of(Job)[2])
    assert names(driver)[4:] == ["a[z]"], "its end makes room for the next value"
    assert driver.run().ended == "SUCCESS"
    assert sorted(names(driver)[1:]) == [f"{it}[{value}]" for it in "ab" for value in "xyz"]


def test_a_failure_lets_no_other_iteration_go_on() -> None:
    document = flow(each("e", ["x", "y", "z"], task("a"), task("b"), task("c"), concurrencyLimit=2))
    driver = Driver(document).create()
    for name in ("a[y]", "a[x]"):
        assert name in names(driver)
    driver.claim(driver.of(Job)[1])
    driver.result(driver.of(Job)[1])
    assert names(driver)[3:] == ["b[y]"]
    driver.claim(driver.of(Job)[0])
    driver.result(driver.of(Job)[0], State.FAILED)
    assert driver.run().ended == "FAILED"
    assert names(driver)[3:] == ["b[y]"], "neither its next task, nor the next value"


def test_a_failure_of_all_iterations_ends_each() -> None:
    document = flow(
        each("e", ["x", "y"], task("a"), task("b"), concurrencyLimit=0, errors=[task("h")])
    )
    driver = Driver(document).create().run(a=["fail"], h=["success"])
    assert names(driver) == ["e", "a[x]", "a[y]", "h"]
    assert driver.ended == "FAILED"


def test_a_failure_ends_a_for_each_in_sequence() -> None:
    driver = Driver(flow(each("e", ["x", "y"], task("a"), task("b")))).create().run(a=["fail"])
    assert names(driver) == ["e", "a[x]"]


def test_the_older_loops_know_one_list_of_all_tasks() -> None:
    one = flowable("eachSequential", "s", task("a"), task("b"), value=["x", "y"])
    driver = Driver(flow(one)).create().run()
    assert names(driver) == ["s", "a[x]", "b[x]", "a[y]", "b[y]"]
    other = flowable("eachParallel", "p", task("a"), task("b"), value='["x", "y"]')
    driver = Driver(flow(other)).create()
    assert names(driver) == ["p", "a[x]", "b[x]", "a[y]", "b[y]"]
    limited = flowable("eachParallel", "p", task("a"), task("b"), value=["x", "y"], concurrent=3)
    assert len(names(Driver(flow(limited)).create())) == 4


def test_disabled_tasks_of_a_loop_have_no_runs() -> None:
    document = flow(each("e", ["x", "y"], task("a", disabled=True), task("b")))
    assert names(Driver(document).create().run()) == ["e", "b[x]", "b[y]"]
    assert names(Driver(flow(each("e", ["x"], task("a", disabled=True)))).create().run()) == ["e"]


def test_an_expression_reads_its_value_and_those_around_it() -> None:
    text = (
        "{{ taskrun.value }} {{ taskrun.iteration }} {{ parent.taskrun.value }}"
        " {{ parents[1].taskrun.value }} {{ parents[0].outputs.evaluationResult }}"
    )
    choice = flowable("if", "i", condition="true", then=[task("deep", format=text)])
    document = flow(each("o", ["x"], each("m", ["y"], sequential("s", choice))))
    driver = Driver(document).create().run()
    read = variables(driver, "deep")
    assert read["taskrun"] == {"value": None, "iteration": None}
    values = [it.get("taskrun", {}).get("value") for it in read["parents"]]
    assert values == [None, "y", "x"], "a Sequential without a value is none of them"
    assert read["parents"][0] == {"outputs": {"evaluationResult": True}}


def test_outputs_are_found_by_the_values_around_their_task() -> None:
    last = task("last", format="{{ outputs.a['x'].value }} {{ outputs.b.y.k.value }}")
    inner = each("m", ["k", "l"], task("b"))
    driver = Driver(flow(each("o", ["x", "y"], task("a"), inner), last)).create().run()
    assert variables(driver, "last") == {
        "outputs": {"a": {"x": {"value": "a#1"}}, "b": {"y": {"k": {"value": "b#1"}}}}
    }


def test_a_job_carries_the_outputs_of_its_own_iteration_only() -> None:
    second = task("b", format="{{ outputs.a[taskrun.value].value }}")
    document = flow(each("e", ["x", "y"], task("a"), second, concurrencyLimit=0))
    driver = Driver(document).create().run()
    read = [msgspec.json.decode(it.variables) for it in driver.of(Job) if it.task_id == "b"]
    assert [it["outputs"] for it in read] == [
        {"a": {"x": {"value": "a#1"}}},
        {"a": {"y": {"value": "a#1"}}},
    ]


def test_who_reads_all_iterations_is_given_all() -> None:
    last = task("last", format="{{ outputs.a }} {{ outputs.b[outputs.c.value] ?? 1 }}")
    document = flow(each("e", ["x", "y"], task("a"), task("b")), task("c"), last)
    driver = Driver(document).create().run()
    read = variables(driver, "last")["outputs"]
    assert read["a"] == {"x": {"value": "a#1"}, "y": {"value": "a#1"}}
    assert read["c"] == {"value": "c#1"}


def test_states_of_tasks_are_found_as_outputs_are() -> None:
    text = "{{ tasks.a.x.state }} {{ tasks.f.state }}"
    handler = task("h", format=text)
    document = flow(each("e", ["x", "y"], task("a")), task("f"), errors=[handler])
    driver = Driver(document).create().run(f=["fail"])
    assert variables(driver, "h") == {
        "tasks": {"a": {"x": {"state": "SUCCESS"}}, "f": {"state": "FAILED"}}
    }


# Dag


def dag(*needs: tuple[str, list[str]], **properties: Any) -> Document:
    items = [{"task": task(name), "dependsOn": others} for name, others in needs]
    return {"id": "g", "type": "dag", "tasks": items, **properties}


def test_a_dag_starts_each_task_once_those_before_it_have_ended() -> None:
    document = flow(dag(("d", ["b", "c"]), ("b", ["a"]), ("c", ["a"]), ("a", [])))
    driver = Driver(document).create()
    assert driver.jobs == ["a"]
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"))
    assert driver.jobs == ["a", "b", "c"]
    driver.claim(driver.job("b"))
    driver.result(driver.job("b"))
    assert driver.jobs == ["a", "b", "c"]
    assert driver.run().jobs == ["a", "b", "c", "d"]
    assert driver.ended == "SUCCESS"


def test_a_disabled_task_of_a_dag_hands_on_what_it_waits_for() -> None:
    items = [
        {"task": task("last"), "dependsOn": ["off2"]},
        {"task": task("off2", disabled=True), "dependsOn": ["off1", "other"]},
        {"task": task("off1", disabled=True), "dependsOn": ["first"]},
        {"task": task("first")},
        {"task": task("other")},
        {"task": task("off", disabled=True)},
        {"task": task("free"), "dependsOn": ["off"]},
    ]
    driver = Driver(flow(flowable("dag", "g", *items))).create()
    assert driver.jobs == ["first", "other", "free"]
    for name in ("other", "first"):
        assert "last" not in driver.jobs
        driver.claim(driver.job(name))
        driver.result(driver.job(name))
    assert driver.run().states["last"] == "SUCCESS"


def test_after_a_failure_only_what_has_begun_in_a_dag_goes_on() -> None:
    document = flow(dag(("a", []), ("b", ["a"]), ("c", []), ("d", ["c"]), ("e", ["b", "d"])))
    driver = Driver(document).create().run(a=["fail"])
    assert driver.states == {"g": "FAILED", "a": "FAILED", "c": "SUCCESS"}


def test_a_dag_starts_all_that_depends_on_nothing_whatever_becomes_of_the_first() -> None:
    failing = flowable("switch", "a", value="y", cases={"x": [task("never")]})
    tasks = [{"task": failing}, {"task": task("b")}, {"task": task("c"), "dependsOn": ["b"]}]
    driver = Driver(flow(flowable("dag", "g", *tasks))).create().run()
    assert driver.states == {"g": "FAILED", "a": "FAILED", "b": "SUCCESS"}


# LoopUntil


def loop(condition: str, *tasks: Document, **properties: Any) -> Document:
    often = {"interval": "PT10S", "maxIterations": 3, **properties.pop("often", {})}
    return flowable(
        "loopUntil", "l", *tasks, condition=condition, checkFrequency=often, **properties
    )


def test_a_loop_runs_until_its_condition_holds() -> None:
    document = flow(loop("{{ outputs.a.value == 'yes' }}", task("a"), task("b")), task("z"))
    driver = Driver(document).create()
    for value in ("no", "yes"):
        started = driver.at
        driver.claim(driver.job("a"))
        driver.result(driver.job("a"), outputs=f'{{"value":"{value}"}}')
        driver.claim(driver.job("b"))
        driver.result(driver.job("b"))
        waiting = driver.runs["l"]
        if value == "no":
            assert waiting.due == driver.at + 10_000 > started
            assert driver.jobs == ["a", "b"], "not before the interval is over"
            driver.tell(TimerDue(waiting.id, waiting.due))
    assert driver.jobs == ["a", "b", "a", "b", "z"]
    assert outputs(driver, "l") == {"iterationCount": 2}
    assert [it.iteration for it in told(driver)] == [-1, 0, 0, 1, 1, -1]


@pytest.mark.parametrize(("failing", "state"), [(True, "FAILED"), (False, "SUCCESS")])
@pytest.mark.parametrize("often", [{}, {"maxIterations": 9, "maxDuration": "PT15S"}])
def test_a_loop_ends_at_its_limits(failing: bool, state: str, often: Document) -> None:
    document = flow(loop("false", task("a"), failOnMaxReached=failing, often=often))
    driver = Driver(document).create().run()
    assert driver.states["l"] == state
    assert driver.jobs == ["a"] * 3
    assert outputs(driver, "l") == {"iterationCount": 4}, "the round that was not run counts"


def test_a_failure_ends_a_loop() -> None:
    driver = Driver(flow(loop("false", task("a"), task("b")))).create().run(a=["fail"])
    assert driver.states == {"l": "FAILED", "a": "FAILED"}


def test_a_condition_of_a_loop_that_can_not_be_told_fails_it() -> None:
    driver = Driver(flow(loop("{{ outputs.nowhere }}", task("a"), errors=[task("e")])))
    assert driver.create().run().states == {"l": "FAILED", "a": "SUCCESS", "e": "SUCCESS"}


# Pause


def pause(*tasks: Document, **properties: Any) -> Document:
    return flowable("pause", "p", *tasks, **properties)


def test_a_pause_waits_until_it_is_resumed() -> None:
    driver = Driver(flow(pause(task("a")), task("z"))).create().run()
    assert driver.ended == "PAUSED"
    assert driver.jobs == []
    driver.tell(ResumeRequested(driver.runs["p"].id))
    assert driver.run().histories("p") == ["CREATED", "RUNNING", "PAUSED", "RUNNING", "SUCCESS"]
    assert driver.histories() == ["CREATED", "RUNNING", "PAUSED", "RUNNING", "SUCCESS"]
    assert driver.jobs == ["a", "z"]


@pytest.mark.parametrize(
    ("behavior", "states"),
    [
        ("RESUME", {"p": "SUCCESS", "z": "SUCCESS"}),
        ("WARN", {"p": "WARNING", "z": "SUCCESS"}),
        ("FAIL", {"p": "FAILED"}),
        ("CANCEL", {"p": "CANCELLED"}),
    ],
)
def test_a_pause_ends_by_itself_as_its_behavior_says(behavior: str, states: dict[str, str]) -> None:
    document = flow(pause(pauseDuration="PT1H", behavior=behavior), task("z"))
    driver = Driver(document).create()
    waiting = driver.runs["p"]
    assert waiting.due == driver.at + 3_600_000
    assert driver.run().states == states
    ends = {"WARN": "WARNING", "RESUME": "SUCCESS", "FAIL": "FAILED", "CANCEL": "CANCELLED"}
    assert driver.ended == ends[behavior]


def test_a_pause_without_an_answer_in_time_fails_with_its_handlers() -> None:
    document = flow(pause(timeout="PT1S", errors=[task("e")], **{"finally": [task("f")]}))
    driver = Driver(document).create().run()
    assert driver.states == {"p": "FAILED", "e": "SUCCESS", "f": "SUCCESS"}
    assert driver.histories("p") == ["CREATED", "RUNNING", "PAUSED", "RUNNING", "FAILED"]


def test_the_task_of_a_pause_runs_while_it_is_paused() -> None:
    driver = Driver(flow(pause(task("a"), onPause=task("o")), task("z"))).create().run()
    assert driver.states == {"p": "PAUSED", "o": "SUCCESS"}
    driver.tell(ResumeRequested(driver.runs["p"].id))
    assert driver.run().jobs == ["o", "a", "z"]
    assert driver.ended == "SUCCESS"


def test_an_execution_is_paused_as_long_as_one_of_its_tasks_is() -> None:
    document = flow(parallel("x", pause(), flowable("pause", "q"), task("a")))
    driver = Driver(document).create().run()
    assert driver.states["a"] == "SUCCESS", "the others go on"
    driver.tell(ResumeRequested(driver.runs["p"].id))
    assert driver.ended == "PAUSED"
    driver.tell(ResumeRequested(driver.runs["q"].id))
    assert driver.ended == "SUCCESS"


def test_a_paused_execution_can_be_killed() -> None:
    driver = Driver(flow(pause(timeout="PT5S"))).create()
    waiting = driver.runs["p"]
    driver.tell(KillRequested(waiting.execution_id))
    assert driver.states == {"p": "KILLED"}
    assert driver.ended == "KILLED"
    assert driver.tell(TimerDue(waiting.id, waiting.due)) == []


def test_a_cancel_kills_what_else_runs() -> None:
    document = flow(parallel("x", pause(pauseDuration="PT1S", behavior="CANCEL"), task("a")))
    driver = Driver(document).create()
    driver.claim(driver.job("a"))
    driver.tell(TimerDue(driver.runs["p"].id, driver.runs["p"].due))
    assert driver.states == {"x": "KILLING", "p": "CANCELLED", "a": "KILLING"}
    assert driver.run().states == {"x": "CANCELLED", "p": "CANCELLED", "a": "KILLED"}
    assert driver.ended == "CANCELLED"


# Costs


def test_one_command_starts_so_many_and_a_timer_the_rest() -> None:
    values = [str(n) for n in range(3 * FAN_OUT - 1)]
    driver = Driver(flow(each("e", values, task("a"), concurrencyLimit=0))).create()
    for round_ in (1, 2):
        assert len(driver.jobs) == round_ * FAN_OUT - 1, "the loop's own run counts"
        waiting = driver.runs["e"]
        assert waiting.due > 0
        driver.tell(TimerDue(waiting.id, waiting.due))
        assert driver.tell(TimerDue(waiting.id, waiting.due)) == [], "once each"
    assert len(driver.jobs) == 3 * FAN_OUT - 1
    assert driver.run().ended == "SUCCESS"


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_records_grow_in_step_with_the_items(limit: int) -> None:
    def cost(size: int) -> tuple[int, int, int]:
        """-> records, their bytes, the bytes of the largest answer to one command."""
        second = task("b", format="{{ outputs.a[taskrun.value].value }}")
        values = [f"{n:05}" for n in range(size)]
        driver = Driver(flow(each("e", values, task("a"), second, concurrencyLimit=limit)))
        driver.create().run()
        assert len(driver.jobs) == 2 * size
        stage = Stage(driver.stage.fold_rules, {}, Position())
        sizes = [len(output_bytes(stage.fold(arrival).outputs)) for arrival in driver.log]
        return len(driver.outputs), sum(sizes), max(sizes)

    costs = [cost(size) for size in (150, 300, 600)]
    (_, _, largest), (some, some_bytes, _), (many, many_bytes, largest_of_many) = costs
    assert many == pytest.approx(2 * some, rel=0.02)
    assert many_bytes == pytest.approx(2 * some_bytes, rel=0.05)
    assert largest_of_many < 1.1 * largest


class Measured(Driver):
    """costs: of each command the entities that it changes, and the bytes of these and of what it
    puts out.
    """

    def __init__(self, *documents: Document):
        super().__init__(*documents)
        self.costs: list[tuple[int, int, int]] = []

    def fold_any(self, *given: Any, **named: Any) -> Folded:
        folded = super().fold_any(*given, **named)
        kept = sum(len(encode_entity(it)) for it in folded.changes.values() if it is not None)
        self.costs.append((len(folded.changes), kept, len(output_bytes(folded.outputs))))
        return folded

    @property
    def largest(self) -> list[int]:
        """The most of each that one command cost."""
        return [max(each) for each in zip(*self.costs, strict=True)]


def looping(size: int, limit: int) -> Measured:
    values = [f"{n:05}" for n in range(size)]
    work = task("a", format="{{ taskrun.value }}")
    return Measured(flow(each("e", values, work, concurrencyLimit=limit)))


def test_ten_thousand_items_cost_each_what_a_hundred_do() -> None:
    def cost(size: int) -> tuple[float, float, list[int]]:
        """-> records and bytes for each item, and the most that one command cost."""
        driver = looping(size, limit=50).create().run()
        length = sum(it[2] for it in driver.costs)
        assert driver.ended == "SUCCESS" and len(driver.state) <= 3, "all is forgotten"
        driver.costs = driver.costs[1:]  # the first one keeps the values, whatever their number
        return len(driver.outputs) / size, length / size, driver.largest

    (records, length, largest), *others = [cost(size) for size in (300, 1_000, 10_000)]
    for each_cost in others:
        assert each_cost[0] <= records
        assert each_cost[1] < 1.03 * length
        more = each_cost[2]
        assert more[0] <= largest[0] + 40, "the values go in parts of 256"
        assert more[1] < 1.05 * largest[1] and more[2] < 1.05 * largest[2]


def test_a_kill_in_the_middle_costs_no_command_more_than_a_slice() -> None:
    def cost(size: int) -> list[int]:
        """What runs is killed by its workers, the rest by the walk. -> most that a command cost."""
        driver = looping(size, limit=0).create()
        while (waiting := driver.runs["e"]).due:
            driver.tell(TimerDue(waiting.id, waiting.due))
        for job in driver.of(Job)[:50]:
            driver.claim(job)
        driver.costs.clear()
        driver.tell(KillRequested(EXECUTION_ID))
        assert (driver.ended, isinstance(driver.execution, Ended)) == ("KILLING", False)
        driver.run()
        assert driver.ended == "KILLED" and driver.states["a"] == "KILLED"
        assert len(driver.state) <= 3, "all is forgotten"
        ends = [it for it in driver.of(ExecutionEvent) if it.execution is not None]
        assert [str(it.execution.state) for it in ends][-2:] == ["KILLING", "KILLED"]
        return driver.largest

    changes, kept, told = cost(300)
    assert changes < 4 * SLICE
    for size in (1_000, 10_000):
        more = cost(size)
        assert more[0] <= changes + 40, "the values go in parts of 256"
        assert more[1] < 1.05 * kept and more[2] < 1.05 * told


def test_nothing_that_is_kept_grows_with_the_items() -> None:
    def largest(size: int) -> int:
        values = [f"{n:05}" for n in range(size)]
        driver = Driver(flow(each("e", values, task("a"), concurrencyLimit=0))).create()
        while (waiting := driver.runs["e"]).due:
            driver.tell(TimerDue(waiting.id, waiting.due))
        assert sum(isinstance(it, TaskRun) for it in driver.state.values()) == size + 1
        return max(len(msgspec.msgpack.encode(it)) for it in driver.state.values())

    assert largest(2_000) < largest(500) + 50


# What follows the end


def test_tasks_after_the_execution_know_how_it_ended() -> None:
    after = [task("x", format="{{ execution.state }} {{ execution.outputs.o }}"), task("y")]
    result = {"id": "o", "type": "STRING", "value": "{{ outputs.a.value }}"}
    document = flow(task("a"), afterExecution=after, outputs=[result])
    driver = Driver(document).create().run(y=["fail"])
    assert driver.states == {"a": "SUCCESS", "x": "SUCCESS", "y": "FAILED"}
    assert driver.ended == "SUCCESS", "they don't change it"
    execution = variables(driver, "x")["execution"]
    assert execution["state"] == "SUCCESS"
    assert execution["outputs"] == {"o": "a#1"}
    assert isinstance(driver.execution, Ended)


@pytest.mark.parametrize("script", ["fail", "silent"])
def test_they_run_after_failures_and_kills_too(script: str) -> None:
    document = flow(task("a"), errors=[task("e")], afterExecution=[task("x")])
    driver = Driver(document).create().run(a=[script])
    if script == "silent":
        driver.tell(KillRequested(driver.runs["a"].execution_id))
        driver.run()
    assert driver.states["x"] == "SUCCESS"
    assert driver.ended == ("FAILED" if script == "fail" else "KILLED")
    assert driver.histories().count(driver.ended) == 1


def test_an_exit_while_it_is_paused_ends_the_pause_too() -> None:
    leave = {"id": "x", "type": "exit", "state": "SUCCESS"}
    driver = Driver(flow(flowable("pause", "p", task("a"), onPause=leave), task("b"))).create()
    assert driver.states == {"p": "SUCCESS", "x": "SUCCESS"}
    assert driver.ended == "SUCCESS"


def test_a_kill_ends_what_runs_after_the_execution() -> None:
    driver = Driver(flow(task("a"), afterExecution=[task("x"), task("y")])).create()
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"))
    assert driver.states["x"] == "SUBMITTED"
    driver.tell(KillRequested(driver.runs["x"].execution_id))
    assert driver.states == {"a": "SUCCESS", "x": "KILLED"}
    assert driver.ended == "SUCCESS"
    assert isinstance(driver.execution, Ended)


def test_a_kill_that_is_repeated_spares_what_runs_after_it() -> None:
    driver = Driver(flow(pause(), afterExecution=[task("x")])).create()
    kill = KillRequested(driver.runs["p"].execution_id)
    driver.tell(kill)
    assert (driver.ended, driver.states["x"]) == ("KILLED", "SUBMITTED")
    assert driver.tell(kill) == []
    assert driver.run().states == {"p": "KILLED", "x": "SUCCESS"}


def test_a_refused_execution_has_nothing_after_it() -> None:
    document = flow(task("a"), afterExecution=[task("x")], disabled=True)
    assert Driver(document).create().states == {}


# What the executor does at once


@pytest.mark.parametrize(
    ("state", "expected"),
    [("KILLED", "KILLED"), ("FAILED", "FAILED"), ("CANCELED", "CANCELLED"), ("WARNING", "WARNING")],
)
def test_an_exit_ends_the_execution_and_the_tasks_around_it(state: str, expected: str) -> None:
    leave = flowable("exit", "out", state=state)
    document = flow(flowable("if", "i", condition="true", then=[leave, task("a")]), task("z"))
    driver = Driver(document).create()
    assert driver.states == {"i": expected, "out": expected}
    assert driver.histories() == ["CREATED", "RUNNING", expected]


def test_an_exit_kills_what_else_runs() -> None:
    leave = sequential("s", task("b"), flowable("exit", "out", state="SUCCESS"))
    driver = Driver(flow(parallel("p", task("a"), leave))).create().run(a=["silent"])
    assert driver.states == {"p": "SUCCESS", "a": "KILLED", "s": "SUCCESS", "b": "SUCCESS"} | {
        "out": "SUCCESS"
    }
    assert driver.ended == "SUCCESS"


def test_labels_are_added_and_told() -> None:
    given = [
        flowable("labels", "m", labels={"a": "{{ inputs.n }}", "old": "new"}),
        flowable("labels", "l", labels=[{"key": "b", "value": True}, {"key": "b", "value": 2}]),
        flowable("labels", "j", labels='{"c": "x"}'),
    ]
    inputs = [{"id": "n", "type": "INT", "defaults": 3}]
    driver = Driver(flow(*given, task("z"), labels={"old": "old"}, inputs=inputs)).create()
    expected = {"old": "new", "a": "3", "b": "2", "c": "x", CORRELATION_ID: EXECUTION_ID}
    assert driver.snapshot().labels == expected
    assert driver.run().ended == "SUCCESS"


def test_labels_of_the_system_can_not_be_set() -> None:
    document = flow(flowable("labels", "l", labels={"system.x": "y"}))
    assert Driver(document).create().states == {"l": "FAILED"}


def test_variables_are_set_and_unset() -> None:
    document = flow(
        flowable("setVariables", "s", variables={"a": "{{ vars.b }}", "n": [1]}),
        task("one", format="{{ vars }}"),
        flowable("unsetVariables", "u", variables=["b"]),
        task("two", format="{{ vars }}"),
        variables={"b": "B"},
    )
    driver = Driver(document).create().run()
    assert variables(driver, "one") == {"vars": {"b": "B", "a": "B", "n": [1]}}
    assert variables(driver, "two") == {"vars": {"a": "B", "n": [1]}}
    assert msgspec.json.decode(driver.snapshot().variables) == {"a": "B", "n": [1]}


def test_variables_within_variables_are_set_and_unset() -> None:
    known = {"deep": {"a": 1, "b": {"c": 2}}, "list": [1, 2], "kept": "x", "a.b": 3}
    fresh = {"deep": {"b": {"d": 3}}, "list": [2, 4], "kept": None}
    document = flow(
        flowable("setVariables", "s", variables=fresh),
        task("one", format="{{ vars }}"),
        flowable("unsetVariables", "u", variables=["deep.b.c", "deep.a", "a.b"]),
        flowable("unsetVariables", "no", variables=["kept.x"]),
        variables=known,
    )
    driver = Driver(document).create().run()
    deep = {"a": 1, "b": {"c": 2, "d": 3}}
    both = {"deep": deep, "list": [1, 2, 4], "kept": "x", "a.b": 3}
    assert variables(driver, "one") == {"vars": both}
    left = {"deep": {"b": {"d": 3}}, "list": [1, 2, 4], "kept": "x"}
    assert msgspec.json.decode(driver.snapshot().variables) == left
    assert driver.snapshot("no").error == "there are no variables kept.x"


@pytest.mark.parametrize(
    ("properties", "state"),
    [
        ({"type": "setVariables", "variables": {"b": 1}, "overwrite": False}, "FAILED"),
        ({"type": "setVariables", "variables": {"c": 1}, "overwrite": False}, "SUCCESS"),
        ({"type": "unsetVariables", "variables": ["c"]}, "FAILED"),
        ({"type": "unsetVariables", "variables": ["c"], "ignoreMissing": True}, "SUCCESS"),
    ],
)
def test_what_is_there_or_not_can_be_minded(properties: Document, state: str) -> None:
    driver = Driver(flow({"id": "t", **properties}, variables={"b": "B"})).create()
    assert driver.states == {"t": state}


def test_a_run_that_is_killed_in_its_line_waits_no_more() -> None:
    driver = Driver(flow(parallel("p", *(task(f"t{n}") for n in range(6)))), groups=()).create()
    driver.claim(driver.job("t0"))
    driver.tell(KillRequested(driver.runs["t0"].execution_id))
    assert [it.task_id for it in driver.runs.values() if it.is_waiting] == []
    assert driver.run().ended == "KILLED"


def test_each_round_of_a_loop_has_a_timer_of_its_own() -> None:
    """Though all of it happens within a millisecond."""
    driver = Driver(flow(loop("false", task("a"), often={"interval": "PT0S"}))).create()
    seen = set()
    for _ in range(3):
        job = driver.job("a")
        driver.fold(Claimed(job.task_run_id, job.epoch, "w1"), at=driver.at)
        driver.fold(Result(job.task_run_id, job.epoch, "w1", State.SUCCESS), at=driver.at)
        if "l" in driver.runs:
            waiting = driver.runs["l"]
            assert waiting.due not in seen
            seen.add(waiting.due)
            driver.fold(TimerDue(waiting.id, waiting.due), at=driver.at)
    assert driver.ended == "SUCCESS"


def test_an_exit_beside_a_pause_ends_it() -> None:
    pause = flowable("pause", "w", onPause=task("x"))
    exit_ = {"id": "e", "type": "exit", "state": "FAILED"}
    driver = Driver(flow(parallel("p", pause, exit_))).create().run()
    assert driver.states == {"p": "FAILED", "w": "FAILED", "e": "FAILED"}
    assert driver.ended == "FAILED"


@pytest.mark.parametrize("later", [False, True])
def test_an_exit_in_what_runs_after_the_end_leaves_no_pause_behind(later: bool) -> None:
    """The execution has ended, and its state stays. A pause of before the exit ends once somebody
    resumes it.
    """
    leave = {"id": "out", "type": "exit", "state": "FAILED"}
    held: Document = {"id": "hold", "type": "pause"}
    after = held | {"onPause": leave}
    if later:
        after = parallel("p", held, sequential("s", task("x"), leave))
    driver = Driver(flow(task("a"), afterExecution=[after])).create().run()
    if later:
        driver.tell(ResumeRequested(driver.runs["hold"].id))
        driver.run()
    assert driver.ended == "SUCCESS" and driver.states["hold"] == "FAILED"
    assert isinstance(driver.execution, Ended)
