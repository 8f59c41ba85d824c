"""How an execution begins, is refused, and what it tells of itself."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kestrapy.errors import FlowRefused, Problem
from kestrapy.machine.commands import (
    ExecutionCreated,
    ExecutionEnded,
    ExecutionRequested,
    FlowResolved,
    JobRequested,
    KillRequested,
    TriggerFired,
)
from kestrapy.machine.endings import ENDED_KEPT
from kestrapy.machine.entities import Ended, Execution, KillNote, kill_note_key
from kestrapy.machine.execution import KILL_NOTE_KEPT
from kestrapy.machine.folds import ExecutionFold
from kestrapy.machine.intake import inline_flow
from kestrapy.machine.outputs import ExecutionEvent, Job, LogEntry, Refusal
from kestrapy.machine.stage import Position, Stage
from kestrapy.machine.turn import Rules
from kestrapy.model.flow import CORRELATION_ID, Task
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, FLOW_ID, NAMESPACE, Driver, flow, task

REQUEST = ExecutionRequested("key", NAMESPACE, FLOW_ID)
TRIGGER = TriggerFired("daily", "schedule", "tests/driven/daily", '{"date":"d1"}')


def test_the_first_creation_counts() -> None:
    driver = Driver(flow(task("a"))).create()
    before = dict(driver.state)
    assert driver.fold(ExecutionCreated(EXECUTION_ID, NAMESPACE, FLOW_ID, 1)).outputs == []
    assert driver.state == before
    driver.run()
    ended = dict(driver.state)
    assert driver.fold(ExecutionCreated(EXECUTION_ID, NAMESPACE, FLOW_ID, 1)).outputs == []
    assert driver.state == ended


def test_an_ended_execution_is_known_for_a_while() -> None:
    driver = Driver(flow(task("a"))).create().run()
    until, number = driver.at + ENDED_KEPT, driver.stored().number
    assert driver.execution == Ended(State.SUCCESS, until, number)
    at = driver.at
    driver.fold(KillRequested("other"), at=at + ENDED_KEPT - 1)
    assert isinstance(driver.execution, Ended)
    driver.fold(KillRequested("other"), at=at + ENDED_KEPT)
    assert f"e:{EXECUTION_ID}" not in driver.state


# Which revision


def test_an_execution_waits_for_its_revision() -> None:
    driver = Driver(flow(task("a")), flow(task("b")))
    driver.create(revision=0, requested=REQUEST)
    assert (driver.jobs, driver.ended) == ([], "CREATED")
    assert isinstance(driver.execution, Execution) and driver.execution.awaits == "flow"
    driver.tell(FlowResolved(EXECUTION_ID, 2))
    assert (driver.jobs, driver.ended) == (["b"], "RUNNING")
    before = dict(driver.state)
    assert driver.tell(FlowResolved(EXECUTION_ID, 1), FlowResolved(EXECUTION_ID, 0, "none")) == []
    assert driver.state == before
    assert driver.tell(FlowResolved("unknown", 1)) == []


def test_no_revision_is_a_visible_failure_and_a_dead_letter() -> None:
    driver = Driver(flow(task("a"))).create(revision=0, requested=REQUEST, redrives=2)
    outputs = driver.tell(FlowResolved(EXECUTION_ID, 0, "there is no flow x"))
    assert [it for it in outputs if isinstance(it, Refusal)] == [
        Refusal(REQUEST, "there is no flow x", 2)
    ]
    assert (driver.ended, driver.snapshot().error) == ("FAILED", "there is no flow x")
    assert driver.histories() == ["CREATED", "FAILED"]
    assert isinstance(driver.execution, Ended)


def test_killed_while_it_waits_for_its_revision() -> None:
    driver = Driver(flow(task("a"))).create(revision=0, requested=REQUEST)
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.histories() == ["CREATED", "KILLED"]
    assert driver.tell(FlowResolved(EXECUTION_ID, 1)) == []
    assert driver.of(Refusal) == []


def test_a_kill_before_the_creation_is_remembered() -> None:
    driver = Driver(flow(task("a")), groups=())
    driver.tell(KillRequested(EXECUTION_ID))
    assert driver.state == {kill_note_key(EXECUTION_ID): KillNote(driver.at + KILL_NOTE_KEPT)}
    driver.create(trigger=TRIGGER)
    assert (driver.jobs, driver.histories()) == ([], ["CREATED", "KILLED"])
    assert [type(it) for it in driver.state.values()] == [Ended]
    assert driver.of(ExecutionEnded) == [ExecutionEnded(TRIGGER.uid, EXECUTION_ID, State.KILLED)]


def test_a_kill_of_what_never_comes_is_forgotten_after_a_day() -> None:
    driver = Driver(flow(task("a")), groups=())
    driver.fold(KillRequested(EXECUTION_ID), at=1_000)
    driver.fold(KillRequested("other"), at=1_000 + KILL_NOTE_KEPT)
    assert list(driver.state) == [kill_note_key("other")]
    driver.create()
    assert driver.jobs == ["a"]


# Refusals


WITH_INPUTS = flow(
    task("a", format="{{ inputs.count }}"),
    inputs=[{"id": "count", "type": "INT"}, {"id": "name", "type": "STRING", "defaults": "you"}],
)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ("{}", "Missing required input:count"),
        ('{"count":"many"}', "Invalid value for input `count`"),
        ("[1]", "must be a JSON object"),
        ('{"count":', "truncated"),
    ],
)
def test_inputs_that_do_not_fit(inputs: str, reason: str) -> None:
    driver = Driver(WITH_INPUTS).create(inputs=inputs, requested=REQUEST)
    assert (driver.jobs, driver.ended) == ([], "FAILED")
    assert reason in driver.snapshot().error
    assert [it.record for it in driver.of(Refusal)] == [REQUEST]


def test_an_input_that_is_not_declared_is_left_out_with_a_warning() -> None:
    driver = Driver(WITH_INPUTS).create(inputs='{"count":1,"colour":"secret"}')
    assert json.loads(driver.snapshot().inputs) == {"count": 1, "name": "you"}
    (line,) = driver.of(LogEntry)
    assert (line.level, line.task_run_id, line.task_id) == ("WARN", "", "")
    assert line.message.startswith("Unknown input `colour`") and "secret" not in line.message


def test_inputs_are_typed_and_defaults_filled_in() -> None:
    driver = Driver(WITH_INPUTS).create(inputs='{"count":"7"}')
    assert json.loads(driver.snapshot().inputs) == {"count": 7, "name": "you"}
    assert json.loads(driver.job("a").variables) == {"inputs": {"count": 7}}


def test_a_disabled_flow_is_refused() -> None:
    driver = Driver(flow(task("a"), disabled=True)).create(trigger=TRIGGER)
    assert driver.ended == "FAILED"
    assert "disabled" in driver.snapshot().error
    assert driver.of(ExecutionEnded) == [ExecutionEnded(TRIGGER.uid, EXECUTION_ID, State.FAILED)]
    assert driver.of(Refusal) == [], "nobody's request"


def test_a_flow_that_this_build_refuses() -> None:
    driver = Driver()

    def refuse(*_: Any) -> Any:
        raise FlowRefused([Problem("no such type")])

    driver.stage = Stage(ExecutionFold(Rules(refuse, refuse)), {}, Position())
    driver.create(requested=REQUEST)
    assert (driver.ended, driver.snapshot().error) == ("FAILED", "no such type")


# What a job carries


def test_a_job_says_what_to_run() -> None:
    document = flow(task("a", timeout="PT3S", retry={"type": "constant", "interval": "PT1S"}))
    driver = Driver(document | {"workerGroup": {"key": "gpu"}}).create()
    job = driver.job("a")
    assert (job.worker_group, job.attempt, job.epoch) == ("gpu", 1, 1)
    assert (job.namespace, job.flow_id, job.flow_revision) == (NAMESPACE, FLOW_ID, 1)
    read = msgspec.json.decode(job.task, type=Task)
    assert (read.id, read.type, read.timeout) == ("a", "io.kestra.plugin.core.debug.Return", 3_000)


def test_a_job_carries_named_variables_only() -> None:
    names = ["inputs.a", "outputs.first.value", "vars.x.y", "labels.team", "execution.id"]
    names += ["flow.id", "taskrun.attemptsCount", "task.id", "trigger.date"]
    text = " ".join(f"{{{{ {name} }}}}" for name in names)
    document = flow(
        task("first"),
        task("other"),
        task("named", format=text),
        task("bare"),
        inputs=[{"id": "a", "type": "STRING"}, {"id": "b", "type": "STRING"}],
        variables={"x": {"y": 1, "z": 2}, "big": "b" * 1000},
        labels={"team": "blue", "cost": "none"},
    )
    driver = Driver(document).create(inputs='{"a":"1","b":"2"}', trigger=TRIGGER).run()
    assert json.loads(driver.job("bare").variables) == {}
    assert json.loads(driver.job("named").variables) == {
        "inputs": {"a": "1"},
        "outputs": {"first": {"value": "first#1"}},
        "vars": {"x": {"y": 1}},
        "labels": {"team": "blue"},
        "execution": {"id": EXECUTION_ID},
        "flow": {"id": FLOW_ID},
        "taskrun": {"attemptsCount": 0},
        "task": {"id": "named"},
        "trigger": {"date": "d1"},
    }


def test_labels_of_the_request_win() -> None:
    driver = Driver(flow(task("a"), labels={"x": "flow", "y": "flow"})).create(labels={"x": "own"})
    own = {"x": "own", "y": "flow", CORRELATION_ID: EXECUTION_ID}
    assert driver.snapshot().labels == own


def test_executions_that_belong_together_have_a_label_in_common() -> None:
    document = flow(task("a", format="{{ labels.system.correlationId }}"))
    driver = Driver(document).create(labels={CORRELATION_ID: "the first one's"})
    assert driver.snapshot().labels == {CORRELATION_ID: "the first one's"}
    variables = json.loads(driver.job("a").variables)
    assert variables == {"labels": {"system": {"correlationId": "the first one's"}}}


def test_a_request_with_another_label_of_the_system_is_refused() -> None:
    driver = Driver(flow(task("a"))).create(labels={"system.restarted": "true"}, requested=REQUEST)
    assert driver.ended == "FAILED"
    assert "offending label: system.restarted=true" in driver.snapshot().error


def test_all_outputs_where_an_expression_takes_them_whole() -> None:
    driver = Driver(flow(task("a"), task("b"), task("c", format="{{ outputs }}"))).create().run()
    found = json.loads(driver.job("c").variables)["outputs"]
    assert {name: it for name, it in found.items() if name != "c"} == {
        "a": {"value": "a#1"},
        "b": {"value": "b#1"},
    }


# Outputs of the flow, and its trigger


def test_outputs_of_the_flow() -> None:
    outputs = [{"id": "o", "type": "STRING", "value": "{{ outputs.a.value }}!"}]
    document = flow(task("a"), outputs=outputs)
    assert json.loads(Driver(document).create().run().snapshot().outputs) == {"o": "a#1!"}
    refused = Driver(flow(task("a", runIf="{{ x }}"), outputs=outputs)).create().run().snapshot()
    assert (refused.state, refused.outputs, refused.error) == ("FAILED", "{}", "")


def test_what_failed_has_its_outputs_where_none_of_them_is_missing() -> None:
    outputs = [{"id": "o", "type": "STRING", "value": "{{ outputs.a.value }}!"}]
    document = flow(task("a"), task("b"), outputs=outputs)
    failed = Driver(document).create().run(b=["fail"]).snapshot()
    assert (failed.state, failed.error) == ("FAILED", "")
    assert json.loads(failed.outputs) == {"o": "a#1!"}
    killed = Driver(document).create().run(b=["silent"])
    killed.tell(KillRequested(EXECUTION_ID))
    assert (killed.run().ended, killed.snapshot().outputs) == ("KILLED", "{}")


def test_outputs_that_can_not_be_rendered_fail_the_execution() -> None:
    outputs = [{"id": "o", "type": "STRING", "value": "{{ outputs.nope.value }}"}]
    driver = Driver(flow(task("a"), outputs=outputs)).create(trigger=TRIGGER).run()
    assert driver.ended == "FAILED"
    assert driver.snapshot().error.startswith("output `o`: ")
    assert "nope" in driver.snapshot().error
    assert driver.of(ExecutionEnded) == [ExecutionEnded(TRIGGER.uid, EXECUTION_ID, State.FAILED)]


def test_the_trigger_is_told_of_the_end_once() -> None:
    driver = Driver(flow(task("a"))).create(trigger=TRIGGER)
    assert driver.of(ExecutionEnded) == []
    driver.run()
    assert driver.of(ExecutionEnded) == [ExecutionEnded(TRIGGER.uid, EXECUTION_ID, State.SUCCESS)]
    shown = json.loads(driver.snapshot().trigger)
    assert shown == {"id": "daily", "type": "schedule", "variables": {"date": "d1"}}
    assert Driver(flow(task("a"))).create().run().of(ExecutionEnded) == []


# Jobs without a flow


def test_a_job_request_runs_its_one_task() -> None:
    request = JobRequested("k", "gpu", "return", '{"format":"{{ inputs.n }}"}', '{"n":3}')
    text = inline_flow(request, "return")
    driver = Driver().create(revision=0, inline=text, inputs='{"n":3}', job_requested=request)
    driver.tell(FlowResolved(EXECUTION_ID, 1))
    job = driver.job("job")
    assert (job.worker_group, json.loads(job.variables)) == ("gpu", {"inputs": {"n": 3}})
    assert driver.run().ended == "SUCCESS"


# Events


def test_events_are_numbered_by_the_log() -> None:
    driver = Driver(flow(task("a"), task("b"))).create().run()
    numbers = [it.number for it in driver.of(ExecutionEvent)]
    assert numbers == sorted(set(numbers))
    assert [number >> 20 for number in numbers[:3]] == [0, 0, 1]


def test_a_chain_tells_whether_two_folds_put_out_the_same() -> None:
    one, same, other = (Driver(flow(task("a"), task("b"))).create() for _ in range(3))
    one.run()
    same.run()
    other.run(a=["warning"])
    assert one.outputs == same.outputs
    stamped = [it.chain for it in one.outputs if isinstance(it, ExecutionEvent | Job)]
    assert all(stamped)
    assert one.of(ExecutionEvent)[-1].chain != other.of(ExecutionEvent)[-1].chain
    assert one.of(Job)[0].chain == other.of(Job)[0].chain


def test_a_chain_covers_all_that_went_before() -> None:
    """The same event after another past has another chain."""
    chains = []
    for outputs in ("{}", '{"value":1}'):
        driver = Driver(flow(task("a"), task("b"))).create()
        driver.claim(driver.job("a"))
        driver.result(driver.job("a"), outputs=outputs)
        driver.claim(driver.job("b"))
        event = driver.of(ExecutionEvent)[-1]
        chains.append(event.chain)
        assert (event.task_run.task_id, event.task_run.state) == ("b", "RUNNING")
    assert chains[0] != chains[1]
