"""A worker group whose queue is long holds up nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kestrapy.machine.outputs import ExecutionEvent
from kestrapy.model.state import State
from tests.acceptance.cluster import BASIC, Cluster
from tests.acceptance.evidence import Follower

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

SLOW_JOBS, FAST_JOBS = 200, 50
ENDED_OF_SLOW = 20
SETTINGS = {"workerGroups": [{"key": "slow"}, {"key": "fast"}], "worker": {"threads": 2}}


def fan(flow_id: str, group: str, count: int, task: str) -> str:
    tasks = "\n".join(f"      - {{id: t{number}, {task}}}" for number in range(count))
    head = f"id: {flow_id}\nnamespace: acceptance\nworkerGroup: {{key: {group}}}\n"
    return f"{head}tasks:\n  - id: all\n    type: parallel\n    tasks:\n{tasks}\n"


WAITING = (State.CREATED, State.SUBMITTED)
"""In the group's lines, or in its topic."""


def times(seen: list[ExecutionEvent], execution_id: str, *states: State) -> list[int]:
    """When the jobs of an execution came to be in one of the states first, by the broker's clock,
    in order.
    """
    found: dict[str, int] = {}
    for run_id, at in _told(seen, execution_id, states):
        found.setdefault(run_id, at)
    return sorted(found.values())


def _told(
    seen: list[ExecutionEvent], execution_id: str, states: tuple[State, ...]
) -> Iterator[tuple[str, int]]:
    for it in seen:
        if it.execution_id == execution_id and it.task_run is not None:
            if it.task_run.worker_group and it.task_run.state in states:
                yield it.task_run.id, it.at


def test_a_group_runs_its_jobs_while_another_has_a_long_queue(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    with Cluster(tmp_path, kafka, topic_prefix, SETTINGS) as cluster:
        cluster.start(*BASIC, "worker:slow", "worker:fast")
        cluster.await_ready()
        cluster.api.save_flow(fan("slow", "slow", SLOW_JOBS, "type: sleep, duration: PT1S"))
        cluster.api.save_flow(fan("fast", "fast", FAST_JOBS, "type: return"))
        slow = cluster.api.submit("acceptance", "slow")
        with Follower(cluster.parts()) as follower:
            seen = follower.seen
            follower.await_that(lambda: len(times(seen, slow, *WAITING)) == SLOW_JOBS, "slow jobs")
            fast = cluster.api.submit("acceptance", "fast")
            follower.await_that(
                lambda: len(times(seen, slow, State.SUCCESS)) >= ENDED_OF_SLOW, "their ends"
            )
        fast_ends = times(seen, fast, State.SUCCESS)
        assert len(fast_ends) == FAST_JOBS
        assert min(times(seen, fast, *WAITING)) >= max(times(seen, slow, *WAITING))
        assert fast_ends[-1] < times(seen, slow, State.SUCCESS)[ENDED_OF_SLOW - 1]
