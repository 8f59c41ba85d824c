"""The shapes of Kestra's JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kestrapy.language.flow import parse_flow
from kestrapy.machine.outputs import (
    AttemptSnapshot,
    FlowRevision,
    MetricEntry,
    StateChange,
)
from kestrapy.model.instants import iso_date
from kestrapy.model.state import State
from kestrapy.plugins.registry import REGISTRY
from kestrapy.wire.kestra_json import (
    event_json,
    execution_json,
    flow_json,
    iso_duration,
    log_json,
    metric_json,
)
from tests.samples import line, of_execution, of_task_run


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "PT0S"),
        (1, "PT0.001S"),
        (1_500, "PT1.5S"),
        (60_000, "PT1M"),
        (3_723_040, "PT1H2M3.04S"),
        (90_000_000, "PT25H"),
    ],
)
def test_durations_are_written_as_java_writes_them(milliseconds: int, text: str) -> None:
    assert iso_duration(milliseconds) == text


def test_dates_have_milliseconds_and_are_in_utc() -> None:
    assert iso_date(1_767_225_600_007) == "2026-01-01T00:00:00.007Z"
    assert iso_date(0) == "1970-01-01T00:00:00.000Z"


def execution(*states: State, runs: Any = (), **changes: Any) -> dict[str, Any]:
    event = of_execution("e1", 1, *states, labels={"team": "a"})
    assert event.execution is not None
    snapshot = msgspec.structs.replace(event.execution, **changes)
    return execution_json("e1", "company", "hello", 3, snapshot, runs)


def test_a_running_execution_has_no_end() -> None:
    found = execution(State.CREATED, State.RUNNING)
    assert found["state"] == {
        "current": "RUNNING",
        "histories": [
            {"state": "CREATED", "date": "1970-01-01T00:00:01.000Z"},
            {"state": "RUNNING", "date": "1970-01-01T00:00:01.001Z"},
        ],
        "startDate": "1970-01-01T00:00:01.000Z",
    }
    assert (found["id"], found["tenantId"], found["flowRevision"]) == ("e1", "main", 3)
    assert found["labels"] == [{"key": "team", "value": "a"}]
    assert found["inputs"] == {"a": "\0"}
    assert "trigger" not in found and "error" not in found


def test_an_ended_execution_has_its_end_trigger_and_error() -> None:
    trigger = '{"id": "daily", "type": "Schedule", "variables": {"date": "x"}}'
    found = execution(State.CREATED, State.FAILED, trigger=trigger, error="why")
    assert found["state"]["endDate"] == "1970-01-01T00:00:01.001Z"
    assert found["state"]["duration"] == "PT0.001S"
    assert found["trigger"]["variables"] == {"date": "x"}
    assert found["error"] == {"message": "why"}


def test_task_runs_stand_in_the_order_of_their_ordinals() -> None:
    later, first = (of_task_run("e1", 1, it, State.RUNNING).task_run for it in (1, 0))
    assert later is not None and first is not None
    attempt = AttemptSnapshot(1, "w1", [StateChange(State.RUNNING, 5)])
    first = msgspec.structs.replace(
        first, parent_id="e1-9", value="v", iteration=0, attempts=[attempt], outputs='{"x": 1}'
    )
    first = msgspec.structs.replace(first, worker_group="gpu")
    runs = execution(State.RUNNING, runs=[later, first])["taskRunList"]
    assert [run["id"] for run in runs] == ["e1-0", "e1-1"]
    assert runs[0]["executionId"] == "e1" and runs[0]["flowId"] == "hello"
    assert (runs[0]["parentTaskRunId"], runs[0]["value"], runs[0]["iteration"]) == ("e1-9", "v", 0)
    assert runs[0]["outputs"] == {"x": 1}
    assert runs[0]["attempts"][0]["state"]["current"] == "RUNNING"
    assert runs[0]["workerGroup"] == {"key": "gpu"}
    absent = {"parentTaskRunId", "value", "iteration", "error", "workerGroup"}
    assert not absent & set(runs[1])


def test_a_flow_is_written_with_durations_and_without_what_is_empty() -> None:
    source = """\
id: hello
namespace: company
labels: {team: a}
inputs:
  - {id: n, type: INT, defaults: 0, min: 0}
tasks:
  - id: both
    type: io.kestra.plugin.core.flow.Parallel
    concurrent: 2
    tasks:
      - id: one
        type: io.kestra.plugin.core.log.Log
        message: hi
        timeout: PT90S
        retry: {type: exponential, interval: PT1S, maxInterval: PT10S, maxAttempts: 3}
finally:
  - {id: last, type: io.kestra.plugin.core.log.Log, message: bye}
"""
    flow = parse_flow(source, REGISTRY)
    found = flow_json(flow, FlowRevision("company", "hello", 7, source, at=0))
    both = found["tasks"][0]
    assert (found["revision"], found["source"]) == (7, source)
    assert found["inputs"] == [
        {"id": "n", "type": "INT", "required": True, "defaults": 0, "min": 0.0}
    ]
    assert (both["tasks"][0]["timeout"], both["concurrent"]) == ("PT1M30S", 2)
    assert both["tasks"][0]["retry"] == {
        "type": "exponential",
        "interval": "PT1S",
        "maxInterval": "PT10S",
        "delayFactor": 2.0,
        "maxAttempts": 3,
        "behavior": "RETRY_FAILED_TASK",
    }
    assert found["finally"][0]["id"] == "last"
    assert not {"errors", "triggers", "description", "outputs"} & set(found)
    assert "source" not in flow_json(
        flow, FlowRevision("company", "hello", 7, source, at=0), with_source=False
    )


def test_lines_metrics_and_events() -> None:
    entry = log_json(line(1, "hi", "WARN"))
    assert (entry["level"], entry["message"], entry["attemptNumber"]) == ("WARN", "hi", 0)
    assert entry["timestamp"] == "1970-01-01T00:00:05.001Z"
    metric = MetricEntry("e1", "e1-0", 1, 1, 0, "rows", "counter", 3.0, {"a": "b"}, "n", "f", "t")
    assert (metric_json(metric)["value"], metric_json(metric)["tags"]) == (3.0, {"a": "b"})
    timer = msgspec.structs.replace(metric, kind="timer", value=0.25)
    assert metric_json(timer)["value"] == 250.0
    assert event_json(of_execution("e1", 4, State.RUNNING))["state"] == "RUNNING"
    assert event_json(of_task_run("e1", 4, 2, State.FAILED))["taskRunId"] == "e1-2"


@pytest.mark.parametrize(
    "where",
    [
        {"workerGroup": {"key": "gpu", "lane": "fast", "fallbackAfter": "PT5S"}},
        {"workerGroup": {"key": "gpu", "fallback": "CANCEL"}},
        {"workerGroup": {"key": "{{ inputs.g }}", "fallback": {"group": "other"}}},
        {"workerSelector": {"tags": ["a", "{{ inputs.t }}"], "match": "ANY", "fallback": "WAIT"}},
    ],
)
def test_where_a_task_shall_run_is_spelled_as_in_its_flow(where: dict[str, Any]) -> None:
    task = {"id": "t", "type": "log", "message": "m", "onWorkerLost": "FAIL", **where}
    source = json.dumps({"id": "f", "namespace": "n", "tasks": [task], **where})
    flow = parse_flow(source, REGISTRY)
    found = flow_json(flow, FlowRevision("n", "f", 1, source, 0), with_source=False)
    name, value = next(iter(where.items()))
    assert found[name] == value
    assert found["tasks"][0][name] == value
    assert found["tasks"][0]["onWorkerLost"] == "FAIL"


def test_children_of_flowable_tasks_are_spelled_as_in_their_flow() -> None:
    def log(task_id: str, **more: Any) -> dict[str, Any]:
        return {"id": task_id, "type": "io.kestra.plugin.core.log.Log", "message": "m", **more}

    flow_types = "io.kestra.plugin.core.flow"
    items = [{"task": log("g")}, {"task": log("h"), "dependsOn": ["g"]}]
    tasks: list[dict[str, Any]] = [
        {"id": "i", "type": f"{flow_types}.If", "condition": "x", "then": [log("a")]},
        {
            "id": "s",
            "type": f"{flow_types}.Switch",
            "value": "x",
            "cases": {"x": [log("b")]},
            "defaults": [log("c")],
        },
        {
            "id": "e",
            "type": f"{flow_types}.ForEach",
            "values": ["x"],
            "tasks": [log("d", runIf="{{ 1 }}")],
            "concurrencyLimit": 0,
        },
        {"id": "p", "type": f"{flow_types}.Pause", "onPause": log("f")},
        {"id": "o", "type": f"{flow_types}.Dag", "tasks": items},
    ]
    document = {"id": "f", "namespace": "n", "tasks": tasks, "afterExecution": [log("z")]}
    source = json.dumps(document)
    flow = parse_flow(source, REGISTRY)
    found = flow_json(flow, FlowRevision("n", "f", 1, source, 0), with_source=False)
    assert found["afterExecution"] == document["afterExecution"]
    for written, given in zip(found["tasks"], tasks, strict=True):
        assert {name: written[name] for name in given} == given
    assert "else" not in found["tasks"][0]
