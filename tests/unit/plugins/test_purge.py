"""PurgeLogs and PurgeExecutions: what they count, say in the log, and delete of files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.schema import upgrade
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.errors import FlowRefused
from kestrapy.language.flow import parse_flow
from kestrapy.machine.outputs import ExecutionPurge, LogPurge
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.plugins.registry import REGISTRY
from kestrapy.ports.log import Partition
from kestrapy.ports.places import execution_folder
from kestrapy.servers.worker.task_sender import TaskSender
from kestrapy.wire.topics import Catalogue
from tests.samples import line, of_execution
from tests.task_bench import Bench, NoLauncher

LOGS = "io.kestra.plugin.core.log.PurgeLogs"
EXECUTIONS = "io.kestra.plugin.core.execution.PurgeExecutions"
TEAM = "company.team"
NOW = 1_000_000
LATER = "1970-01-02T00:00:00Z"
RUNNING, FAILED, OLD, OTHER = (
    derive_execution_id(shard, 1_000, name)
    for shard, name in ((0, "running"), (1, "failed"), (0, "old"), (1, "other"))
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """One execution runs, three have ended; each has a line and a file."""
    url = f"sqlite:///{tmp_path}/store.db"
    upgrade(url)
    writer = SqlIndexWriter(url)
    ends = ((RUNNING, State.RUNNING), (FAILED, State.FAILED), (OLD, State.SUCCESS))
    events = [
        of_execution(it, number, State.CREATED, state, at=number * 10_000)
        for number, (it, state) in enumerate(ends, 1)
    ]
    events.append(of_execution(OTHER, 9, State.CREATED, State.SUCCESS, at=1, namespace="other"))
    lines = [line(0, "said", "WARN", it) for it in (RUNNING, FAILED, OLD)]
    later = msgspec.structs.replace(lines[0], sequence=1, level="INFO", at=5_001)
    writer.write([*events, *lines, later], [])
    writer.close()
    bench = Bench(NoLauncher(), tmp_path)
    bench.topics = Catalogue("", shards=2, job_partitions=1)
    bench.log.topics().create(bench.topics.specs({}), 1.0)
    bench.clock.now = NOW
    queries = SqlQueries(url)
    sender = TaskSender(bench.log, bench.codec, bench.topics)
    bench.tools = bench.tools._replace(queries=lambda: queries, sender=sender)
    for execution_id in (RUNNING, FAILED, OLD):
        bench.blobs.put(file_of(execution_id), io.BytesIO(b"x"))
    yield bench
    queries.close()


def file_of(execution_id: str) -> str:
    return f"{execution_folder(TEAM, 'hello', execution_id)}/tasks/a/b.txt"


def said(bench: Bench, topic: str) -> list[tuple[int, Any]]:
    """What stands in a topic, each with its partition."""
    reader = bench.log.reader()
    reader.assign({Partition(topic, shard): 0 for shard in range(2)})
    return [(it.partition, bench.codec.decode(it).record) for it in reader.poll(100, 0)]


def purged(bench: Bench) -> list[ExecutionPurge]:
    return [record for _, record in said(bench, bench.topics.execution_events)]


def test_lines_are_counted_and_a_purge_stands_on_every_shard(bench: Bench) -> None:
    dates = {"startDate": "1970-01-01T00:00:01Z", "endDate": LATER}
    levels = {"logLevels": "{{ ['WARN', 'ERROR'] }}"}
    assert bench.done(LOGS, **dates, **levels, namespace="company") == {"count": 3}
    expected = LogPurge("run/4", 0, NOW, "company", "", "", ["WARN", "ERROR"], 1_000, NOW)
    assert sorted(said(bench, bench.topics.logs), key=lambda it: it[0]) == [
        (shard, msgspec.structs.replace(expected, shard=shard)) for shard in (0, 1)
    ]


def test_lines_of_one_execution_are_purged_where_they_are(bench: Bench) -> None:
    assert bench.done(LOGS, endDate=LATER, executionId=FAILED) == {"count": 1}
    ((shard, purge),) = said(bench, bench.topics.logs)
    assert (shard, purge.shard, purge.execution_id) == (1, 1, FAILED)
    assert "no execution id" in bench.refusal(LOGS, endDate=LATER, executionId="x")


def test_lines_before_a_date_and_of_one_flow(bench: Bench) -> None:
    assert bench.done(LOGS, endDate="1970-01-01T00:00:05.000Z") == {"count": 0}
    assert bench.done(LOGS, endDate="1970-01-01T00:00:05.001Z") == {"count": 3}
    assert bench.done(LOGS, endDate=LATER, namespace=TEAM, flowId="hello") == {"count": 4}
    assert bench.done(LOGS, endDate=LATER, namespace="company", flowId="hello") == {"count": 0}


def test_ended_executions_are_purged_with_their_files(bench: Bench) -> None:
    outputs = bench.done(EXECUTIONS, endDate=LATER, namespace="company", batchSize=1)
    assert outputs == {
        "executionsCount": 2,
        "logsCount": 2,
        "storagesCount": 2,
        "metricsCount": 0,
    }
    assert {it.execution_id: it.number for it in purged(bench)} == {FAILED: 2, OLD: 3}
    assert all(it.execution and it.logs and it.metrics and it.at == NOW for it in purged(bench))
    kept = [it for it in (RUNNING, FAILED, OLD) if bench.blobs.exists(file_of(it))]
    assert kept == [RUNNING]


def test_which_executions_and_what_of_them(bench: Bench) -> None:
    only = {"purgeExecution": False, "purgeMetric": False, "purgeStorage": False}
    outputs = bench.done(EXECUTIONS, endDate=LATER, states=["FAILED"], **only)
    assert list(outputs.values()) == [0, 1, 0, 0]
    (purge,) = purged(bench)
    assert (purge.execution_id, purge.execution, purge.logs) == (FAILED, False, True)
    assert bench.blobs.exists(file_of(FAILED))
    of_none = [
        {"endDate": "1970-01-01T00:00:20.001Z", "startDate": "1970-01-01T00:00:05Z"},
        {"endDate": LATER, "namespace": TEAM, "flowId": "bye"},
        {"endDate": LATER, "namespace": "company", "flowId": "hello"},
    ]
    for properties in of_none:
        assert bench.done(EXECUTIONS, **properties)["executionsCount"] == 0


@pytest.mark.parametrize(
    ("kind", "properties", "told"),
    [
        (LOGS, "logLevels: [DEBUG]", "tasks[0]: `endDate` is required"),
        (LOGS, "endDate: soon", "'soon' is no instant"),
        (LOGS, f"endDate: '{LATER}', logLevels: [LOUD]", "tasks[0].logLevels[0]"),
        (LOGS, f"endDate: '{LATER}', flowId: f", "`flowId` needs the flow's `namespace`"),
        (
            EXECUTIONS,
            f"endDate: '{LATER}', states: [RUNNING]",
            "RUNNING is no state of an execution",
        ),
        (EXECUTIONS, f"endDate: '{LATER}', batchSize: 0", "tasks[0].batchSize"),
    ],
)
def test_it_is_refused_with_its_place(kind: str, properties: str, told: str) -> None:
    flow = f"id: f\nnamespace: n\ntasks:\n  - {{id: a, type: {kind}, {properties}}}\n"
    with pytest.raises(FlowRefused) as caught:
        parse_flow(flow, REGISTRY)
    assert told in str(caught.value)
