"""Flowable tasks whose expressions read the world: a worker evaluates them first."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kestrapy.language.expression import render_value
from kestrapy.language.expression.scope import WorldNeeded
from kestrapy.machine.commands import KillRequested, TimerDue, WorkerLost
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.outputs import Job
from kestrapy.model.registry import EVALUATION
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, Document, Driver, flow, task

KV = "{{ kv('k') }}"


def choice(condition: str = KV, **properties: Any) -> Document:
    then, other = [task("yes")], [task("no")]
    return {
        "id": "if", "type": "if", "condition": condition, "then": then, "else": other, **properties
    }  # fmt: skip


def loop(**properties: Any) -> Document:
    often = {"interval": "PT1S", "maxIterations": 5}
    return {
        "id": "loop", "type": "loopUntil", "condition": KV, "checkFrequency": often,
        "tasks": [task("again")], **properties
    }  # fmt: skip


def answer(
    driver: Driver, task_id: str, run_if: bool = True, worker: str = "w1", **properties: Any
) -> None:
    """Of a worker, to what a task run asks."""
    job = driver.job(task_id)
    assert job.task_type == EVALUATION
    driver.claim(job, worker)
    given = {"runIf": run_if, "properties": properties}
    driver.result(job, worker=worker, outputs=msgspec.json.encode(given).decode())


def test_a_worker_is_given_the_properties_and_what_they_read() -> None:
    made = choice("{{ kv(inputs.key) }}", runIf="{{ labels.go == 'x' }}")
    source = flow(made, inputs=[{"id": "key", "type": "STRING"}])
    driver = Driver(source).create(inputs='{"key":"k"}', labels={"go": "x"})
    job = driver.job("if")
    assert msgspec.json.decode(job.task)["properties"] == {
        "runIf": "{{ labels.go == 'x' }}",
        "properties": {"condition": "{{ kv(inputs.key) }}"},
    }
    assert msgspec.json.decode(job.variables) == {"inputs": {"key": "k"}, "labels": {"go": "x"}}
    assert (job.epoch, job.worker_group, driver.states["if"]) == (1, "default", "SUBMITTED")


@pytest.mark.parametrize(("value", "then"), [(True, "yes"), ("", "no"), ("v", "yes")])
def test_the_flow_goes_on_by_its_answer(value: Any, then: str) -> None:
    driver = Driver(flow(choice())).create()
    answer(driver, "if", condition=value)
    driver.run()
    assert driver.jobs == ["if", then] and driver.ended == "SUCCESS"
    assert driver.histories("if") == ["CREATED", "SUBMITTED", "RUNNING", "SUCCESS"]


def test_what_can_be_decided_here_asks_nobody() -> None:
    driver = Driver(flow(choice("{{ now() < '2000' and randomInt(1, 2) == 1 }}"))).create()
    assert driver.jobs == ["yes"], "the log's time is that of 1970"


def test_a_sealed_input_is_a_workers_to_open() -> None:
    source = flow(choice("{{ inputs.s == 'x' }}"), inputs=[{"id": "s", "type": "SECRET"}])
    sealed = '{"s":{"type":"io.kestra.datatype:aes_encrypted","value":"abc"}}'
    driver = Driver(source).create(inputs=sealed)
    assert driver.job("if").task_type == EVALUATION


@pytest.mark.parametrize("kind", [task("t", runIf=KV), choice("true", id="t", runIf=KV)])
def test_a_run_if_is_evaluated_before_anything_begins(kind: Document) -> None:
    driver = Driver(flow(kind)).create()
    answer(driver, "t", run_if=False)
    assert driver.states == {"t": "SKIPPED"} and driver.ended == "SUCCESS"
    driver = Driver(flow(kind)).create()
    answer(driver, "t", condition="true")
    assert driver.run().ended == "SUCCESS"
    assert {it.epoch for it in driver.of(Job) if it.task_id == "t"} <= {1, 2}


def test_the_attempts_of_a_task_are_not_those_of_its_condition() -> None:
    driver = Driver(flow(task("t", runIf=KV))).create()
    answer(driver, "t")
    driver.run()
    assert [it.epoch for it in driver.snapshot("t").attempts] == [2]


def test_values_of_a_loop_may_come_from_a_file() -> None:
    each = {"id": "e", "type": "forEach", "values": "{{ read('x') }}", "tasks": [task("t")]}
    driver = Driver(flow(each)).create()
    answer(driver, "e", values=["a", "b"])
    driver.run()
    assert driver.jobs == ["e", "t", "t"]


def test_a_loop_asks_after_each_round() -> None:
    driver = Driver(flow(loop())).create()
    for value in (False, True):
        driver.claim(driver.job("again"))
        driver.result(driver.job("again"))
        answer(driver, "loop", condition=value, checkFrequency={"interval": "PT1S"})
        run = driver.runs.get("loop")
        if run is not None:
            driver.tell(TimerDue(run.id, run.due))
    assert driver.jobs == ["again", "loop", "again", "loop"]
    assert driver.ended == "SUCCESS"
    assert driver.snapshot("loop").outputs == '{"iterationCount":2}'


def test_a_loop_whose_condition_fails_runs_its_handlers() -> None:
    driver = Driver(flow(loop(errors=[task("mend")]))).create()
    driver.run(again=["success"], loop=["fail"])
    assert driver.states == {"loop": "FAILED", "again": "SUCCESS", "mend": "SUCCESS"}


def test_a_failure_to_evaluate_is_the_tasks() -> None:
    driver = Driver(flow(choice(allowFailure=True))).create()
    driver.claim(driver.job("if"))
    driver.result(driver.job("if"), State.FAILED, error="no such key")
    assert driver.ended == "WARNING"
    assert driver.snapshot("if").error == "no such key"


def test_an_answer_counts_from_the_owner_alone_and_a_lost_one_is_asked_again() -> None:
    driver = Driver(flow(choice())).create()
    driver.claim(driver.job("if"), "w1")
    driver.tell(WorkerLost("w1"))
    assert driver.result(driver.job("if"), worker="w1") == []
    assert driver.jobs == ["if", "if"] and driver.job("if").epoch == 2
    answer(driver, "if", worker="w2", condition=True)
    assert driver.jobs[-1] == "yes"


def test_a_kill_ends_what_is_asked() -> None:
    for claimed in (False, True):
        driver = Driver(flow(choice())).create()
        if claimed:
            driver.claim(driver.job("if"))
        driver.tell(KillRequested(EXECUTION_ID))
        driver.run()
        assert driver.states == {"if": "KILLED"} and driver.ended == "KILLED"


def test_chance_is_the_same_for_whoever_folds() -> None:
    values = "{{ uuid() }} {{ randomInt(0, 1000000) }} {{ now() }}"
    drawn = [render_value(values, {}, FoldWorld(at, seed)) for at, seed in ((1, "a"), (1, "a"))]
    assert drawn[0] == drawn[1] != render_value(values, {}, FoldWorld(1, "b"))
    with pytest.raises(WorldNeeded, match="let a property of a task read it"):
        render_value("{{ render('{{ kv(\"k\") }}') }}", {}, FoldWorld(1, "a"))
