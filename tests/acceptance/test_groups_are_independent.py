"""A worker group whose queue is long holds up nobody else."""

from __future__ import annotations

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


def times(seen: list[ExecutionEvent], execution_id: str, state: State) -> list[int]:
    """When the jobs of an execution came to be in a state, by the broker's clock, in order."""
    return sorted(
        it.at
        for it in seen
        if it.execution_id == execution_id
        and it.task_run is not None
        and it.task_run.worker_group
        and it.task_run.state is state
    )


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
            follower.await_that(
                lambda: len(times(seen, slow, State.SUBMITTED)) == SLOW_JOBS, "slow jobs"
            )
            fast = cluster.api.submit("acceptance", "fast")
            follower.await_that(
                lambda: len(times(seen, slow, State.SUCCESS)) >= ENDED_OF_SLOW, "their ends"
            )
        fast_ends = times(seen, fast, State.SUCCESS)
        assert len(fast_ends) == FAST_JOBS
        assert min(times(seen, fast, State.SUBMITTED)) >= max(times(seen, slow, State.SUBMITTED))
        assert fast_ends[-1] < times(seen, slow, State.SUCCESS)[ENDED_OF_SLOW - 1]
