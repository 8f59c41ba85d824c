"""Expressions that read all outputs of a loop: so much of it and no more, in one command."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kestrapy.machine import variables
from kestrapy.machine.commands import ExecutionSubmitted
from tests.machine_driver import Document, Driver, flow, task

READS = "{{ outputs.a | length }}"
TOO_MUCH = "the outputs of all runs of `a` have more than 60 characters"
CALLED = {"namespace": "other", "flowId": "called"}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variables, "WHOLE_LIMIT", 60)


def looped(*tasks: Document, values: int = 9, **properties: Any) -> Driver:
    """After a loop, whose runs have put out 15 characters each."""
    loop = {"id": "l", "type": "forEach", "values": [*range(values)], "tasks": [task("a")]}
    return Driver(flow(loop, *tasks, **properties)).create()


def test_as_much_as_may_be_had() -> None:
    driver = looped({"id": "if", "type": "if", "condition": READS, "then": [task("b")]}, values=4)
    assert driver.run().ended == "SUCCESS" and driver.states["b"] == "SUCCESS"


@pytest.mark.parametrize(
    "document",
    [
        {"id": "it", "type": "if", "condition": READS, "then": [task("b")]},
        {"id": "it", "type": "switch", "value": READS, "defaults": [task("b")]},
        {"id": "it", "type": "forEach", "values": READS, "tasks": [task("b")]},
        {"id": "it", "type": "labels", "labels": {"k": READS}},
        {"id": "it", "type": "subflow", **CALLED, "inputs": {"k": READS}},
        {"id": "it", "type": "loopUntil", "condition": READS, "tasks": [task("b")]},
        task("it", runIf=READS),
        task("it", workerGroup={"key": READS}),
    ],
    ids=lambda it: it["type"],
)
def test_a_task_that_reads_more_fails(document: Document) -> None:
    driver = looped(document, errors=[task("mend")]).run()
    assert (driver.states["it"], driver.states["mend"], driver.ended) == (
        "FAILED",
        "SUCCESS",
        "FAILED",
    )
    assert TOO_MUCH in driver.snapshot("it").error
    assert not driver.of(ExecutionSubmitted)


def test_batches_whose_inputs_read_more_fail_all_of_them() -> None:
    inputs = {"inputs": {"k": READS}, "wait": "{{ outputs.a is defined }}"}
    driver = looped({"id": "it", "type": "forEachItem", "items": "kestra:///a", **CALLED, **inputs})
    driver.run(it_split=["silent"])
    driver.result(driver.job("it_split"), outputs='{"numberOfBatches":250}')
    driver.run()
    assert (driver.states["it"], driver.ended) == ("FAILED", "FAILED")
    assert TOO_MUCH in driver.snapshot("it_items").error
    found = msgspec.json.decode(driver.snapshot("it_items").outputs)
    counts = {"CREATED": 0, "RUNNING": 0, "FAILED": 250}
    assert found == {"numberOfBatches": 250, "iterations": counts}


def test_outputs_of_the_flow_that_read_more_fail_the_execution() -> None:
    driver = looped(outputs=[{"id": "o", "type": "STRING", "value": READS}]).run()
    assert driver.ended == "FAILED" and TOO_MUCH in driver.snapshot().error


def test_an_assertion_that_reads_more_is_not_violated() -> None:
    sla = {"id": "s", "type": "EXECUTION_ASSERTION", "assert": READS, "behavior": "FAIL"}
    assert looped(sla=[sla]).run().ended == "SUCCESS"


def test_a_job_that_would_carry_more_carries_too_much_for_its_topic() -> None:
    """Which refuses it, where the limit is what it is: far more than a record may have."""
    driver = looped(task("b", format=READS)).run()
    carried = msgspec.json.decode(driver.job("b").variables)["outputs"]["a"]
    assert len(carried) == 4 and driver.ended == "SUCCESS"
