"""Jobs that wait at a busy worker go to one that is free, and are granted once all the same."""

from __future__ import annotations

from collections import Counter

from kestrapy.machine.commands import PublishAgain
from kestrapy.machine.outputs import Job
from kestrapy.machine.task_runs import MOST_COPIES
from tests.small_cluster import Runner, SmallCluster

JOBS = 12


def held_up() -> tuple[SmallCluster, Runner, Runner]:
    """A worker that its first job keeps busy, and reads half of the partitions; another, roomy."""
    cluster = SmallCluster(shards=1)
    cluster.executor()
    cluster.save()
    busy, roomy = Runner(at_once=False), Runner(at_once=False)
    cluster.worker(busy, slots=1)
    cluster.worker(roomy, slots=JOBS)
    cluster.tick(100, step=50)
    for _ in range(JOBS):
        cluster.create()
    return cluster, busy, roomy


def jobs(cluster: SmallCluster) -> list[Job]:
    return list(cluster.records(cluster.parts.catalogue.jobs("default")))


def test_a_free_worker_gets_what_waits_at_a_busy_one() -> None:
    cluster, busy, roomy = held_up()
    cluster.until(lambda: len(busy.runs) == 1 and len(roomy.runs) == JOBS - 1, limit=400)
    starts = Counter(it.job.task_run_id for it in (*busy.runs, *roomy.runs))
    assert set(starts.values()) == {1}
    jobs = Counter(
        it.task_run_id for it in cluster.records(cluster.parts.catalogue.jobs("default"))
    )
    assert max(jobs.values()) > 1  # some were published twice
    epochs = {it.epoch for it in cluster.records(cluster.parts.catalogue.jobs("default"))}
    assert epochs == {1}


def test_nothing_is_published_twice_while_all_are_busy() -> None:
    cluster = SmallCluster(shards=1)
    cluster.executor()
    cluster.save()
    runner = Runner(at_once=False)
    cluster.worker(runner, slots=2)
    cluster.tick(100, step=50)
    for _ in range(JOBS):
        cluster.create()
    cluster.until(lambda: len(runner.runs) == 2)
    cluster.tick(300, step=10)
    again = [it for it in cluster.records("executions") if isinstance(it, PublishAgain)]
    assert again == []


def test_a_job_is_moved_a_few_times_at_most() -> None:
    """Where the worker that said it is free has died, the log does not fill with copies."""
    cluster, _, roomy = held_up()
    cluster.remove(cluster.servers[-1])
    cluster.tick(1_500, step=10)
    assert roomy.runs == []
    copies = Counter(it.task_run_id for it in jobs(cluster))
    assert max(copies.values()) == 1 + MOST_COPIES
