"""Requests become executions; a key makes no second one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kestrapy.machine.commands import (
    ExecutionCreated,
    ExecutionRequested,
    ExecutionSubmitted,
    JobRequested,
    KillRequested,
    TriggerFired,
)
from kestrapy.machine.folds import intake_fold
from kestrapy.machine.intake import KEY_KEPT, LATEST
from kestrapy.machine.stage import Arrival, Folded, Position, Stage
from kestrapy.model.flow import RESERVED_NAMESPACE
from kestrapy.model.ids import shard_of, time_of
from kestrapy.model.instants import iso_date

REQUEST = ExecutionRequested("order-1", "shop", "ship", inputs='{"n":1}', labels={"a": "b"})
JOB = JobRequested("job-1", "gpu", "x.y.Return", '{"format":"hi"}', '{"n":1}', {"a": "b"})


class Intake:
    def __init__(self, shard: int = 3):
        self.stage = Stage(intake_fold(shard), {}, Position())

    def fold(self, command: Any, at: int = 1_000, **fields: Any) -> Folded:
        return self.stage.fold(Arrival(command, at, self.stage.position.offset, **fields))

    def created(self, command: Any, at: int = 1_000, **fields: Any) -> ExecutionCreated | None:
        folded = self.fold(command, at, **fields)
        assert folded.poison is None
        if not folded.outputs:
            return None
        (created,) = folded.outputs
        assert isinstance(created, ExecutionCreated)
        return created


def test_a_request_becomes_an_execution() -> None:
    created = Intake().created(REQUEST, at=5_000, traceparent="trace")
    assert created is not None
    assert (shard_of(created.execution_id), time_of(created.execution_id)) == (3, 5_000)
    assert created == ExecutionCreated(
        created.execution_id,
        "shop",
        "ship",
        0,
        inputs='{"n":1}',
        labels={"a": "b"},
        requested=REQUEST,
        traceparent="trace",
    )


def test_ids_are_the_same_at_a_replay() -> None:
    assert Intake().created(REQUEST) == Intake().created(REQUEST)


@pytest.mark.parametrize("request_", [REQUEST, JOB])
def test_a_key_makes_no_second_execution_within_its_window(request_: Any) -> None:
    intake = Intake()
    first = intake.created(request_, at=1_000)
    assert first is not None
    assert intake.created(request_, at=1_000 + KEY_KEPT - 1) is None
    again = intake.created(request_, at=1_000 + KEY_KEPT)
    assert again is not None and again.execution_id != first.execution_id
    assert intake.created(request_, at=1_000 + KEY_KEPT + 1) is None, "a window of its own"
    assert intake.created(request_, at=1_000 + 2 * KEY_KEPT - 1) is None


def test_keys_are_forgotten() -> None:
    intake = Intake()
    intake.created(REQUEST)
    intake.fold(KillRequested("of no concern"), at=1_000 + KEY_KEPT)
    assert intake.stage.state == {}


def test_other_keys_are_other_executions() -> None:
    intake = Intake()
    ids = {
        it.execution_id
        for key in ("a", "b", "a~1", "a~0")
        for it in [intake.created(ExecutionRequested(key, "shop", "ship"))]
        if it is not None
    }
    assert len(ids) == 4


def test_a_redriven_request_counts_as_another_key() -> None:
    intake = Intake()
    first, second = intake.created(REQUEST), intake.created(REQUEST, redrives=1)
    assert first is not None and second is not None
    assert (second.redrives, second.requested) == (1, REQUEST)
    assert first.execution_id != second.execution_id
    assert intake.created(REQUEST, redrives=1) is None


def test_an_empty_key_is_refused() -> None:
    folded = Intake().fold(ExecutionRequested("", "shop", "ship"))
    assert folded.poison is not None and "idempotencyKey is empty" in folded.poison
    assert (folded.outputs, folded.changes) == ([], {})


def test_a_job_request_brings_its_flow() -> None:
    created = Intake().created(JOB)
    assert created is not None
    assert (created.namespace, created.flow_id, created.revision) == (
        RESERVED_NAMESPACE,
        "Return",
        0,
    )
    assert (created.job_requested, created.requested) == (JOB, None)
    assert json.loads(created.inline) == {
        "id": "Return",
        "namespace": RESERVED_NAMESPACE,
        "tasks": [
            {"id": "job", "type": "x.y.Return", "format": "hi", "workerGroup": {"key": "gpu"}}
        ],
    }


@pytest.mark.parametrize("properties", ["", "[]", "{", "1"])
def test_properties_that_are_no_object_are_refused(properties: str) -> None:
    intake = Intake()
    folded = intake.fold(JobRequested("k", "gpu", "return", properties))
    assert folded.poison is not None and "properties must be a JSON object" in folded.poison
    assert intake.created(JobRequested("k", "gpu", "return", "{}")) is not None, "the key is free"


def test_a_request_may_name_its_date() -> None:
    request = ExecutionRequested("key", "shop", "ship", schedule_date=5_000)
    created = Intake().created(request)
    assert created is not None and created.not_before == 5_000
    submitted = ExecutionSubmitted("id", "shop", "ship", 7, not_before=6_000)
    created = Intake().created(submitted)
    assert created is not None and created.not_before == 6_000


@pytest.mark.parametrize("date", [-1, LATEST + 1])
def test_a_date_that_nobody_could_read_is_refused(date: int) -> None:
    folded = Intake().fold(ExecutionRequested("key", "shop", "ship", schedule_date=date))
    assert folded.poison is not None and f"scheduleDate {date}" in folded.poison
    assert iso_date(LATEST) == "9999-12-31T23:59:59.999Z"


def test_what_our_servers_submit_goes_through_as_it_is() -> None:
    intake, trigger = Intake(), TriggerFired("daily", "schedule", "u")
    submitted = ExecutionSubmitted("id", "shop", "ship", 7, '{"n":1}', {"a": "b"}, trigger)
    assert intake.created(submitted) == ExecutionCreated(
        "id", "shop", "ship", 7, inputs='{"n":1}', labels={"a": "b"}, trigger=trigger
    )
    assert intake.stage.state == {}


def test_other_commands_have_no_effect() -> None:
    assert Intake().fold(KillRequested("x")) == Folded({}, [])
