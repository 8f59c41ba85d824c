"""A concurrency limit over several shards, while the executors that own these are killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kestrapy.machine.commands import SlotGranted
from kestrapy.machine.outputs import ExecutionEvent
from kestrapy.model.ids import shard_of
from kestrapy.model.state import State
from tests.acceptance.cluster import BASIC, Cluster
from tests.acceptance.evidence import Follower, read_topic

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

LIMIT = 3
EXECUTIONS = 24
EXECUTORS = ("executor", "executor#2")
SETTINGS = {"workerGroups": [{"key": "alpha"}], "shards": 4, "jobPartitions": 4}
FLOW = f"""\
id: limited
namespace: acceptance
workerGroup: {{key: alpha}}
concurrency: {{limit: {LIMIT}}}
tasks:
  - {{id: work, type: shell.commands, commands: [sleep 0.5]}}
afterExecution:
  - {{id: last, type: return, format: done}}
"""


@pytest.fixture
def cluster(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, kafka, topic_prefix, SETTINGS) as cluster:
        cluster.start(*BASIC, EXECUTORS[1], "worker:alpha")
        cluster.await_ready()
        cluster.api.save_flow(FLOW)
        yield cluster


def most_at_once(events: list[ExecutionEvent]) -> int:
    """How many executions ran at the same time, by the log's clock."""
    spans: dict[str, tuple[int, int]] = {}
    for event in events:
        if event.execution is not None and event.execution.state.is_terminal:
            began = [it.at for it in event.execution.histories if it.state is State.RUNNING]
            if began:
                spans[event.execution_id] = (began[0], event.execution.histories[-1].at)
    return max(
        sum(1 for begin, end in spans.values() if begin <= moment < end)
        for moment, _ in spans.values()
    )


def test_no_more_run_than_may_and_no_slot_is_lost_though_executors_die(cluster: Cluster) -> None:
    ids = [cluster.api.submit("acceptance", "limited") for _ in range(EXECUTIONS)]
    assert len({shard_of(it) for it in ids}) > 1
    with Follower(cluster.parts()) as follower:
        for number in range(4):
            follower.await_that(
                lambda least=5 * number + 1: len(follower.ended) >= least,  # type: ignore[misc]
                "the next ends",
            )
            name = EXECUTORS[number % 2]
            cluster.kill(name)
            if number == 1:
                cluster.api.kill(ids[-1])
            cluster.start(name)
        follower.await_ends(ids)
        states = [follower.ended[it] for it in ids]
        assert states.count(State.SUCCESS) >= EXECUTIONS - 1
        assert most_at_once(follower.seen) <= LIMIT
        waited = [it.execution for it in follower.seen if it.execution and it.execution.waits_for]
        assert len({it.histories[0].at for it in waited}) > 1, "some were queued, and said so"
    parts = cluster.parts()
    granted = [
        it.content
        for it in read_topic(parts, parts.catalogue.executions)
        if isinstance(it.content, SlotGranted)
    ]
    assert {it.execution_id for it in granted} <= set(ids)
    later = cluster.api.submit("acceptance", "limited")
    with Follower(parts) as follower:
        follower.await_ends([later])
        assert follower.ended[later] is State.SUCCESS, "all slots are free again"
