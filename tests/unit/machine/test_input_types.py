"""Inputs of a record, whoever wrote it: the fold types them, and takes no readable secret."""

from __future__ import annotations

import json
from typing import Any

from kestrapy.language.yaml_source import parse
from kestrapy.machine.commands import ExecutionRequested
from kestrapy.machine.outputs import Job
from kestrapy.model.inputs import ENCRYPTED, MASK
from tests.input_samples import SOURCE, TEXTS, VALUES
from tests.machine_driver import EXECUTION_ID, FLOW_ID, NAMESPACE, Driver

SEALED = {"type": ENCRYPTED, "value": "c2VhbGVk"}
FLOW = {**parse(SOURCE).data, "id": FLOW_ID, "namespace": NAMESPACE}
REQUEST = ExecutionRequested("key", NAMESPACE, FLOW_ID)


def given(**more: Any) -> str:
    nested = {"file": "kestra:///company/x.csv", "secret": SEALED}
    return json.dumps({**VALUES, "more": "of it", "nested": nested, **more})


def inputs(driver: Driver) -> Any:
    return json.loads(driver.snapshot().inputs)


def test_an_input_of_each_type_as_json_values_or_as_texts() -> None:
    expected = json.loads(given(more=None))
    assert inputs(Driver(FLOW).create(inputs=given())) == expected
    texts = {name: text for name, text in TEXTS.items() if not name.startswith("nested.")}
    assert inputs(Driver(FLOW).create(inputs=given(**texts))) == expected


def test_a_job_carries_the_secret_as_it_was_sealed() -> None:
    driver = Driver(FLOW).create(inputs=given())
    (job,) = driver.of(Job)
    assert json.loads(job.variables)["inputs"]["nested"]["secret"] == SEALED
    assert job.execution_id == EXECUTION_ID


def test_a_secret_that_is_readable_is_refused_and_not_shown() -> None:
    nested = {"file": "kestra:///company/x.csv", "secret": "hush"}
    driver = Driver(FLOW).create(inputs=given(nested=nested), requested=REQUEST)
    assert driver.ended == "FAILED"
    error = driver.snapshot().error
    assert "a secret must come encrypted" in error
    assert "hush" not in error
    assert "hush" not in driver.snapshot().inputs
    assert inputs(driver)["nested.secret"] == MASK
