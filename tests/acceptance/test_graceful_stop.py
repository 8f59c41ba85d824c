"""SIGTERM to a worker: what runs may end, the rest is handed back, nothing runs twice at once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kestrapy.machine.commands import Claimed, Returned
from kestrapy.model.state import State
from tests.acceptance import marks
from tests.acceptance.cluster import BASIC, Cluster
from tests.acceptance.evidence import Follower, Seen, read_topic
from tests.acceptance.ownership import Ownership

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

SETTINGS = {
    "workerGroups": [{"key": "alpha"}],
    "jobPartitions": 4,
    "worker": {"terminationGracePeriod": "PT4S", "threads": 4},
}
FIRST, SECOND = "worker:alpha#1", "worker:alpha#2"
LATER = """\
id: later
namespace: acceptance
workerGroup: {key: alpha}
tasks: [{id: only, type: return}]
"""


def drained(mark_file: Path) -> str:
    """Two tasks that end within the grace period, two that don't, unless they run again."""
    quick = marks.script(mark_file)
    endless = marks.lasting(mark_file, mark_file.with_name("never"))
    text = "id: drained\nnamespace: acceptance\nworkerGroup: {key: alpha}\n"
    text += "tasks:\n  - id: all\n    type: parallel\n    tasks:\n"
    for task_id, script in {"q1": quick, "q2": quick, "e1": endless, "e2": endless}.items():
        lines = "".join(f"          {line}\n" for line in script.splitlines())
        text += f"      - id: {task_id}\n        type: shell.script\n        script: |\n{lines}"
    return text


def test_what_does_not_end_within_the_grace_period_runs_elsewhere(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    mark_file = tmp_path / "marks"
    with Cluster(tmp_path, kafka, topic_prefix, SETTINGS) as cluster:
        cluster.start(*BASIC, FIRST)
        cluster.await_ready()
        for source in (drained(mark_file), LATER):
            cluster.api.save_flow(source)
        execution = cluster.api.submit("acceptance", "drained")
        cluster.wait_for(lambda: len(marks.read_marks(mark_file)) == 4, "four running tasks")
        # That the end of all processes can be told rests on this.
        assert sum("mark start" in line for line in cluster.processes().values()) == 4
        cluster.start(SECOND)
        cluster.await_ready(SECOND)
        first = cluster.worker_ids(cluster.slots[FIRST].pid)
        cluster.slots[FIRST].send(signal.SIGTERM)
        later = cluster.api.submit("acceptance", "later")
        assert cluster.slots[FIRST].wait() == 0
        parts = cluster.parts()
        with Follower(parts) as follower:
            follower.await_ends([execution, later])
            assert set(follower.ended.values()) == {State.SUCCESS}
        executions = read_topic(parts, parts.catalogue.executions)
        ran, ownership = marks.read_marks(mark_file), Ownership(executions)
        jobs = read_topic(parts, parts.catalogue.jobs("alpha"))
        assert ownership.problems(jobs, read_topic(parts, parts.catalogue.inbox)) == []
        assert marks.problems(ran, ownership.owners, cluster.worker_ids) == []
        # The other worker may have handed a claim ahead back, under an epoch that never ran.
        assert sorted(min(epoch, 2) for _, epoch in ran) == [1, 1, 1, 1, 2, 2]
        returned = {
            (it.content.task_run_id, it.content.epoch): it
            for it in executions
            if isinstance(it.content, Returned) and it.content.worker_id in first
        }
        ended = [it for fence, it in returned.items() if fence in ran]
        assert len(ended) == 2
        owned = {fence for fence, owner in ownership.owners.items() if owner in first}
        # Just before it was told to stop it may have claimed the later job ahead.
        assert owned - (returned.keys() - set(ran)) == {fence for fence in ran if fence[1] == 1}
        for it in ended:
            assert waited(it, executions) < cluster.settings.worker.lease, "as if it were lost"


def waited(returned: Seen, executions: list[Seen]) -> int:
    """ms from when an epoch was handed back to the next one's claim, by the broker's clock."""
    fence = returned.content.task_run_id, returned.content.epoch + 1
    claims = [
        it.record.timestamp
        for it in executions
        if isinstance(it.content, Claimed) and (it.content.task_run_id, it.content.epoch) == fence
    ]
    return claims[0] - returned.record.timestamp
