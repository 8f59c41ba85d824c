"""log.Fetch: lines read back from the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kestrapy.machine.outputs import LogEntry
from kestrapy.model.ids import derive_execution_id
from kestrapy.ports.log import Message
from kestrapy.servers.router import Router
from kestrapy.servers.worker import log_lines
from tests.task_bench import Bench, NoLauncher

FETCH = "io.kestra.plugin.core.log.Fetch"
NOW = 10_000_000
MINE = derive_execution_id(0, NOW, "mine")
OTHER = derive_execution_id(0, NOW, "other")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(NoLauncher(), tmp_path)
    bench.clock.now = NOW
    bench.log.topics().create(bench.topics.specs({}), 1.0)
    return bench


def write(bench: Bench, message: str, **changes: Any) -> None:
    entry = {
        "execution_id": MINE,
        "task_run_id": f"{MINE}-0",
        "epoch": 1,
        "attempt": 1,
        "sequence": 0,
        "at": bench.clock.now,
        "level": "INFO",
        "message": message,
        "namespace": "company.team",
        "flow_id": "flow",
        "task_id": "a",
    }
    producer = bench.log.producer()
    producer.send(Router(bench.codec, bench.topics).message(LogEntry(**{**entry, **changes})))
    producer.close()


def fetched(bench: Bench, **properties: Any) -> list[str]:
    outputs = bench.done(FETCH, **{"executionId": MINE, **properties})
    lines = [json.loads(line) for line in bench.content(outputs["uri"]).splitlines()]
    assert outputs["size"] == len(lines)
    return [line["message"] for line in lines]


def test_lines_of_one_execution_from_a_level_on(bench: Bench) -> None:
    write(bench, "one")
    write(bench, "quiet", level="DEBUG")
    write(bench, "other", execution_id=OTHER)
    write(bench, "two", level="ERROR", task_id="b")
    assert fetched(bench) == ["one", "two"]
    assert fetched(bench, level="TRACE") == ["one", "quiet", "two"]
    assert fetched(bench, level="WARN") == ["two"]
    assert fetched(bench, tasksId=["b", "none"]) == ["two"]
    assert fetched(bench, executionId=OTHER) == ["other"]


def test_lines_of_another_flow_have_to_be_asked_for(bench: Bench) -> None:
    write(bench, "theirs", flow_id="their", namespace="other")
    assert fetched(bench) == []
    assert fetched(bench, flowId="their") == []
    assert fetched(bench, flowId="their", namespace="other") == ["theirs"]


def test_only_what_came_since_the_execution_was_asked_for_is_read(bench: Bench) -> None:
    bench.clock.now = NOW - log_lines._MARGIN - 1
    write(bench, "impossible")
    bench.clock.now = NOW
    assert fetched(bench) == []
    write(bench, "possible")
    assert fetched(bench) == ["possible"]


def test_what_can_not_be_read_is_passed_over(bench: Bench) -> None:
    producer = bench.log.producer()
    producer.send(Message(bench.topics.logs, b"garbage", MINE.encode(), 0))
    producer.close()
    write(bench, "good")
    assert fetched(bench) == ["good"]


def test_no_execution(bench: Bench) -> None:
    assert "is no execution id" in bench.refusal(FETCH, executionId="x")
