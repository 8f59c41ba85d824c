"""Inputs of batches that a worker renders, page by page, before the first of them starts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kestrapy.machine import batches
from kestrapy.machine.commands import (
    ChildReported,
    ExecutionSubmitted,
    KillRequested,
    TimerDue,
    WorkerLost,
)
from kestrapy.machine.entities import ChildOutputs
from kestrapy.machine.outputs import Job, Kill
from kestrapy.machine.pictures import restart
from kestrapy.model.state import State
from tests.machine_driver import EXECUTION_ID, Document, Driver, constant, flow, plan_of

KEPT = {"Ended", "Holder", "Group"}


def each(**properties: Any) -> Document:
    called = {"namespace": "other", "flowId": "called", "items": "kestra:///all.txt"}
    inputs = {"i": "{{ read(taskrun.items) }}", "n": "{{ taskrun.iteration }}"}
    return flow({"id": "each", "type": "forEachItem", **called, "inputs": inputs, **properties})


def begun(count: int, **properties: Any) -> Driver:
    """A ForEachItem whose items are split: a worker is to render the inputs of its batches."""
    driver = Driver(each(**properties)).create()
    split(driver, count)
    return driver


def split(driver: Driver, count: int) -> None:
    job = driver.job("each_split")
    driver.claim(job)
    driver.result(job, outputs=f'{{"numberOfBatches":{count},"prefix":"kestra:///b"}}')


def asked_for(driver: Driver) -> list[dict[str, Any]]:
    """The batches that the last job is to render."""
    task = msgspec.json.decode(driver.job("each_items").task)
    assert task["properties"]["properties"]["inputs"] == {"i": "{{ read(taskrun.items) }}"}
    found: list[dict[str, Any]] = task["properties"]["batches"]["taskruns"]
    return found


def answer(driver: Driver, most: int = 100, state: State = State.SUCCESS) -> None:
    """A worker renders the inputs of so many of them."""
    job = driver.job("each_items")
    page = [{"inputs": {"i": it["iteration"]}} for it in asked_for(driver)[:most]]
    driver.claim(job)
    driver.result(job, state, outputs=msgspec.json.encode({"batches": page}).decode())


def children(driver: Driver) -> list[ExecutionSubmitted]:
    return driver.of(ExecutionSubmitted)


def test_a_worker_renders_the_inputs_and_then_they_start() -> None:
    driver = begun(2)
    assert children(driver) == [] and driver.jobs == ["each_split", "each_items"]
    first, second = asked_for(driver)
    assert (first["items"], first["iteration"]) == ("kestra:///b0", 0)
    assert (second["items"], second["iteration"]) == ("kestra:///b1", 1)
    assert first["id"] == f"{EXECUTION_ID}-2"
    answer(driver)
    assert [it.inputs for it in children(driver)] == ['{"n":0,"i":0}', '{"n":1,"i":1}']
    driver.run()
    assert driver.ended == "SUCCESS"
    assert {type(it).__name__ for it in driver.state.values()} <= KEPT


def test_a_condition_of_the_task_is_another_matter() -> None:
    driver = Driver(each(runIf="{{ kv('go') }}")).create()
    asked = msgspec.json.decode(driver.job("each").task)["properties"]
    assert asked == {"runIf": "{{ kv('go') }}", "properties": {}}
    driver.claim(driver.job("each"))
    driver.result(driver.job("each"), outputs='{"runIf":true}')
    split(driver, 1)
    answer(driver)
    assert driver.run().ended == "SUCCESS"


def test_many_are_rendered_in_pages_of_what_fits_into_an_answer() -> None:
    driver = begun(150)
    sizes = []
    while not children(driver):
        sizes.append(len(asked_for(driver)))
        answer(driver, most=60)
    assert sizes == [100, 90, 30]
    assert driver.histories("each_items").count("RUNNING") == len(sizes)
    driver.run()
    found = [msgspec.json.decode(it.inputs)["i"] for it in children(driver)]
    assert found == list(range(150))
    assert len(driver.snapshot("each_items").attempts) == 1, "an evaluation is none"
    assert {type(it).__name__ for it in driver.state.values()} <= KEPT


def test_what_can_not_be_rendered_fails_its_batch_alone() -> None:
    driver = begun(3)
    driver.claim(job := driver.job("each_items"))
    page = '[{"inputs":{"i":1}},{"error":"inputs: no file"},{"inputs":{"i":3}}]'
    driver.result(job, outputs=f'{{"batches":{page}}}')
    assert len(children(driver)) == 2
    assert driver.run().ended == "FAILED"
    assert driver.snapshot("each_items").error == "batch 1: inputs: no file"


@pytest.mark.parametrize("outputs", ["{}", '{"batches":5}', '{"batches":[]}', "no JSON"])
def test_an_answer_without_inputs_fails_all_of_them(outputs: str) -> None:
    driver = begun(3)
    driver.claim(job := driver.job("each_items"))
    driver.result(job, outputs=outputs)
    assert (driver.states["each_items"], driver.ended) == ("FAILED", "FAILED")
    assert children(driver) == []


def test_so_much_of_it_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LIMIT", 40)
    driver = begun(5)
    answer(driver, most=2)
    answer(driver)
    assert driver.ended == "FAILED" and children(driver) == []
    assert "read the file in the subflow" in driver.snapshot("each_items").error


def test_a_worker_that_is_lost_renders_the_same_page_once_more() -> None:
    driver = begun(3)
    answer(driver, most=1)
    driver.claim(driver.job("each_items"), "w2")
    driver.tell(WorkerLost("w2"))
    assert [it["iteration"] for it in asked_for(driver)] == [1, 2]
    answer(driver)
    assert driver.run().ended == "SUCCESS"


@pytest.mark.parametrize("claimed", [True, False])
def test_a_kill_between_two_pages(claimed: bool) -> None:
    driver = begun(3)
    answer(driver, most=1)
    if claimed:
        driver.claim(driver.job("each_items"))
    told = driver.tell(KillRequested(EXECUTION_ID))
    assert len([it for it in told if isinstance(it, Kill)]) == claimed
    driver.run()
    assert (driver.ended, children(driver)) == ("KILLED", [])
    assert {type(it).__name__ for it in driver.state.values()} <= KEPT


def test_each_try_renders_them_anew() -> None:
    driver = begun(1, retry=constant("PT1S", maxAttempts=2))
    answer(driver)
    (child,) = children(driver)
    driver.tell(ChildReported(f"{EXECUTION_ID}-2", child.execution_id, 0, State.FAILED))
    run = driver.runs["each_items"]
    assert run.state is State.RETRYING
    driver.tell(TimerDue(run.id, run.due))
    answer(driver)
    assert len(children(driver)) == driver.jobs.count("each_items") == 2
    assert driver.run().ended == "SUCCESS"


def test_a_restart_renders_them_anew() -> None:
    driver = begun(2)
    answer(driver)
    driver.run(each_items=["fail"])
    assert driver.ended == "FAILED"
    driver.restore(restart(driver.stored(), plan_of(each()), "r1")).run(each_items=["silent"])
    assert driver.jobs == ["each_split", "each_items", "each_items"]
    answer(driver)
    assert len(children(driver)) == 4
    assert driver.run().ended == "SUCCESS"


def test_a_command_costs_the_same_with_few_batches_and_with_many() -> None:
    def largest(count: int) -> int:
        driver, sizes = begun(count), []
        while not children(driver):
            job = driver.job("each_items")
            page = [{"inputs": {"i": "x" * 50}} for _ in asked_for(driver)]
            driver.claim(job)
            before = len(driver.outputs)
            driver.result(job, outputs=msgspec.json.encode({"batches": page}).decode())
            sizes.append(len(msgspec.msgpack.encode(driver.outputs[before:])))
        while (run := driver.runs["each_items"]).due:
            driver.tell(TimerDue(run.id, run.due))
        assert sum(isinstance(it, ChildOutputs) for it in driver.state.values()) == count
        driver.tell(KillRequested(EXECUTION_ID))
        driver.run()
        assert {type(it).__name__ for it in driver.state.values()} <= KEPT
        return max(sizes[:-1])

    assert largest(900) < 1.1 * largest(300)
    assert not [it for it in begun(0).of(Job) if it.task_id == "each_items"][1:]
