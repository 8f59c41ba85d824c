"""Jobs that wait at a busy worker go to one that is free, and are granted once all the same."""

from __future__ import annotations

from collections import Counter

from kestrapy.machine.commands import PublishAgain
from kestrapy.machine.outputs import Job
from tests.small_cluster import Runner, SmallCluster

JOBS, MANY = 12, 40


def held_up(jobs: int = JOBS, *, quick: bool = False) -> tuple[SmallCluster, Runner, Runner]:
    """A worker that its first job keeps busy, and reads half of the partitions; another, roomy.

    quick: that has one slot, and its tasks end at once.
    """
    cluster = SmallCluster(shards=1)
    cluster.executor()
    cluster.save()
    busy, roomy = Runner(at_once=False), Runner(at_once=quick)
    cluster.worker(busy, slots=1)
    cluster.worker(roomy, slots=1 if quick else JOBS)
    cluster.tick(100, step=50)
    for _ in range(jobs):
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


def test_a_worker_is_sent_no_more_than_it_asked_for() -> None:
    """Where the worker that said it is free has died, the log does not fill with copies."""
    cluster, _, roomy = held_up()
    cluster.remove(cluster.servers[-1])
    cluster.tick(1_500, step=10)
    assert roomy.runs == []
    copies = Counter(it.task_run_id for it in jobs(cluster))
    assert JOBS < copies.total() - JOBS <= 2 * JOBS  # what is free, and its slots


def test_a_worker_asks_again_as_soon_as_it_has_run_what_it_was_sent() -> None:
    cluster, _, quick = held_up(MANY, quick=True)
    cluster.until(lambda: len(quick.runs) == MANY - 1, limit=200)  # by heartbeats alone: over 500
