"""The contract of ``ports.log``, over every adapter: share groups."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kestrapy.errors import InvariantViolated
from kestrapy.ports.log import Message, Partition, Record, ShareMember
from tests.contract.log_bench import POLL_SECONDS, ROUNDS, SECONDS, Bench, opened


def share(members: Sequence[ShareMember], count: int) -> list[list[Record]]:
    """Poll the members in turn and accept all, until so many records came. -> each one's."""
    got: list[list[Record]] = [[] for _ in members]
    for _ in range(ROUNDS):
        for member, mine in zip(members, got, strict=True):
            records = member.poll(POLL_SECONDS)
            for record in records:
                member.accept(record)
            mine += records
            member.commit()
        if sum(map(len, got)) >= count:
            break
    assert sum(map(len, got)) == count
    return got


def first(member: ShareMember) -> list[Record]:
    """What the next poll gives that gives something."""
    for _ in range(ROUNDS):
        if records := member.poll(POLL_SECONDS):
            return records
    raise AssertionError("nothing comes")


def values(*got: list[Record]) -> list[bytes]:
    return sorted(record.value or b"" for records in got for record in records)


def test_members_share_a_partition_and_each_record_goes_to_one(bench: Bench) -> None:
    topic, group = bench.topic(), bench.name()
    members = [bench.share_member(group, topic) for _ in range(2)]
    sent = [b"%d" % number for number in range(10, 30)]
    got: list[list[Record]] = [[], []]
    for value in sent:  # one by one: a batch may go to one of them as a whole
        bench.append(topic, value)
        for mine, new in zip(got, share(members, 1), strict=True):
            mine += new
    assert values(*got) == sent


def test_a_new_share_group_starts_at_the_first_record(bench: Bench) -> None:
    topic = bench.topic()
    bench.append(topic, b"0", b"1")
    bench.backend.delete_before(Partition(topic, 0), 1)
    assert values(*share([bench.share_member(bench.name(), topic)], 1)) == [b"1"]


def test_all_of_a_poll_is_accepted_before_the_next(bench: Bench) -> None:
    topic = bench.topic()
    bench.append(topic, b"0")
    member = bench.share_member(bench.name(), topic)
    [record] = first(member)
    with pytest.raises(InvariantViolated):
        member.poll(0)
    member.accept(record)
    assert member.poll(0) == []


def test_what_a_closed_member_did_not_accept_goes_to_another(bench: Bench) -> None:
    topic, group = bench.topic(), bench.name()
    bench.append(topic, b"0")
    one = bench.log.share_member(group, topic)
    [record] = first(one)
    one.close()
    other = bench.share_member(group, topic)
    assert [it.offset for it in first(other)] == [record.offset]


def test_what_was_accepted_stays_so_when_its_member_is_closed(bench: Bench) -> None:
    topic, group = bench.topic(), bench.name()
    bench.append(topic, b"0")
    one = bench.log.share_member(group, topic)
    for record in first(one):
        one.accept(record)
    one.close()
    bench.append(topic, b"1")
    assert values(first(bench.share_member(group, topic))) == [b"1"]


def test_a_record_whose_lock_is_over_goes_to_another(bench: Bench) -> None:
    topic, group = bench.topic(), bench.name()
    bench.append(topic, b"0")
    silent, other = bench.share_member(group, topic), bench.share_member(group, topic)
    [record] = first(silent)
    [again] = first(other)
    assert again.offset == record.offset
    silent.accept(record)  # too late, and without effect
    silent.commit()
    other.accept(again)
    other.commit()
    bench.append(topic, b"1")
    assert values(*share([other], 1)) == [b"1"]


def test_a_record_that_was_delivered_five_times_is_archived(bench: Bench) -> None:
    topic, group = bench.topic(), bench.name()
    bench.append(topic, b"poison")
    for _ in range(5):
        member = bench.log.share_member(group, topic)
        assert values(first(member)) == [b"poison"]
        member.close()
    bench.append(topic, b"good")
    assert values(first(bench.share_member(group, topic))) == [b"good"]


def test_share_groups_see_committed_records_only(bench: Bench) -> None:
    topic = bench.topic()

    def failing() -> object:
        yield Message(topic, b"aborted", partition=0)
        raise ZeroDivisionError

    transactions = bench.transactions(bench.name())
    with pytest.raises(ZeroDivisionError):
        transactions.commit(failing(), SECONDS)  # type: ignore[arg-type]
    transactions.begin_epoch(SECONDS)
    bench.append(topic, b"good")
    member = bench.share_member(bench.name(), topic)
    assert values(*share([member], 1)) == [b"good"]
    with opened(bench, bench.name(), Partition(topic, 0)) as transaction:
        assert member.poll(0.5) == []
        transaction.finish()
        assert values(*share([member], 1)) == [b"open"]
