"""What only the log in memory has, or only it lets a test bring about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kestrapy.adapters.memory.journal import CommitFault
from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.ports.log import Message, Outcome, Partition, TopicSpec

PLACE = Partition("state", 0)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000

    def wall(self) -> int:
        return self.now

    def monotonic(self) -> int:
        return self.now

    def boottime(self) -> int:
        return self.now


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        self.told.append(("assigned", len(partitions)))
        return {}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        self.told.append(("revoked", len(partitions)))

    def lost(self, partitions: Sequence[Partition]) -> None:
        self.told.append(("lost", len(partitions)))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def log(clock: HandClock) -> MemoryLog:
    made = MemoryLog(clock, session_ms=5000)
    made.topics().create([TopicSpec("state", 1, {}), TopicSpec("jobs", 4, {})], 1)
    return made


def seen(log: MemoryLog) -> list[bytes | None]:
    reader = log.reader()
    reader.assign({PLACE: 0})
    return [record.value for record in reader.poll(100, 0)]


@pytest.mark.parametrize(
    ("fault", "outcome", "appended"),
    [
        (CommitFault.ABORT, Outcome.ABORTED, []),
        (CommitFault.LOSE, Outcome.UNKNOWN, []),
        (CommitFault.LOSE_ANSWER, Outcome.UNKNOWN, [b"1"]),
    ],
)
def test_a_commit_fails_as_it_was_told_to_once(
    log: MemoryLog, fault: CommitFault, outcome: Outcome, appended: list[bytes]
) -> None:
    transactions = log.transactions("executor-0")
    transactions.begin_epoch(1)
    log.fail_next_commit("executor-0", fault)
    assert transactions.commit([Message("state", b"1")], 1) is outcome
    assert seen(log) == appended
    transactions.begin_epoch(1)
    assert transactions.commit([Message("state", b"2")], 1) is Outcome.COMMITTED
    assert seen(log) == [*appended, b"2"]


def test_a_poll_for_one_record_passes_all_that_was_aborted_before_it(log: MemoryLog) -> None:
    transactions = log.transactions("executor-0")
    for _ in range(3):
        transactions.begin_epoch(1)
        log.fail_next_commit("executor-0", CommitFault.ABORT)
        transactions.commit([Message("state", b"aborted")] * 3, 1)
    log.producer().send(Message("state", b"1"))
    reader = log.reader()
    reader.assign({PLACE: 0})
    assert [record.value for record in reader.poll(1, 0)] == [b"1"]
    assert reader.position(PLACE) == reader.end_offset(PLACE, 0)


def test_the_append_time_is_the_clocks(log: MemoryLog, clock: HandClock) -> None:
    log.producer().send(Message("state", b"1"))
    clock.now = 2000
    log.producer().send(Message("state", b"2"))
    reader = log.reader()
    reader.assign({PLACE: 0})
    assert [record.timestamp for record in reader.poll(10, 0)] == [1000, 2000]


def test_a_member_that_does_not_poll_loses_its_partitions_and_comes_back(
    log: MemoryLog, clock: HandClock
) -> None:
    slow, quick = Listener(), Listener()
    first, second = log.member("g", ["jobs"], slow), log.member("g", ["jobs"], quick)
    for member in (first, second, first, second):
        member.poll(1, 0)
    assert [len(first.assignment()), len(second.assignment())] == [2, 2]
    lost = first.assignment()
    clock.now += 5001
    second.poll(1, 0)
    second.poll(1, 0)
    assert len(second.assignment()) == 4
    first.commit(dict.fromkeys(lost, 7))
    first.poll(1, 0)
    assert slow.told[-1] == ("lost", 2)
    for member in (first, second, first, second):
        member.poll(1, 0)
    assert [len(first.assignment()), len(second.assignment())] == [2, 2]
    assert ("lost", 2) not in quick.told


def test_what_a_lost_member_commits_is_dropped(log: MemoryLog, clock: HandClock) -> None:
    log.producer().send(Message("state", b"1"))
    first = log.member("g", ["state"], Listener())
    assert len(first.poll(1, 0)) == 1
    clock.now += 5001
    second = log.member("g", ["state"], Listener())
    second.poll(0, 0)
    first.commit({PLACE: 1})
    third = log.member("other", ["state"], Listener())
    assert len(third.poll(1, 0)) == 1
    second.close()
    fourth = log.member("g", ["state"], Listener())
    assert [record.value for record in fourth.poll(1, 0)] == [b"1"]


def test_partitions_stay_with_their_members_as_others_come(log: MemoryLog) -> None:
    members = [log.member("g", ["jobs"], Listener()) for _ in range(2)]
    for member in members * 3:
        member.poll(1, 0)
    before = [set(member.assignment()) for member in members]
    members.append(log.member("g", ["jobs"], Listener()))
    for member in members * 3:
        member.poll(1, 0)
    after = [set(member.assignment()) for member in members]
    assert sorted(map(len, after)) == [1, 1, 2]
    assert all(now <= then for now, then in zip(after, before, strict=False))


def test_members_with_other_topics_get_only_theirs(log: MemoryLog) -> None:
    states, both = (
        log.member("g", ["state"], Listener()),
        log.member("g", ["state", "jobs"], Listener()),
    )
    for member in (states, both) * 3:
        member.poll(1, 0)
    assert states.assignment() == [PLACE]
    assert len(both.assignment()) == 4


def test_a_topic_made_anew_starts_without_commits(log: MemoryLog) -> None:
    log.producer().send(Message("state", b"old"))
    member = log.member("g", ["state"], Listener())
    assert len(member.poll(1, 0)) == 1
    member.commit({PLACE: 1})
    log.topics().delete(["state"], 1)
    assert member.poll(1, 0) == []
    assert member.assignment() == []
    log.topics().create([TopicSpec("state", 1, {})], 1)
    log.producer().send(Message("state", b"new"))
    assert [record.value for record in member.poll(1, 0)] == [b"new"]


def test_one_busy_partition_does_not_starve_the_others(log: MemoryLog) -> None:
    producer = log.producer()
    for _ in range(100):
        producer.send(Message("jobs", b"busy", partition=0))
    producer.send(Message("jobs", b"rare", partition=1))
    reader = log.reader()
    reader.assign({Partition("jobs", 0): 0, Partition("jobs", 1): 0})
    first_two = [record.value for _ in range(2) for record in reader.poll(1, 0)]
    assert sorted(map(str, first_two)) == [str(b"busy"), str(b"rare")]
