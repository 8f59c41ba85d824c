"""Owners of shards: outputs at once, checkpoints behind, takeover, two owners at once."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from kestrapy.errors import LogUnavailable
from kestrapy.machine.commands import ExecutionRequested, Probe
from kestrapy.machine.outputs import DeadLetter, Granted
from kestrapy.machine.stage import Position
from kestrapy.model.state import State
from kestrapy.ports.log import Message, Outcome, Partition
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.checkpoint import HEADER_KEY
from kestrapy.servers.owner import GIVE_UP_TIMEOUT
from tests.small_cluster import FLOW, Runner, SmallCluster


@pytest.fixture
def cluster() -> SmallCluster:
    made = SmallCluster()
    made.save()
    return made


def test_executions_go_from_request_to_end(cluster: SmallCluster) -> None:
    cluster.executor()
    runner = Runner()
    cluster.worker(runner)
    made = [cluster.create() for _ in range(10)]
    cluster.until(lambda: len(cluster.ends()) == 10)
    assert cluster.ends() == dict.fromkeys(made, State.SUCCESS)
    assert Counter(run.job.task_id for run in runner.runs) == {"first": 10, "second": 10}


def test_mode_per_batch_comes_to_the_same(cluster: SmallCluster) -> None:
    cluster.executor(per_batch=True)
    cluster.worker(Runner())
    made = [cluster.create() for _ in range(10)]
    cluster.until(lambda: len(cluster.ends()) == 10)
    assert cluster.ends() == dict.fromkeys(made, State.SUCCESS)


@pytest.mark.parametrize("ticks", [1, 3, 8, 20, 60, 120])
def test_a_killed_owner_is_replaced(cluster: SmallCluster, ticks: int) -> None:
    """Wherever the first owner is killed, the second one brings all to the same end."""
    first = cluster.executor("a")
    runner = Runner()
    cluster.worker(runner)
    made = [cluster.create() for _ in range(6)]
    cluster.tick(ticks)
    cluster.remove(first)
    cluster.executor("b")
    made += [cluster.create() for _ in range(6)]
    cluster.until(lambda: len(cluster.ends()) == 12)
    assert cluster.ends() == dict.fromkeys(made, State.SUCCESS)
    starts = Counter((run.job.task_run_id, run.job.epoch) for run in runner.runs)
    assert set(starts.values()) == {1}


def test_a_takeover_knows_what_runs(cluster: SmallCluster) -> None:
    """What a checkpoint holds is not folded again: the offsets before it are gone from the log."""
    first = cluster.executor("a")
    runner = Runner(at_once=False)
    cluster.worker(runner, slots=6)
    made = [cluster.create() for _ in range(6)]
    cluster.until(lambda: len(runner.runs) == 6)
    cluster.tick(200)
    for partition, offset in [
        it for shard in first.shards.values() for it in shard.positions().items()
    ]:
        if partition.topic in ("requests", "executions"):
            cluster.log.delete_before(partition, offset)
    cluster.remove(first)
    cluster.executor("b")
    cluster.tick(20)
    runner.at_once = True
    for run in runner.runs:
        run.end(TaskOutcome(outputs={"value": "1"}))
    cluster.until(lambda: len(cluster.ends()) == 6)
    assert cluster.ends() == dict.fromkeys(made, State.SUCCESS)
    assert {run.job.epoch for run in runner.runs} == {1}


def test_two_owners_at_once_say_the_same(cluster: SmallCluster) -> None:
    cluster.executor("a", interval=100_000)
    runner = Runner()
    cluster.worker(runner)
    made = [cluster.create() for _ in range(5)]
    cluster.tick(5)
    cluster.executor("b", interval=100_000)
    made += [cluster.create() for _ in range(5)]
    cluster.until(lambda: len(cluster.ends()) == 10)
    cluster.tick(200)
    said: dict[tuple[str, int], set[bytes]] = {}
    for event in cluster.events():
        place = (event.execution_id, event.number)
        said.setdefault(place, set()).add(msgspec.msgpack.encode(event))
    assert {len(variants) for variants in said.values()} == {1}, "two owners diverged"
    starts = Counter((run.job.task_run_id, run.job.epoch) for run in runner.runs)
    assert set(starts.values()) == {1}
    owners: dict[tuple[str, int], set[str]] = {}
    for answer in cluster.records("inbox"):
        if isinstance(answer, Granted):
            owners.setdefault((answer.task_run_id, answer.epoch), set()).add(answer.worker_id)
    assert {len(workers) for workers in owners.values()} == {1}
    assert cluster.ends() == dict.fromkeys(made, State.SUCCESS)


def test_a_fenced_owner_restores_and_goes_on(cluster: SmallCluster) -> None:
    """Whoever fences last wins; the other finds its checkpoint aborted, and takes over again."""
    first = cluster.executor("a")
    cluster.worker(Runner())
    cluster.tick(20)
    second = cluster.executor("b")
    cluster.tick(20)
    cluster.remove(second)
    made = [cluster.create() for _ in range(4)]
    cluster.until(lambda: len(cluster.ends()) == 4)
    cluster.tick(300)
    assert cluster.ends() == dict.fromkeys(made, State.SUCCESS)
    assert sorted(first.shards) == [0, 1]


def test_an_unknown_logic_version_is_refused(cluster: SmallCluster) -> None:
    header = {"executions": Position(0, 0, 99, {})}
    cluster.parts.log.transactions("executor-0").begin_epoch(1)
    writer = cluster.log.transactions("executor-0")
    writer.begin_epoch(1)
    value = msgspec.msgpack.encode(header)
    writer.commit([Message("state", value, HEADER_KEY, 0)], 1)
    owner = cluster.executor()
    cluster.tick(5)
    assert "logic version 99" in owner.refused[0]
    assert sorted(owner.shards) == [1]


def test_what_cannot_be_read_goes_to_the_dead_letter(cluster: SmallCluster) -> None:
    cluster.executor()
    cluster.worker(Runner())
    producer = cluster.log.producer()
    for index in range(2):
        producer.send(Message("requests", b"garbage", b"k", index))
    made = [cluster.create() for _ in range(2)]
    cluster.until(lambda: len(cluster.ends()) == 2)
    letters = list(cluster.records("dead-letter"))
    assert [(it.topic, it.value) for it in letters] == [("requests", b"garbage")] * 2
    assert all(it.reason for it in letters)
    assert cluster.ends() == dict.fromkeys(made, State.SUCCESS)


def test_a_request_for_an_unknown_flow_fails_visibly_and_can_be_sent_again(
    cluster: SmallCluster,
) -> None:
    cluster.executor()
    cluster.worker(Runner())
    cluster.send(ExecutionRequested("key-1", "tests", "later"))
    cluster.until(lambda: list(cluster.ends().values()) == [State.FAILED])
    (letter,) = cluster.records("dead-letter")
    assert isinstance(letter, DeadLetter)
    assert "there is no flow tests.later" in letter.reason
    cluster.save(FLOW.replace("id: two", "id: later"))
    cluster.until(lambda: len(list(cluster.records("flows"))) == 2)
    headers = (("kestrapy-redrives", b"1"),)
    producer = cluster.log.producer()
    producer.send(Message(letter.topic, letter.value, letter.key, None, headers))
    cluster.until(lambda: State.SUCCESS in cluster.ends().values())


def test_the_same_key_makes_one_execution(cluster: SmallCluster) -> None:
    cluster.executor()
    cluster.worker(Runner())
    for _ in range(3):
        cluster.send(ExecutionRequested("key-1", "tests", "two"))
    cluster.until(lambda: len(cluster.ends()) == 1)
    cluster.tick(50)
    assert list(cluster.ends().values()) == [State.SUCCESS]


def test_a_silent_worker_is_lost_and_its_job_runs_again(cluster: SmallCluster) -> None:
    cluster.executor(lost_after=30_000)
    slow = Runner(at_once=False)
    silent = cluster.worker(slow, slots=1)
    (made,) = [cluster.create()]
    cluster.until(lambda: len(slow.runs) == 1)
    cluster.remove(silent)
    runner = Runner()
    cluster.worker(runner)
    cluster.until(lambda: made in cluster.ends(), step=100)
    assert cluster.ends() == {made: State.SUCCESS}
    assert [(run.job.task_id, run.job.epoch) for run in runner.runs] == [
        ("first", 2),
        ("second", 1),
    ]
    elapsed = cluster.clock.now
    assert 30_000 < elapsed < 35_000


@pytest.mark.parametrize("per_batch", [False, True])
def test_owners_that_fence_each_other_find_a_lost_worker_all_the_same(
    cluster: SmallCluster, per_batch: bool
) -> None:
    """Each is restored about once a second, so none of them owns a shard for lost-after."""
    for group in ("a", "b"):
        cluster.executor(group, lost_after=30_000, per_batch=per_batch)
    slow = Runner(at_once=False)
    silent = cluster.worker(slow, slots=1)
    (made,) = [cluster.create()]
    cluster.until(lambda: len(slow.runs) == 1)
    cluster.remove(silent)
    runner = Runner()
    cluster.worker(runner)
    cluster.until(lambda: made in cluster.ends(), step=100)
    assert [run.job.epoch for run in runner.runs] == [2, 1]
    assert 30_000 < cluster.clock.now < 40_000


def test_a_worker_that_lives_is_never_lost_by_a_reader_that_lags(cluster: SmallCluster) -> None:
    """The executor stands still for longer than lost-after; the heartbeats are there all the
    same.
    """
    owner = cluster.executor(lost_after=30_000)
    producer = cluster.log.producer()
    slow = Runner(at_once=False)
    cluster.worker(slow, slots=1)
    (made,) = [cluster.create()]
    cluster.until(lambda: len(slow.runs) == 1)
    cluster.remove(owner)
    for _ in range(3):
        cluster.tick(150, step=100)
        for index in range(2):  # more than one turn reads: the heartbeats behind come later
            for number in range(1_000):
                probe, headers = cluster.parts.codec.encode(Probe("another", number))
                producer.send(Message("workers", probe, b"probe", index, headers))
    cluster.servers.insert(0, owner)
    cluster.tick(50)
    slow.at_once = True
    slow.runs[0].end(TaskOutcome(outputs={"value": "1"}))
    cluster.until(lambda: made in cluster.ends())
    assert [(run.job.task_id, run.job.epoch) for run in slow.runs] == [("first", 1), ("second", 1)]


def test_the_log_s_absence_at_takeover_is_waited_for(
    cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def away(self: object, timeout: float) -> None:
        tries.append(timeout)
        if len(tries) < 3:
            raise LogUnavailable("away")
        original(self, timeout)  # type: ignore[arg-type]

    transactions = type(cluster.log.transactions("x"))
    original = transactions.begin_epoch
    monkeypatch.setattr(transactions, "begin_epoch", away)
    owner = cluster.executor()
    cluster.until(lambda: sorted(owner.shards) == [0, 1], step=100)
    assert len(tries) == 4


def test_an_owner_that_stops_does_not_wait_for_each_checkpoint_in_turn(
    cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = cluster.executor()
    cluster.until(lambda: sorted(owner.shards) == [0, 1])
    for _ in range(8):  # of both shards
        cluster.create()
    cluster.tick(3)
    patience = []

    def stuck(self: object, messages: object, timeout: float) -> Outcome:
        patience.append(timeout)
        cluster.clock.now += round(timeout * 1000)
        return Outcome.ABORTED

    monkeypatch.setattr(type(cluster.log.transactions("x")), "commit", stuck)
    cluster.servers.remove(owner)
    owner.close()
    assert patience == [GIVE_UP_TIMEOUT]
    assert owner.shards == {}


def test_positions_follow_the_fold(cluster: SmallCluster) -> None:
    owner = cluster.executor()
    cluster.worker(Runner())
    cluster.create()
    cluster.until(lambda: len(cluster.ends()) == 1)
    cluster.tick(100)
    reader = cluster.log.reader()
    for shard in owner.shards.values():
        for partition, offset in shard.positions().items():
            assert offset == reader.end_offset(Partition(*partition), 1)
