"""What an executor does for worker groups: liveness, fallbacks, reports, topics, new rules."""

from __future__ import annotations

import msgspec
import pytest

from kestrapy.machine import stage
from kestrapy.machine.commands import GroupReport, Heartbeat, SettingSaveRequested
from kestrapy.machine.entities import Group, group_key
from kestrapy.machine.outputs import ExecutionEvent
from kestrapy.model.state import State
from kestrapy.model.worker_group import GROUP, Fallback, GroupSettings, encode
from kestrapy.servers.group_topics import LOOK_EVERY
from kestrapy.servers.group_watch import SEEN_FOR, Deaths
from kestrapy.servers.owner import Owner
from tests.small_cluster import Runner, SmallCluster

SECOND = 1_000


def declare(cluster: SmallCluster, settings: GroupSettings) -> None:
    cluster.send(SettingSaveRequested(GROUP, settings.key, encode(settings)))


def group(owner: Owner, cluster: SmallCluster, shard: int, key: str = "default") -> Group | None:
    found = owner.shards[shard].stage(cluster.parts.catalogue.executions).state.get(group_key(key))
    return found if isinstance(found, Group) else None


def live(owner: Owner, cluster: SmallCluster) -> list[tuple[int, int]]:
    groups = [group(owner, cluster, shard) for shard in sorted(owner.shards)]
    return [(it.workers, it.slots) for it in groups if it is not None]


def test_every_shard_knows_who_lives() -> None:
    cluster = SmallCluster()
    owner = cluster.executor()
    workers = [cluster.worker(Runner(), slots=3) for _ in range(2)]
    cluster.until(lambda: live(owner, cluster) == [(2, 6), (2, 6)], step=50)
    cluster.remove(workers[0])
    cluster.until(lambda: live(owner, cluster) == [(1, 3), (1, 3)], step=200)


def test_a_job_falls_back_when_its_group_was_dead_for_so_long() -> None:
    cluster = SmallCluster()
    cluster.executor()
    declare(cluster, GroupSettings("default", fallback=Fallback("FAIL"), fallback_after=60_000))
    cluster.save()
    execution_id = cluster.create()
    cluster.tick(50 * 20, step=50)
    assert cluster.ends() == {}
    cluster.until(lambda: bool(cluster.ends()), step=100)
    assert cluster.ends() == {execution_id: State.FAILED}
    assert cluster.clock.now > 60_000


def test_a_job_that_comes_later_waits_for_as_long() -> None:
    """Neither the time for which the group was dead counts alone, nor that of the job."""
    cluster = SmallCluster(shards=1)
    cluster.executor()
    declare(cluster, GroupSettings("default", fallback=Fallback("FAIL"), fallback_after=20_000))
    cluster.save()
    cluster.tick(50 * 20, step=50)
    first = cluster.create()
    cluster.tick(15 * 20, step=50)
    second = cluster.create()
    cluster.tick(10 * 20, step=50)
    assert set(cluster.ends()) == {first}
    runner = Runner(at_once=False)
    worker = cluster.worker(runner, slots=1)
    cluster.until(lambda: len(runner.runs) == 1, step=50)
    third = cluster.create()
    cluster.tick(40 * 10, step=100)  # it waits for the slot for longer than 20 s
    cluster.remove(worker)
    cluster.tick(25 * 10, step=100)
    assert third not in cluster.ends()  # the worker may live, for all that is known
    cluster.until(lambda: third in cluster.ends(), step=100)
    assert second not in cluster.ends()  # it was handed out anew a moment ago


def test_a_job_falls_back_though_its_shard_has_another_owner_by_then() -> None:
    cluster = SmallCluster()
    first = cluster.executor()
    declare(cluster, GroupSettings("default", fallback=Fallback("FAIL"), fallback_after=5_000))
    cluster.save()
    execution_id = cluster.create()
    cluster.tick(20, step=50)
    cluster.remove(first)
    cluster.executor()
    cluster.until(lambda: execution_id in cluster.ends(), step=50)


def test_a_job_falls_back_although_two_owners_fence_each_other() -> None:
    """None of them owns the shard for as long as the fallback waits."""
    cluster = SmallCluster(shards=1)
    for name in ("a", "b"):
        cluster.executor(name)
    declare(cluster, GroupSettings("default", fallback=Fallback("FAIL"), fallback_after=10_000))
    cluster.save()
    execution_id = cluster.create()
    for _ in range(50):  # there is always something to write, so that the fence is felt
        cluster.create()
        cluster.tick(8, step=50)
    assert cluster.ends()[execution_id] is State.FAILED


def test_a_death_that_nobody_looked_at_is_not_known() -> None:
    deaths = Deaths()
    for now in range(0, 10_000, 1_000):
        deaths.saw_dead("gpu", now)
    assert deaths.since("gpu") == 0
    deaths.saw_dead("gpu", 9_000 + SEEN_FOR + 1)
    assert deaths.since("gpu") == 9_000 + SEEN_FOR + 1
    deaths.saw_living("gpu")
    assert deaths.since("gpu") is None


def test_a_group_with_workers_is_waited_for() -> None:
    cluster = SmallCluster()
    cluster.executor()
    declare(cluster, GroupSettings("default", fallback=Fallback("FAIL"), fallback_after=0))
    runner = Runner(at_once=False)
    cluster.worker(runner, slots=1)
    cluster.save()
    cluster.tick(100, step=50)
    for _ in range(3):
        cluster.create()
    cluster.until(lambda: len(runner.runs) == 1, step=50)
    cluster.tick(200, step=100)
    assert cluster.ends() == {}


def test_what_waits_is_reported() -> None:
    cluster = SmallCluster()
    cluster.executor()
    cluster.save()
    for _ in range(20):
        cluster.create()
    cluster.tick(60, step=50)
    reports = {it.shard: it for it in cluster.records("workers") if isinstance(it, GroupReport)}
    assert {it.waiting for it in reports.values()} == {10}
    assert {it.by_namespace["tests"] for it in reports.values()} == {6}  # four are published
    cluster.worker(Runner(), slots=4)
    cluster.until(lambda: len(cluster.ends()) == 20, step=50)
    cluster.tick(60, step=50)
    reports = {it.shard: it for it in cluster.records("workers") if isinstance(it, GroupReport)}
    assert {(it.waiting, it.running) for it in reports.values()} == {(0, 0)}


def test_jobs_of_a_topic_that_was_made_anew_are_published_again() -> None:
    cluster = SmallCluster()
    cluster.executor()
    declare(cluster, GroupSettings("default"))
    cluster.save()
    cluster.tick(50, step=50)
    execution_id = cluster.create()
    cluster.tick(50, step=50)
    name = cluster.parts.catalogue.jobs("default")
    cluster.log.topics().delete([name], 1)
    cluster.tick(2 * LOOK_EVERY // 100, step=100)  # the executor makes it again
    assert name in cluster.log.topics().describe([name], 1)
    cluster.worker(Runner())
    cluster.until(lambda: execution_id in cluster.ends(), step=50)


def test_a_share_groups_topic_is_made_anew_with_one_partition() -> None:
    """More would be given to as many members, and a job in one would wait for its member."""
    cluster = SmallCluster()
    cluster.executor()
    declare(cluster, GroupSettings("shared", dispatch="share"))
    name = cluster.parts.catalogue.jobs("shared")
    cluster.tick(2 * LOOK_EVERY // 100, step=100)
    assert cluster.log.topics().describe([name], 1)[name].partitions == 1


def test_new_rules_come_into_force_when_all_executors_know_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = SmallCluster()
    old = cluster.executor("a")
    cluster.tick(100, step=50)
    announced = old._duties.announcement
    monkeypatch.setattr(old._duties, "announcement", lambda it: _old(announced(it)))
    monkeypatch.setattr(stage, "KNOWN_LOGIC_VERSIONS", (2, 3))
    new = cluster.executor("b")
    cluster.tick(100, step=50)
    positions = [it.position.version for it in _stages(new, cluster)]
    assert set(positions) == {2}  # the old one lives, and announces 2 alone
    cluster.remove(old)
    cluster.until(lambda: {it.position.version for it in _stages(new, cluster)} == {3}, step=200)


def _old(beat: Heartbeat) -> Heartbeat:
    return msgspec.structs.replace(beat, logic_versions=[2])


def _stages(owner: Owner, cluster: SmallCluster) -> list[stage.Stage]:
    return [shard.stage(topic) for shard in owner.shards.values() for topic in shard.specs]


def test_a_task_run_tells_where_it_waits() -> None:
    cluster = SmallCluster()
    cluster.executor()
    cluster.save()
    cluster.create()
    cluster.tick(20, step=50)
    (run,) = [it.task_run for it in cluster.events() if it.task_run is not None]
    assert (run.state, run.worker_group) == (State.SUBMITTED, "default")
    assert isinstance(cluster.events()[0], ExecutionEvent)
