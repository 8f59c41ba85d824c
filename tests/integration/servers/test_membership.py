"""A static member that is fenced: by a twin, or by its former self after a broker stood still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kestrapy.model.state import State
from kestrapy.ports.log import Partition
from kestrapy.ports.tasks import TaskOutcome
from tests.small_cluster import Runner, SmallCluster


class Twin:
    """Joins a group under an instance id that another member has, and takes nothing."""

    def __init__(self, cluster: SmallCluster, group: str, topic: str, instance_id: str):
        self._member = cluster.log.member(group, [topic], self, instance_id)
        self._member.pause()
        self._member.poll(1, 0)

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return {}

    def revoked(self, partitions: Sequence[Partition]) -> None: ...

    def lost(self, partitions: Sequence[Partition]) -> None: ...


def test_a_fenced_owner_joins_anew_and_gets_its_shards_back() -> None:
    cluster = SmallCluster()
    cluster.save()
    owner = cluster.executor("a", instance_id="one")
    cluster.worker(Runner())
    cluster.until(lambda: sorted(owner.shards) == [0, 1])
    Twin(cluster, "a.executor", "executions", "one")
    cluster.until(lambda: not owner.shards)
    cluster.until(lambda: sorted(owner.shards) == [0, 1])
    made = cluster.create()
    cluster.until(lambda: made in cluster.ends())


def test_a_fenced_worker_joins_anew_and_its_tasks_run_on() -> None:
    cluster = SmallCluster()
    cluster.save()
    cluster.executor()
    runner = Runner(at_once=False)
    cluster.worker(runner, instance_id="w")
    first = cluster.create()
    cluster.until(lambda: len(runner.runs) == 1)
    Twin(cluster, "jobs.default", "jobs.default", "w")
    cluster.tick(20)
    runner.at_once = True
    second = cluster.create()
    cluster.until(lambda: second in cluster.ends())
    assert runner.runs[0].outcome() is None
    runner.runs[0].end(TaskOutcome(outputs={"value": "1"}))
    cluster.until(lambda: first in cluster.ends())
    assert set(cluster.ends().values()) == {State.SUCCESS}
    assert {it.job.epoch for it in runner.runs} == {1}
