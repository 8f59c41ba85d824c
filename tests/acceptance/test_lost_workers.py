"""Workers that are killed or stopped while their tasks run: each task runs again, and only then."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kestrapy.machine.commands import Heartbeat, WorkerLost
from kestrapy.model.state import State
from tests.acceptance import marks
from tests.acceptance.cluster import BASIC, Cluster, send
from tests.acceptance.evidence import Follower, read_topic
from tests.acceptance.faults import reached
from tests.acceptance.ownership import Ownership

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

SETTINGS = {
    "workerGroups": [{"key": "alpha"}],
    "jobPartitions": 4,
    "worker": {"lease": "PT9.5S", "endTasks": "PT0.5S", "lostAfter": "PT10.5S"},
}
FIRST, SECOND = "worker:alpha#1", "worker:alpha#2"
LEAST_TASKS, MOST_TASKS = 4, 8
"""A worker has eight slots: the other one can take all of them over."""


class Watched:
    """Two workers with tasks whose first epoch goes on until somebody ends it."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.mark_file = cluster.folder / "marks"
        self.stop_file = cluster.folder / "stop"
        cluster.start(*BASIC, FIRST, SECOND)
        cluster.await_ready()
        script = marks.lasting(self.mark_file, self.stop_file)
        text = "".join(f"      {line}\n" for line in script.splitlines())
        cluster.api.save_flow(
            "id: lasting\nnamespace: acceptance\ntasks:\n  - id: run\n    type: shell.script\n"
            f"    workerGroup: {{key: alpha}}\n    script: |\n{text}"
        )
        self.slot = cluster.slots[FIRST]
        self.ids: list[str] = []
        self.held: set[str] = set()
        cluster.wait_for(self._both_read, "both workers to have partitions")
        while len(self.ids) < LEAST_TASKS or not self.held:
            assert len(self.ids) < MOST_TASKS, "the first worker got no job"
            self._begin_task()
        self.workers = cluster.worker_ids(self.slot.pid)

    def _both_read(self) -> bool:
        beats = read_topic(self.cluster.parts(), self.cluster.parts().catalogue.workers)
        reads = {
            it.content.worker_id: it.content.partition >= 0
            for it in beats
            if isinstance(it.content, Heartbeat) and it.content.worker_group
        }
        return sum(reads.values()) == 2

    def _begin_task(self) -> None:
        self.ids.append(self.cluster.api.submit("acceptance", "lasting"))
        running = f"{len(self.ids)} running tasks"
        self.cluster.wait_for(lambda: len(self.ran(1)) == len(self.ids), running)
        self.held = {run for run, it in self.ran(1).items() if it.supervisor == self.slot.pid}

    def ran(self, epoch: int) -> dict[str, marks.Epoch]:
        """By task run."""
        found = marks.read_marks(self.mark_file)
        return {run: it for (run, at), it in found.items() if at == epoch}

    def await_moved(self) -> None:
        self.cluster.wait_for(lambda: self.held <= self.ran(2).keys(), "a second epoch of all")

    def judge(self) -> None:
        """All ends well, and no epoch was anybody's but its owner's."""
        self.stop_file.touch()
        parts = self.cluster.parts()
        with Follower(parts) as follower:
            follower.await_ends(self.ids)
            assert set(follower.ended.values()) == {State.SUCCESS}
        executions = read_topic(parts, parts.catalogue.executions)
        ownership = Ownership(executions)
        jobs = read_topic(parts, parts.catalogue.jobs("alpha"))
        assert ownership.problems(jobs, read_topic(parts, parts.catalogue.inbox)) == []
        ran = marks.read_marks(self.mark_file)
        assert marks.problems(ran, ownership.owners, self.cluster.worker_ids) == []
        assert self.ran(2).keys() == self.held
        lost = {it.content.worker_id for it in executions if isinstance(it.content, WorkerLost)}
        assert lost == self.workers


@pytest.fixture
def watched(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Watched]:
    with Cluster(tmp_path, kafka, topic_prefix, SETTINGS) as cluster:
        yield Watched(cluster)


def test_the_jobs_of_a_killed_worker_run_again(watched: Watched) -> None:
    for pid in reached(watched.slot, "child"):
        send(pid, signal.SIGKILL)
    watched.await_moved()
    watched.judge()


@pytest.mark.parametrize("part", ["child", "both"])
def test_nothing_that_a_stopped_worker_does_when_continued_has_effect(
    watched: Watched, part: str
) -> None:
    pids = reached(watched.slot, part)
    for pid in pids:
        send(pid, signal.SIGSTOP)
    watched.await_moved()
    continued = time.clock_gettime(time.CLOCK_BOOTTIME)
    for pid in pids:
        send(pid, signal.SIGCONT)
    watched.cluster.wait_for(
        lambda: watched.cluster.worker_ids(watched.slot.pid) > watched.workers,
        "another worker in its place",
    )
    watched.judge()
    ends = [max(watched.ran(1)[run].times) for run in watched.held]
    assert max(ends) < continued, "its tasks ran on"
    assert not any(watched.ran(1)[run].ends for run in watched.held)
