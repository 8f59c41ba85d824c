"""Subflows: executions that task runs start, what they are given, and what they report."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec
import pytest

from kestrapy.machine import sweeps
from kestrapy.machine.calls import MOST_NESTED
from kestrapy.machine.commands import (
    ChildReported,
    Command,
    ExecutionDue,
    ExecutionSubmitted,
    FlowResolved,
    KillRequested,
    Parent,
    SlotDenied,
    Source,
    SweepDue,
    TimerDue,
    TriggerFired,
)
from kestrapy.machine.entities import Child, ChildOutputs, Ended, Sweep, TaskRun, sweep_key
from kestrapy.machine.folds import ExecutionFold
from kestrapy.machine.merging import JOB, PART
from kestrapy.machine.outputs import Job, LogEntry
from kestrapy.machine.reports import OUTPUTS_LIMIT
from kestrapy.machine.subflows import MOST_OPEN, PAGE
from kestrapy.model.ids import shard_of
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, Document, Driver, flow, plan_of, task

PARENT = Parent("00parent-0", waits=True)
FIRED = TriggerFired("call", "subflow", variables='{"executionId":"00parent"}')


def subflow(task_id: str = "call", **properties: Any) -> Document:
    called = {"namespace": "other", "flowId": "called", **properties}
    return {"id": task_id, "type": "subflow", **called}


def items(**properties: Any) -> Document:
    given = {"items": "kestra:///all.txt", "inputs": {"i": "{{ taskrun.items }}"}, **properties}
    return {"id": "each", "type": "forEachItem", "namespace": "other", "flowId": "called", **given}


def asked(driver: Driver) -> list[ExecutionSubmitted]:
    return driver.of(ExecutionSubmitted)


def report(child: ExecutionSubmitted, state: State = State.SUCCESS, **fields: Any) -> ChildReported:
    assert child.parent is not None
    parent = child.parent
    return ChildReported(parent.task_run_id, child.execution_id, parent.iteration, state, **fields)


def reports(driver: Driver) -> list[ChildReported]:
    return driver.of(ChildReported)


def outputs(driver: Driver, task_id: str = "call") -> Any:
    return msgspec.json.decode(driver.snapshot(task_id).outputs)


# What is asked for


def test_a_child_is_asked_for_with_what_the_task_says() -> None:
    call = subflow(
        flowId="{{ inputs.which }}",
        revision=3,
        inputs={"n": "{{ inputs.n + 1 }}", "t": "x{{ taskrun.id }}"},
        labels={"k": "{{ flow.id }}"},
        outputs={"o": "{{ outputs.a.value }}"},
    )
    declared = [{"id": "n", "type": "INT"}, {"id": "which", "type": "STRING"}]
    driver = Driver(flow(call, task("b"), inputs=declared))
    driver.create(inputs='{"n":4,"which":"that"}', labels={"system.correlationId": "c1"})
    (child,) = asked(driver)
    assert (child.namespace, child.flow_id, child.revision) == ("other", "that", 0)
    assert msgspec.json.decode(child.inputs) == {"n": 5, "t": f"x{EXECUTION_ID}-0"}
    assert child.labels == {"k": "driven", "system.correlationId": "c1"}
    assert child.parent == Parent(
        f"{EXECUTION_ID}-0", -1, True, 3, 1, {}, '{"o":"{{ outputs.a.value }}"}'
    )
    assert child.trigger is not None
    assert (child.trigger.id, child.trigger.type) == ("call", "io.kestra.plugin.core.flow.Subflow")
    assert msgspec.json.decode(child.trigger.variables) == {
        "executionId": EXECUTION_ID,
        "namespace": "tests",
        "flowId": "driven",
        "flowRevision": 1,
        "taskRunId": f"{EXECUTION_ID}-0",
    }
    assert driver.states == {"call": "RUNNING"}
    assert outputs(driver) == {"executionId": child.execution_id}


def test_labels_are_inherited_where_the_task_says_so() -> None:
    driver = Driver(flow(subflow(inheritLabels=True), labels={"a": "b"})).create(labels={"c": "d"})
    (child,) = asked(driver)
    assert child.parent is not None and child.parent.labels == {"a": "b", "c": "d"}
    assert child.labels == {"system.correlationId": EXECUTION_ID}


def test_children_are_spread_over_shards_and_always_the_same() -> None:
    calls = [subflow(f"call{n}") for n in range(40)]
    document = flow({"id": "p", "type": "parallel", "tasks": calls})
    ids = []
    for _ in range(2):
        driver = Driver(document)
        driver.rules.__dict__["shards"] = 4
        driver.create()
        ids.append([it.execution_id for it in asked(driver)])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 40
    assert {shard_of(it) for it in ids[0]} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"flowId": "{{ '' }}"}, "flowId is empty"),
        ({"revision": "{{ 'x' }}"}, "no number of a revision"),
        ({"inputs": "{{ [1] }}"}, "inputs must be a map"),
        ({"inputs": {"n": "{{ outputs.nowhere.value }}"}}, "nowhere"),
        ({"labels": {"system.x": "1"}}, "labels of the system can't be set"),
        ({"inputs": {"n": "x" * 700_000}}, "write large values to a file"),
    ],
)
def test_what_can_not_be_asked_for_fails_the_task(properties: Document, problem: str) -> None:
    driver = Driver(flow(subflow(**properties))).create().run()
    assert driver.ended == "FAILED"
    assert problem in driver.snapshot("call").error
    assert [problem in it.message for it in driver.of(LogEntry)] == [True]
    assert not asked(driver)


def test_flows_that_call_each_other_in_a_circle_end() -> None:
    deep = Parent("00parent-0", depth=MOST_NESTED)
    driver = Driver(flow(subflow())).create(parent=deep, trigger=FIRED).run()
    assert "in a circle" in driver.snapshot("call").error
    assert driver.ended == "FAILED"
    less = Parent("00parent-0", depth=MOST_NESTED - 1)
    driver = Driver(flow(subflow())).create(parent=less, trigger=FIRED)
    assert asked(driver)[0].parent.depth == MOST_NESTED  # type: ignore[union-attr]


# What comes of it


@pytest.mark.parametrize(
    ("state", "transmit", "ends"),
    [
        ("success", True, "SUCCESS"),
        ("warning", True, "WARNING"),
        ("fail", True, "FAILED"),
        ("killed", True, "KILLED"),
        ("cancelled", True, "SUCCESS"),
        ("fail", False, "SUCCESS"),
        ("warning", False, "SUCCESS"),
        ("refused", False, "FAILED"),
    ],
)
def test_the_task_ends_as_its_child_does(state: str, transmit: bool, ends: str) -> None:
    driver = Driver(flow(subflow(transmitFailed=transmit), task("next"))).create().run(call=[state])
    assert driver.states["call"] == ends
    assert ("next" in driver.states) == (ends in ("SUCCESS", "WARNING"))
    assert driver.ended == ends
    assert {type(it) for it in driver.state.values()} & {Child, TaskRun} == set()


def test_what_a_child_is_asked_for_is_not_read_here() -> None:
    call = subflow(outputs={"o": "{{ outputs.a.value }}"}, inputs={"n": "{{ outputs.b.value }}"})
    assert plan_of(flow(call)).reads("call").names == (("outputs", "b", "value"),)


def test_a_task_has_its_childs_outputs() -> None:
    document = flow(subflow(), task("next", format="{{ outputs.call.outputs.o }}"))
    driver = Driver(document).create().run()
    (child,) = asked(driver)
    wanted = {"executionId": child.execution_id, "state": "SUCCESS", "outputs": {"o": 1}}
    assert outputs(driver) == wanted
    assert msgspec.json.decode(driver.job("next").variables)["outputs"] == {
        "call": {"outputs": {"o": 1}}
    }
    assert driver.histories("call") == ["CREATED", "RUNNING", "SUCCESS"]
    assert [it.histories[-1].state for it in driver.snapshot("call").attempts] == ["SUCCESS"]


def test_a_task_that_does_not_wait_goes_on_when_its_child_has_started() -> None:
    driver = Driver(flow(subflow(wait=False), task("next"))).create()
    (child,) = asked(driver)
    assert child.parent is not None and not child.parent.waits
    assert driver.jobs == []
    driver.tell(report(child, State.RUNNING))
    assert driver.jobs == ["next"]
    assert outputs(driver) == {"executionId": child.execution_id}
    refused = Driver(flow(subflow(wait=False))).create().run(call=["refused"])
    assert refused.ended == "FAILED"
    assert "no such flow" in refused.snapshot("call").error


def test_a_report_counts_once_and_only_of_the_child_that_is_waited_for() -> None:
    driver = Driver(flow(subflow(), task("next"))).create()
    (child,) = asked(driver)
    wrong = msgspec.structs.replace(report(child), execution_id="00another")
    other = msgspec.structs.replace(report(child), iteration=0)
    late = ChildReported("00nobody-7", child.execution_id, -1, State.SUCCESS)
    for command in (wrong, other, late):
        assert driver.tell(command) == []
    assert driver.tell(report(child))
    assert driver.tell(report(child, State.FAILED)) == []
    assert driver.run().ended == "SUCCESS"
    assert driver.tell(report(child)) == []


def test_a_child_of_an_earlier_try_has_no_effect() -> None:
    call = subflow(retry={"type": "constant", "interval": "PT1S", "maxAttempts": 3})
    call["inputs"] = {"n": "{{ taskrun.attemptsCount }}"}
    driver = Driver(flow(call)).create()
    (first,) = asked(driver)
    driver.tell(report(first, State.FAILED))
    assert driver.states == {"call": "RETRYING"}
    run = driver.runs["call"]
    driver.tell(TimerDue(run.id, run.due))
    _, second = asked(driver)
    assert second.execution_id != first.execution_id
    assert [msgspec.json.decode(it.inputs) for it in (first, second)] == [{"n": 0}, {"n": 1}]
    assert driver.tell(report(first)) == []
    driver.tell(report(second))
    assert driver.ended == "SUCCESS"
    states = [it.histories[-1].state for it in driver.snapshot("call").attempts]
    assert states == ["FAILED", "SUCCESS"]
    assert driver.snapshot("call").error == ""


def test_a_subflow_is_tried_as_often_as_its_retry_says() -> None:
    call = subflow(retry={"type": "constant", "interval": "PT1S", "maxAttempts": 3})
    driver = Driver(flow(call)).create().run(call=["fail"])
    assert driver.ended == "FAILED"
    assert len(asked(driver)) == 3


# Kills


def test_a_kill_goes_to_the_child_and_waits_for_its_end() -> None:
    driver = Driver(flow(subflow(), task("next"))).create()
    (child,) = asked(driver)
    told = driver.tell(KillRequested(EXECUTION_ID))
    assert [it.execution_id for it in told if isinstance(it, KillRequested)] == [child.execution_id]
    assert driver.states == {"call": "KILLING"}
    driver.tell(report(child, State.KILLED))
    assert (driver.states, driver.ended) == ({"call": "KILLED"}, "KILLED")


def test_a_child_that_is_not_waited_for_is_left_alone_by_a_kill() -> None:
    driver = Driver(flow(subflow(wait=False))).create()
    told = driver.tell(KillRequested(EXECUTION_ID))
    assert not [it for it in told if isinstance(it, KillRequested)]
    assert driver.ended == "KILLED"


def test_a_kill_may_spare_the_children() -> None:
    driver = Driver(flow(subflow())).create()
    told = driver.tell(KillRequested(EXECUTION_ID, cascade=False))
    assert not [it for it in told if isinstance(it, KillRequested)]
    assert driver.ended == "KILLED"
    assert driver.tell(report(asked(driver)[0])) == []


def test_a_kill_ends_a_subflow_that_waits_for_its_next_try() -> None:
    call = subflow(retry={"type": "constant", "interval": "PT1H"})
    driver = Driver(flow(call)).create()
    driver.tell(report(asked(driver)[0], State.FAILED), KillRequested(EXECUTION_ID))
    assert driver.ended == "KILLED"


def test_a_killed_child_is_no_failure_to_try_again() -> None:
    call = subflow(retry={"type": "constant", "interval": "PT1S"})
    driver = Driver(flow(call, task("next"))).create().run(call=["killed"])
    assert (driver.states, driver.ended) == ({"call": "KILLED"}, "KILLED")


# Dates, and executions that are tried again


def test_a_child_may_be_for_later() -> None:
    driver = Driver(flow(subflow(scheduleDate="2030-01-31T10:00:00+01:00"))).create()
    assert asked(driver)[0].not_before == 1_896_080_400_000
    driver = Driver(flow(subflow(scheduleDate="{{ 'soon' }}"))).create()
    assert "scheduleDate 'soon' is no instant" in driver.snapshot("call").error


@pytest.mark.parametrize("waits", [True, False])
def test_who_does_not_wait_for_the_end_does_not_wait_for_the_date(waits: bool) -> None:
    parent = msgspec.structs.replace(PARENT, waits=waits)
    driver = Driver(flow(task("a"))).create(parent=parent, trigger=FIRED, not_before=90_000)
    assert [it.state for it in reports(driver)] == ([] if waits else [State.RUNNING])
    driver.tell(ExecutionDue(EXECUTION_ID, 90_000))
    driver.run()
    assert reports(driver)[-1].state == ("SUCCESS" if waits else "RUNNING")


def test_who_does_not_wait_for_the_end_does_not_wait_in_line() -> None:
    parent = msgspec.structs.replace(PARENT, waits=False)
    limited = flow(task("a"), concurrency={"limit": 1, "behavior": "QUEUE"})
    driver = Driver(limited).create(parent=parent, trigger=FIRED)
    assert reports(driver) == []
    driver.tell(SlotDenied(EXECUTION_ID, 1, 1, 0))
    assert [it.state for it in reports(driver)] == [State.RUNNING]


ANEW = {
    **{"type": "constant", "interval": "PT1S", "maxAttempts": 3},
    "behavior": "CREATE_NEW_EXECUTION",
}


def test_a_child_that_is_tried_again_hands_its_parent_over() -> None:
    driver = Driver(flow(task("a"), retry=ANEW)).create(parent=PARENT, trigger=FIRED)
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"), State.FAILED)
    (told,), (following,) = reports(driver), asked(driver)
    assert (told.state, told.following) == (State.RETRIED, following.execution_id)
    assert following.parent == PARENT


def test_a_parent_waits_for_the_execution_that_takes_its_childs_place() -> None:
    driver = Driver(flow(subflow(), task("next"))).create()
    (child,) = asked(driver)
    driver.tell(report(child, State.RETRIED, following="00following"))
    assert outputs(driver) == {"executionId": "00following"}
    assert driver.tell(report(child)) == []
    following = msgspec.structs.replace(child, execution_id="00following")
    driver.tell(report(following))
    assert driver.jobs == ["next"]


def test_a_kill_follows_a_child_to_its_next_try() -> None:
    driver = Driver(flow(subflow())).create()
    (child,) = asked(driver)
    driver.tell(KillRequested(EXECUTION_ID))
    told = driver.tell(report(child, State.RETRIED, following="00following"))
    assert [it.execution_id for it in told if isinstance(it, KillRequested)] == ["00following"]
    driver.tell(report(msgspec.structs.replace(child, execution_id="00following"), State.KILLED))
    assert driver.ended == "KILLED"


def test_an_execution_is_tried_again_for_its_subflow() -> None:
    driver = Driver(flow(subflow(), retry=ANEW)).create()
    (child,) = asked(driver)
    driver.tell(report(child, State.FAILED))
    assert driver.ended == "RETRIED"
    assert asked(driver)[-1].lineage is not None


# The child's side


def test_a_child_reports_its_end_with_its_flows_outputs() -> None:
    declared = [{"id": "o", "type": "STRING", "value": "{{ outputs.a.value }}"}]
    document = flow(task("a"), outputs=declared, afterExecution=[task("x")])
    asks = msgspec.structs.replace(PARENT, outputs='{"other":"{{ outputs.a.value }}"}')
    driver = Driver(document).create(parent=asks, trigger=FIRED)
    driver.claim(driver.job("a"))
    driver.result(driver.job("a"), outputs='{"value":"v"}')
    assert reports(driver) == []  # the tasks after it are still to run
    driver.run()
    (told,) = reports(driver)
    assert told == ChildReported(
        "00parent-0", EXECUTION_ID, -1, State.SUCCESS, '{"o":"v"}', "", False
    )


@pytest.mark.parametrize("script", ["success", "fail"])
def test_a_parent_may_ask_for_outputs_of_a_flow_that_declares_none(script: str) -> None:
    asks = msgspec.structs.replace(PARENT, outputs='{"v":"{{ outputs.a.value ?? \'none\' }}"}')
    driver = Driver(flow(task("a"))).create(parent=asks, trigger=FIRED).run(a=[script])
    (told,) = reports(driver)
    assert (told.outputs, told.refused) == ('{"v":"a#1"}', False)


def test_outputs_that_can_not_be_had_fail_the_parent() -> None:
    asks = msgspec.structs.replace(PARENT, outputs='{"v":"{{ outputs.b.value }}"}')
    driver = Driver(flow(task("a"))).create(parent=asks, trigger=FIRED).run()
    (told,) = reports(driver)
    assert (driver.ended, told.state, told.refused) == ("SUCCESS", State.SUCCESS, True)
    assert "outputs of the subflow" in told.error
    big = msgspec.structs.replace(PARENT, outputs=f'{{"v":"{"x" * OUTPUTS_LIMIT}"}}')
    driver = Driver(flow(task("a"))).create(parent=big, trigger=FIRED).run()
    assert reports(driver)[0].refused and "hand over its URI" in reports(driver)[0].error


def test_a_child_that_nobody_waits_for_reports_its_start_only() -> None:
    parent = msgspec.structs.replace(PARENT, waits=False)
    driver = Driver(flow(task("a"))).create(parent=parent, trigger=FIRED).run()
    assert [it.state for it in reports(driver)] == [State.RUNNING]


@pytest.mark.parametrize("waits", [True, False])
def test_a_child_that_is_refused_says_so(waits: bool) -> None:
    parent = msgspec.structs.replace(PARENT, waits=waits)
    driver = Driver(flow(task("a"))).create(revision=0, parent=parent, trigger=FIRED)
    driver.tell(FlowResolved(EXECUTION_ID, 0, "there is no flow"))
    (told,) = reports(driver)
    assert (told.state, told.error, told.refused) == (State.FAILED, "there is no flow", True)
    invalid = Driver(flow(task("a"), inputs=[{"id": "n", "type": "INT"}]))
    invalid.create(parent=parent, trigger=FIRED)
    assert "n" in reports(invalid)[0].error and reports(invalid)[0].refused


def test_a_child_that_is_killed_before_it_exists_reports_that() -> None:
    driver = Driver(flow(task("a")))
    driver.tell(KillRequested(EXECUTION_ID))
    driver.create(parent=PARENT, trigger=FIRED)
    (told,) = reports(driver)
    assert (told.state, told.refused) == (State.KILLED, False)


def test_the_labels_of_a_child_count_by_their_nearness() -> None:
    document = flow(task("a"), labels={"of": "flow", "both": "flow", "all": "flow"})
    inherited = {"of": "parent", "both": "parent", "only": "parent"}
    parent = msgspec.structs.replace(PARENT, labels=inherited)
    driver = Driver(document).create(parent=parent, trigger=FIRED, labels={"all": "task"})
    labels = dict(driver.snapshot().labels)
    labels.pop("system.correlationId")
    assert labels == {"of": "flow", "both": "flow", "only": "parent", "all": "task"}


def test_jobs_of_a_child_may_read_its_parents_files() -> None:
    variables = '{"executionId":"e","namespace":"n","flowId":"f","taskRunId":"e-0"}'
    fired = TriggerFired("call", "subflow", variables=variables)
    driver = Driver(flow(task("a"))).create(parent=PARENT, trigger=fired)
    carried = msgspec.json.decode(driver.job("a").variables)["trigger"]
    assert carried == {"executionId": "e", "namespace": "n", "flowId": "f"}


def quarantined(driver: Driver) -> Driver:
    """A driver whose execution the rules have failed upon."""

    def fail(*_: Any) -> Any:
        raise RuntimeError("planted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExecutionFold, "step", fail)
        driver.fold_any(KillRequested(EXECUTION_ID))
    return driver


def test_a_child_that_the_rules_fail_upon_reports_that() -> None:
    driver = quarantined(Driver(flow(task("a"))).create(parent=PARENT, trigger=FIRED))
    (told,) = reports(driver)
    assert (told.state, told.refused) == (State.FAILED, False)
    assert "planted" in told.error


def test_children_of_what_the_rules_fail_upon_are_killed() -> None:
    driver = quarantined(Driver(flow(subflow())).create())
    assert [it.execution_id for it in driver.of(KillRequested)] == [asked(driver)[0].execution_id]
    driver = begun(3)
    driver.tell(report(asked(driver)[1]))
    quarantined(driver)
    killed = [it.execution_id for it in driver.of(KillRequested)]
    assert killed == [asked(driver)[0].execution_id, asked(driver)[2].execution_id]
    assert not [it for it in driver.state.values() if isinstance(it, Child)]


def test_a_quarantine_that_fails_too_kills_the_children_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "SLICE", 1)
    called = [subflow(f"c{it}") for it in range(3)]
    driver = quarantined(Driver(flow({"id": "p", "type": "parallel", "tasks": called})).create())
    quarantined(driver)
    assert driver.ended == "FAILED"
    driver.run()
    killed = {it.execution_id for it in driver.of(KillRequested)}
    assert killed == {it.execution_id for it in asked(driver)}
    assert {type(it).__name__ for it in driver.state.values()} <= {"Ended", "Group"}


# ForEachItem


def split_of(count: int) -> str:
    names = {"prefix": "kestra:///b-", "suffix": ".txt", "splits": "kestra:///splits.txt"}
    return msgspec.json.encode({"numberOfBatches": count, **names}).decode()


def begun(count: int, document: Document | None = None, **properties: Any) -> Driver:
    """A ForEachItem whose items are split."""
    driver = Driver(document or flow(items(**properties), task("next"))).create()
    job = driver.job("each_split")
    driver.claim(job)
    driver.result(job, outputs=split_of(count))
    return driver


def test_each_batch_has_an_execution_of_its_own() -> None:
    driver = begun(3)
    children = asked(driver)
    given = [msgspec.json.decode(it.inputs) for it in children]
    assert given == [{"i": f"kestra:///b-{n}.txt"} for n in range(3)]
    assert [it.parent.iteration for it in children if it.parent] == [0, 1, 2]
    assert len({it.execution_id for it in children}) == 3
    fired = [msgspec.json.decode(it.trigger.variables) for it in children if it.trigger]
    assert [it["taskRunIteration"] for it in fired] == [0, 1, 2]
    wanted = {"numberOfBatches": 3, "iterations": {"CREATED": 0, "RUNNING": 3}}
    assert outputs(driver, "each_items") == wanted
    driver.run()
    wanted["iterations"] = {"CREATED": 0, "RUNNING": 0, "SUCCESS": 3}
    assert outputs(driver, "each_items") == wanted
    assert driver.states == dict.fromkeys(
        ("each", "each_split", "each_items", "each_merge", "next"), "SUCCESS"
    )


def test_an_empty_file_has_no_batches() -> None:
    driver = begun(0).run()
    assert asked(driver) == []
    assert outputs(driver, "each_items") == {}
    assert driver.ended == "SUCCESS"


def test_all_batches_run_though_some_fail() -> None:
    driver = begun(4).run(each_items=["fail", "success", "warning", "refused"])
    found = outputs(driver, "each_items")["iterations"]
    assert found == {"CREATED": 0, "RUNNING": 0, "FAILED": 2, "SUCCESS": 1, "WARNING": 1}
    assert (driver.states["each_items"], driver.states["each"]) == ("FAILED", "FAILED")
    assert "each_merge" not in driver.states
    assert driver.ended == "FAILED"


def test_batches_that_nobody_waits_for() -> None:
    driver = begun(3, wait=False)
    assert [it.parent.waits for it in asked(driver) if it.parent] == [False] * 3
    driver.run()
    assert outputs(driver, "each_items")["iterations"] == {"RUNNING": 0, "SUCCESS": 3}
    assert driver.ended == "SUCCESS"


def test_inputs_that_can_not_be_rendered_fail_their_batches() -> None:
    driver = begun(3, inputs={"i": "{{ 1 / (taskrun.iteration - 1) }}"}).run()
    assert len(asked(driver)) == 2
    assert outputs(driver, "each_items")["iterations"]["FAILED"] == 1
    assert "batch 1" in driver.snapshot("each_items").error
    assert driver.ended == "FAILED"


def test_batches_that_failed_run_again_one_and_all() -> None:
    retry = {"type": "constant", "interval": "PT1S", "maxAttempts": 2}
    driver = begun(2, retry=retry).run(each_items=["fail", "success"])
    first, second = asked(driver)[:2], asked(driver)[2:]
    assert {it.execution_id for it in first}.isdisjoint(it.execution_id for it in second)
    assert outputs(driver, "each_items")["iterations"]["SUCCESS"] == 2
    assert merged(driver) == [[0, 1]]
    assert (len(second), driver.ended) == (2, "SUCCESS")


def test_a_split_without_outputs_fails_the_batches() -> None:
    driver = Driver(flow(items())).create().run()
    assert "split" in driver.snapshot("each_items").error
    assert driver.ended == "FAILED"


def test_iterations_around_it_have_batches_of_their_own() -> None:
    loop = {"id": "loop", "type": "forEach", "values": ["a", "b"], "tasks": [items()]}
    driver = Driver(flow({**loop, "concurrencyLimit": 0})).create()
    for job, count in zip(driver.of(Job), (1, 2), strict=True):
        driver.claim(job)
        driver.result(job, outputs=split_of(count))
    assert [it.parent.iteration for it in asked(driver) if it.parent] == [0, 0, 1]
    assert driver.run().ended == "SUCCESS"


def test_many_batches_start_in_pages_and_so_many_are_open() -> None:
    count = MOST_OPEN + 150
    driver = begun(count)
    sizes = [len(asked(driver))]
    while (run := driver.runs["each_items"]).due:
        before = len(asked(driver))
        driver.tell(TimerDue(run.id, run.due))
        sizes.append(len(asked(driver)) - before)
    assert max(sizes) <= PAGE
    assert len(asked(driver)) == MOST_OPEN
    found = outputs(driver, "each_items")["iterations"]
    assert found == {"CREATED": 150, "RUNNING": MOST_OPEN}
    driver.run()
    assert len(asked(driver)) == count
    assert driver.ended == "SUCCESS"
    assert {type(it).__name__ for it in driver.state.values()} <= {"Ended", "Holder", "Group"}


def test_a_kill_of_many_batches_goes_out_in_pages() -> None:
    driver = begun(250)
    while (run := driver.runs["each_items"]).due:
        driver.tell(TimerDue(run.id, run.due))
    for child in asked(driver)[10:20]:
        driver.tell(report(child))
    told = [driver.tell(KillRequested(EXECUTION_ID))]
    while (run := driver.runs["each_items"]).due:
        told.append(driver.tell(TimerDue(run.id, run.due)))
    killed = [[it.execution_id for it in each if isinstance(it, KillRequested)] for each in told]
    assert max(map(len, killed)) <= PAGE
    ids = [it.execution_id for it in asked(driver)]
    assert sorted(chain.from_iterable(killed)) == sorted(ids[:10] + ids[20:])
    assert driver.states["each_items"] == "KILLING"
    driver.run()
    assert driver.ended == "KILLED"
    assert isinstance(driver.execution, Ended)


def test_many_batches_are_spared_in_pages_too() -> None:
    driver = begun(250)
    while (run := driver.runs["each_items"]).due:
        driver.tell(TimerDue(run.id, run.due))
    told = driver.tell(KillRequested(EXECUTION_ID, cascade=False))
    driver.run()
    assert not [it for it in told if isinstance(it, KillRequested)]
    assert driver.ended == "KILLED"
    assert not [it for it in driver.state.values() if isinstance(it, Child)]


def test_a_quarantine_of_many_batches_kills_them_in_pages() -> None:
    driver = begun(MOST_OPEN + 150)
    while (run := driver.runs["each_items"]).due:
        driver.tell(TimerDue(run.id, run.due))
    done = asked(driver)[10:20]
    for child in done:
        driver.tell(report(child, outputs=msgspec.json.encode("x" * 2 * PART).decode()))
    sent, told = len(driver.outputs), []
    quarantined(driver)
    told.append(driver.outputs[sent:])
    while (walk := driver.state.get(sweep_key(EXECUTION_ID))) is not None:
        assert isinstance(walk, Sweep)
        folded = driver.fold(SweepDue(EXECUTION_ID, walk.due))
        assert len(folded.changes) <= 2 * PAGE + 10
        told.append(folded.outputs)
        assert driver.tell(SweepDue(EXECUTION_ID, walk.due)) == [], "each slice counts once"
    killed = [[it.execution_id for it in one if isinstance(it, KillRequested)] for one in told]
    assert max(map(len, killed)) <= PAGE
    rest = {it.execution_id for it in asked(driver)} - {it.execution_id for it in done}
    assert sorted(chain.from_iterable(killed)) == sorted(rest)
    assert driver.ended == "FAILED"
    assert {type(it).__name__ for it in driver.state.values()} <= {"Ended", "Holder", "Group"}


def test_outputs_that_nobody_merged_are_forgotten_in_pages() -> None:
    """A kill comes before the merge."""
    driver = begun(2 * PAGE + 50)
    while (run := driver.runs["each_items"]).due:
        driver.tell(TimerDue(run.id, run.due))
    for child in asked(driver):
        driver.tell(report(child, outputs=msgspec.json.encode("x" * 2 * PART).decode()))
    assert sum(isinstance(it, ChildOutputs) for it in driver.state.values()) > 2 * PAGE
    command: Command = KillRequested(EXECUTION_ID)
    while True:
        assert len(driver.fold(command).changes) <= PAGE + 20
        walk = driver.state.get(sweep_key(EXECUTION_ID))
        if not isinstance(walk, Sweep):
            break
        command = SweepDue(EXECUTION_ID, walk.due)
    assert {type(it).__name__ for it in driver.state.values()} <= {"Ended", "Holder", "Group"}


def test_a_command_costs_the_same_with_few_batches_and_with_many() -> None:
    def cost(count: int) -> int:
        driver = begun(count)
        while (run := driver.runs["each_items"]).due:
            driver.tell(TimerDue(run.id, run.due))
        child = asked(driver)[count // 2]
        folded = driver.fold(report(child, outputs='{"o":1}'))
        return len(msgspec.msgpack.encode([list(folded.changes.values()), folded.outputs]))

    assert abs(cost(1_900) - cost(20)) < 50


# Merging


def merged(driver: Driver) -> list[list[int]]:
    """The iterations that each job of the merge carried."""
    jobs = [it for it in driver.of(Job) if it.task_id == "each_merge"]
    carried = [msgspec.json.decode(it.variables)["merging"]["outputs"] for it in jobs]
    return [[number for number, _ in each] for each in carried]


def test_the_merge_is_given_what_the_children_put_out() -> None:
    driver = begun(3).run()
    job = driver.job("each_merge")
    carried = msgspec.json.decode(job.variables)["merging"]
    assert carried == {"uri": None, "outputs": [[0, {"o": 1}], [1, {"o": 2}], [2, {"o": 3}]]}
    assert not [it for it in driver.state.values() if isinstance(it, ChildOutputs)]


def test_many_outputs_are_merged_job_by_job() -> None:
    driver = begun(40)
    text = msgspec.json.encode({"o": "x" * 20_000}).decode()
    for child in asked(driver):
        driver.tell(report(child, outputs=text))
    parts = [it for it in driver.state.values() if isinstance(it, ChildOutputs)]
    assert max(sum(len(it) for _, it in part.outputs) for part in parts) < PART + len(text) + 1
    for number in range(10):
        job = driver.job("each_merge")
        if driver.states["each_merge"] == "SUCCESS":
            break
        assert len(job.variables) < JOB + 2 * (PART + len(text))
        so_far = msgspec.json.decode(job.variables)["merging"]["uri"]
        assert so_far == (f"kestra:///{number - 1}" if number else None)
        driver.claim(job)
        driver.result(job, outputs=f'{{"subflowOutputs":"kestra:///{number}"}}')
    found = merged(driver)
    assert len(found) > 1
    assert list(chain.from_iterable(found)) == list(range(40))
    assert not [it for it in driver.state.values() if isinstance(it, ChildOutputs)]
    assert outputs(driver, "each_merge") == {"subflowOutputs": f"kestra:///{len(found) - 1}"}


def test_a_lost_merge_is_given_the_same_again() -> None:
    driver = begun(3)
    for child in asked(driver):
        driver.tell(report(child, outputs='{"o":1}'))
    driver.run(each_merge=["lost", "success"])
    assert merged(driver) == [[0, 1, 2], [0, 1, 2]]
    assert driver.ended == "SUCCESS"


def test_a_report_that_another_owner_sends_again_is_dropped() -> None:
    driver = Driver(flow(subflow(), task("next"))).create()
    (child,) = asked(driver)
    source = Source("executions", 3, 17, 0)
    assert driver.fold(report(child), source=source).outputs
    assert driver.fold(report(child), source=source).outputs == []


# Templates


def test_a_template_fails_for_there_are_none() -> None:
    template = {"id": "t", "type": "template", "namespace": "n", "templateId": "old"}
    driver = Driver(flow(template)).create().run()
    assert "no template n.old" in driver.snapshot("t").error
    assert driver.ended == "FAILED"
