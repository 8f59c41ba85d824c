"""How a worker gets its jobs: by consumer group and by share group, one suite over both."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from kestrapy.machine.commands import Heartbeat, KillRequested, Result, Returned, WorkerGone
from kestrapy.machine.outputs import Drain, Granted
from kestrapy.model.state import State
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.worker.custody import KILL_PATIENCE
from kestrapy.servers.worker.dispatch import HOLD
from tests.small_cluster import Run, Runner, SmallCluster

Kind = Literal["consumer", "share"]
OUTCOME = TaskOutcome(outputs={"value": "1"})


@pytest.fixture(params=["consumer", "share"])
def dispatch(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def cluster() -> SmallCluster:
    made = SmallCluster()
    made.save()
    made.executor()
    return made


def returned(cluster: SmallCluster) -> list[Returned]:
    return [it for it in cluster.records("executions") if isinstance(it, Returned)]


def end_all(runner: Runner) -> None:
    for run in runner.runs:
        run.end(OUTCOME)


def test_all_jobs_run_once(cluster: SmallCluster, dispatch: Kind) -> None:
    runners = [Runner(), Runner()]
    for number, runner in enumerate(runners):
        cluster.worker(runner, instance_id=f"w{number}", dispatch=dispatch)
    made = [cluster.create() for _ in range(10)]
    cluster.until(lambda: set(cluster.ends()) == set(made))
    fences = [(it.job.task_run_id, it.job.epoch) for runner in runners for it in runner.runs]
    assert len(fences) == len(set(fences)) == 20


def test_a_job_does_not_wait_at_a_full_worker_while_another_is_idle(
    cluster: SmallCluster, dispatch: Kind
) -> None:
    slow, fast = Runner(at_once=False), Runner()
    cluster.worker(slow, slots=1, instance_id="slow", dispatch=dispatch)
    cluster.create()
    cluster.until(lambda: len(slow.runs) == 1)
    cluster.worker(fast, slots=1, instance_id="fast", dispatch=dispatch)
    made = [cluster.create() for _ in range(8)]
    cluster.until(lambda: set(made) <= set(cluster.ends()))
    assert len(slow.runs) == 1
    assert slow.runs[0].outcome() is None
    assert {it.job.epoch for it in fast.runs} == {1}
    end_all(slow)
    slow.at_once = True
    more = [cluster.create() for _ in range(8)]
    cluster.until(lambda: set(more) <= set(cluster.ends()))


def test_a_drained_worker_takes_nothing_and_runs_on_until_it_is_resumed(
    cluster: SmallCluster, dispatch: Kind
) -> None:
    drained, other = Runner(at_once=False), Runner()
    worker = cluster.worker(drained, slots=4, instance_id="a", dispatch=dispatch)
    first = cluster.create()
    cluster.until(lambda: len(drained.runs) == 1)
    cluster.send(Drain(worker.settings.worker_id, True))
    cluster.until(lambda: worker.state == "DRAINED")
    cluster.worker(other, slots=4, instance_id="b", dispatch=dispatch)
    made = [cluster.create() for _ in range(6)]
    cluster.until(lambda: set(made) <= set(cluster.ends()))
    assert len(drained.runs) == 1
    beats = [it for it in cluster.records("workers") if isinstance(it, Heartbeat)]
    mine = [it.state for it in beats if it.worker_id == worker.settings.worker_id]
    assert (mine[0], mine[-1]) == ("RUNNING", "DRAINED")
    end_all(drained)
    cluster.until(lambda: first in cluster.ends())
    cluster.send(Drain(worker.settings.worker_id, False))
    cluster.until(lambda: worker.state == "RUNNING")
    drained.at_once = other.at_once = True
    while len(drained.runs) == 1:
        more = cluster.create()
        cluster.until(lambda it=more: it in cluster.ends())  # type: ignore[misc]


def test_a_drain_of_another_worker_is_not_ours(cluster: SmallCluster, dispatch: Kind) -> None:
    worker = cluster.worker(Runner(), dispatch=dispatch)
    made = cluster.create()
    cluster.until(lambda: made in cluster.ends())
    cluster.send(Drain("other", True))
    cluster.tick(20)
    assert worker.state == "RUNNING"


def test_what_waits_for_a_worker_that_stops_goes_to_others_before_its_tasks_end(
    cluster: SmallCluster, dispatch: Kind
) -> None:
    stops, other = Runner(at_once=False), Runner()
    worker = cluster.worker(stops, slots=1, instance_id="a", dispatch=dispatch)
    first = cluster.create()
    cluster.until(lambda: len(stops.runs) == 1)
    cluster.worker(other, slots=1, instance_id="b", dispatch=dispatch)
    worker.stop(cluster.clock.monotonic())
    made = [cluster.create() for _ in range(6)]
    cluster.until(lambda: set(made) <= set(cluster.ends()))
    assert not worker.is_done
    end_all(stops)
    cluster.until(lambda: worker.is_done)
    cluster.remove(worker)
    cluster.until(lambda: first in cluster.ends())
    assert WorkerGone(worker.settings.worker_id) in list(cluster.records("workers"))


def test_a_full_worker_that_is_alone_loses_nothing(cluster: SmallCluster, dispatch: Kind) -> None:
    runner = Runner(at_once=False)
    cluster.worker(runner, slots=1, instance_id="a", dispatch=dispatch)
    made = [cluster.create() for _ in range(3)]
    for count in range(1, 7):
        cluster.until(lambda it=count: len(runner.runs) == it)  # type: ignore[misc]
        cluster.tick(2 * HOLD // 10)
        runner.runs[-1].end(OUTCOME)
    cluster.until(lambda: set(cluster.ends()) == set(made))


def test_jobs_that_come_again_after_their_end_cost_no_turn_each(
    cluster: SmallCluster, dispatch: Kind
) -> None:
    cluster.worker(Runner(), slots=1, dispatch=dispatch)
    first = cluster.create()
    cluster.until(lambda: first in cluster.ends())
    job, *_ = cluster.records(cluster.parts.catalogue.jobs("default"))
    for _ in range(40):
        cluster.send(job)
    second = cluster.create()
    cluster.until(lambda: second in cluster.ends(), limit=15)


def test_one_job_is_claimed_ahead_and_starts_as_soon_as_a_slot_is_free(
    cluster: SmallCluster, dispatch: Kind
) -> None:
    runner = Runner(at_once=False)
    cluster.worker(runner, slots=1, dispatch=dispatch)
    made = [cluster.create() for _ in range(4)]
    granted = lambda: sum(isinstance(it, Granted) for it in cluster.records("inbox"))  # noqa: E731
    cluster.until(lambda: len(runner.runs) == 1)
    assert granted() == 1  # how long runs last is not known yet
    for count in range(1, 8):
        cluster.tick(10)
        runner.runs[-1].end(OUTCOME)
        cluster.until(lambda it=count: len(runner.runs) == it + 1)  # type: ignore[misc]
        cluster.until(lambda it=count: granted() >= min(it + 2, 8))  # type: ignore[misc]
        assert len(runner.runs) == count + 1
    runner.runs[-1].end(OUTCOME)
    cluster.until(lambda: set(cluster.ends()) == set(made))
    assert returned(cluster) == []


def test_a_job_ahead_is_handed_back_when_the_run_before_it_turns_out_long(
    cluster: SmallCluster, dispatch: Kind
) -> None:
    runner, other = Runner(at_once=False), Runner()
    cluster.worker(runner, slots=1, instance_id="a", dispatch=dispatch)
    for _ in range(2):
        cluster.create()
    cluster.until(lambda: len(runner.runs) == 1)
    cluster.tick(5)
    runner.runs[0].end(OUTCOME)
    cluster.until(lambda: bool(returned(cluster)))
    assert len(runner.runs) == 2
    cluster.worker(other, slots=1, instance_id="b", dispatch=dispatch)
    fence = returned(cluster)[0].task_run_id
    cluster.until(lambda: fence in {it.job.task_run_id for it in other.runs})
    assert len(returned(cluster)) == 1


class Deaf(Run):
    """A task that does not answer a kill."""

    def kill(self, reason: str) -> None: ...


class DeafRunner(Runner):
    def start(self, job: Any, sinks: Any, traceparent: str) -> Run:
        self.runs.append(Deaf(job, None))
        return self.runs[-1]


def test_a_kill_that_is_not_answered_ends_the_epoch_and_not_the_slot(
    cluster: SmallCluster, dispatch: Kind
) -> None:
    runner = DeafRunner()
    worker = cluster.worker(runner, slots=1, dispatch=dispatch)
    made = cluster.create()
    cluster.until(lambda: len(runner.runs) == 1)
    cluster.send(KillRequested(made))
    before = cluster.clock.now
    cluster.until(lambda: cluster.ends().get(made) is State.KILLED, step=100)
    assert cluster.clock.now - before >= KILL_PATIENCE
    results = [it for it in cluster.records("executions") if isinstance(it, Result)]
    assert "did not end within 30 s" in results[-1].error
    later = cluster.create()
    cluster.tick(50, step=100)
    assert (worker.running, len(runner.runs)) == (1, 1)
    runner.runs[0].end(OUTCOME)
    cluster.until(lambda: len(runner.runs) == 2)
    assert later not in cluster.ends()
