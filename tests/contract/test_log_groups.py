"""The contract of ``ports.log``, over every adapter: consumer groups."""

from __future__ import annotations

import pytest

from kestrapy.errors import MemberBroken, TopicUnfit
from kestrapy.ports.log import Partition, TopicSpec
from tests.contract.log_bench import (
    POLL_SECONDS,
    SECONDS,
    Bench,
    Failing,
    Listener,
    gather,
    poll_until,
    values,
)


def test_a_new_group_starts_at_the_first_record(bench: Bench) -> None:
    topic = bench.topic()
    bench.append(topic, b"0", b"1", b"2")
    bench.backend.delete_before(Partition(topic, 0), 1)
    assert values(gather(bench.member(bench.name(), topic, Listener()), 2)) == [b"1", b"2"]


def test_two_members_share_and_take_over(bench: Bench) -> None:
    topic, group = bench.topic(4), bench.name()
    told: list[tuple[str, str, list[int]]] = []
    first = bench.member(group, topic, Listener("first", told=told))
    poll_until([first], lambda: len(first.assignment()) == 4)
    second = bench.log.member(group, [topic], Listener("second", told=told))
    poll_until([first, second], lambda: len(second.assignment()) == 2)
    assert len(first.assignment()) == 2
    moved = sorted(partition.index for partition in second.assignment())
    assert [it for it in told if it[2]] == [
        ("first", "assigned", [0, 1, 2, 3]),
        ("first", "revoked", moved),
        ("second", "assigned", moved),
    ]
    second.close()
    poll_until([first], lambda: len(first.assignment()) == 4)
    assert told[-2:] == [("second", "revoked", moved), ("first", "assigned", moved)]


def test_members_read_on_from_the_committed_offset(bench: Bench) -> None:
    topic, group = bench.topic(), bench.name()
    bench.append(topic, b"0", b"1", b"2")
    first = bench.member(group, topic, Listener())
    assert values(gather(first, 3)) == [b"0", b"1", b"2"]
    first.commit({Partition(topic, 0): 1})
    first.commit({Partition(topic, 0): 2})
    first.close()
    assert values(gather(bench.member(group, topic, Listener()), 1)) == [b"2"]


def test_commits_are_accepted_while_partitions_are_revoked(bench: Bench) -> None:
    topic, group = bench.topic(2), bench.name()
    for index in (0, 1):
        bench.append(topic, b"seen", b"new", partition=index)
    listener = Listener()
    first = bench.member(group, topic, listener)
    gather(first, 4)
    listener.when_revoked = lambda gone: first.commit(dict.fromkeys(gone, 1))
    second = bench.member(group, topic, Listener())
    records = poll_until([first, second], lambda: len(second.assignment()) == 1)
    assert values(records or gather(second, 1)) == [b"new"]


def test_a_commit_of_what_is_not_owned_is_dropped(bench: Bench) -> None:
    topic, group = bench.topic(), bench.name()
    bench.append(topic, b"0", b"1")
    first = bench.member(group, topic, Listener(), "a")
    gather(first, 2)
    second = bench.log.member(group, [topic], Listener())
    second.poll(1, 0)
    second.commit({Partition(topic, 0): 2})
    second.close()
    first.commit({Partition(topic, 0): 1})
    first.close()
    assert values(gather(bench.member(group, topic, Listener(), "a"), 1)) == [b"1"]


def test_the_listener_says_where_to_start(bench: Bench) -> None:
    topic, group = bench.topic(), bench.name()
    bench.append(topic, b"0", b"1", b"2")
    first = bench.member(group, topic, Listener())
    gather(first, 3)
    first.commit({Partition(topic, 0): 2})
    first.close()
    listener = Listener(starts={Partition(topic, 0): 1})
    assert values(gather(bench.member(group, topic, listener), 2)) == [b"1", b"2"]


def test_a_start_of_the_listener_that_is_gone_is_unfit(bench: Bench) -> None:
    topic = bench.topic()
    bench.append(topic, b"0", b"1", b"2")
    bench.backend.delete_before(Partition(topic, 0), 2)
    member = bench.member(bench.name(), topic, Listener(starts={Partition(topic, 0): 1}))
    with pytest.raises(TopicUnfit, match=topic):
        gather(member, 1)


def test_a_paused_member_stays_and_gives_nothing(bench: Bench) -> None:
    topic, group = bench.topic(2), bench.name()
    first = bench.member(group, topic, Listener())
    second = bench.log.member(group, [topic], Listener())
    members = [first, second]
    poll_until(members, lambda: [len(it.assignment()) for it in members] == [1, 1])
    kept = first.assignment()[0]
    bench.append(topic, b"kept", partition=kept.index)
    assert values(gather(first, 1)) == [b"kept"]
    first.pause()
    second.close()
    bench.append(topic, b"later", partition=kept.index)
    bench.append(topic, b"new", partition=1 - kept.index)
    assert poll_until([first], lambda: len(first.assignment()) == 2) == []
    assert first.poll(10, 0.5) == []
    first.resume()
    assert {record.value for record in gather(first, 2)} == {b"later", b"new"}


def test_a_static_member_comes_back_without_a_rebalance(bench: Bench) -> None:
    topic, group = bench.topic(2), bench.name()
    stays, goes = Listener(), Listener()
    first = bench.member(group, topic, stays, "one")
    second = bench.log.member(group, [topic], goes, "two")
    members = [first, second]
    poll_until(members, lambda: [len(it.assignment()) for it in members] == [1, 1])
    owned, told = second.assignment(), list(stays.told)
    second.close()
    first.poll(10, POLL_SECONDS)
    again = bench.member(group, topic, Listener(), "two")
    poll_until([first, again], lambda: again.assignment() == owned)
    assert stays.told == told


def test_of_two_with_one_instance_id_the_older_one_ends(bench: Bench) -> None:
    topic, group, listener = bench.topic(), bench.name(), Listener()
    older = bench.member(group, topic, listener, "one")
    poll_until([older], lambda: len(older.assignment()) == 1)
    newer = bench.member(group, topic, Listener(), "one")
    poll_until([newer], lambda: len(newer.assignment()) == 1)
    with pytest.raises(MemberBroken):
        poll_until([older, newer], lambda: False)
    assert listener.told[-1][1] == "lost"
    assert older.assignment() == []


def test_what_a_listener_raises_comes_out_of_poll_and_no_record_is_given(bench: Bench) -> None:
    topic = bench.topic()
    bench.append(topic, b"0")
    member = bench.member(bench.name(), topic, Failing())
    with pytest.raises(ZeroDivisionError):
        gather(member, 1)
    assert member.poll(1, 0.3) == []


def test_a_member_gets_a_topic_that_is_made_later(bench: Bench) -> None:
    spec = TopicSpec(bench.name(), 1, {})
    member = bench.member(bench.name(), spec.name, Listener())
    assert member.poll(1, POLL_SECONDS) == []
    bench.log.topics().create([spec], SECONDS)
    bench.append(spec.name, b"0")
    assert values(gather(member, 1)) == [b"0"]
