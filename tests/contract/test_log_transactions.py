"""The contract of ``ports.log``, over every adapter: transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from kestrapy.errors import InvariantViolated
from kestrapy.ports.log import Message, Outcome, Partition
from tests.contract.log_bench import (
    SECONDS,
    Bench,
    advance,
    gather,
    opened,
    values,
)


def test_a_transaction_is_appended_as_a_whole(bench: Bench) -> None:
    topic = bench.topic(2)
    transactions = bench.transactions(bench.name())
    messages = [Message(topic, b"%d" % number, partition=number % 2) for number in range(6)]
    assert transactions.commit(messages, SECONDS) is Outcome.COMMITTED
    assert transactions.commit(messages[:2], SECONDS) is Outcome.COMMITTED
    reader = bench.reader({Partition(topic, 0): 0, Partition(topic, 1): 0})
    records = gather(reader, 8)
    by_partition = [[it.value for it in records if it.partition == index] for index in (0, 1)]
    assert by_partition == [[b"0", b"2", b"4", b"0"], [b"1", b"3", b"5", b"1"]]


def test_an_aborted_transaction_is_never_seen_but_passed(bench: Bench) -> None:
    place = Partition(bench.topic(max_message_bytes="4000"), 0)
    bench.append(place.topic, b"before")
    reader = bench.reader({place: 0})
    assert values(gather(reader, 1)) == [b"before"]
    transactions = bench.transactions(name := bench.name())
    messages = [Message(place.topic, b"aborted"), Message(place.topic, b"x" * 5000)]
    assert transactions.commit(messages, SECONDS) is Outcome.ABORTED
    with pytest.raises(InvariantViolated, match=name):
        transactions.commit([], SECONDS)
    transactions.begin_epoch(SECONDS)
    end = reader.end_offset(place, SECONDS)
    assert advance(reader, place, end) == []
    assert transactions.commit([Message(place.topic, b"after")], SECONDS) is Outcome.COMMITTED
    (record,) = gather(reader, 1)
    assert (record.value, record.offset) == (b"after", end)


def test_a_transaction_into_a_missing_topic_is_aborted(bench: Bench) -> None:
    topic = bench.topic()
    transactions = bench.transactions(bench.name())
    messages = [Message(topic, b"aborted"), Message(bench.name(), b"x")]
    assert transactions.commit(messages, SECONDS) is Outcome.ABORTED
    bench.append(topic, b"next")
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 1)) == [b"next"]


def test_what_goes_wrong_while_messages_are_made_aborts(bench: Bench) -> None:
    topic = bench.topic()
    transactions = bench.transactions(bench.name())

    def messages() -> Iterator[Message]:
        yield Message(topic, b"aborted")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transactions.commit(messages(), SECONDS)
    with pytest.raises(InvariantViolated):
        transactions.commit([], SECONDS)
    transactions.begin_epoch(SECONDS)
    bench.append(topic, b"next")
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 1)) == [b"next"]


def test_without_an_epoch_nothing_is_committed(bench: Bench) -> None:
    with closing(bench.log.transactions(bench.name())) as transactions:
        with pytest.raises(InvariantViolated, match="begin_epoch"):
            transactions.commit([], SECONDS)


def test_a_zombie_commits_no_more(bench: Bench) -> None:
    topic, name = bench.topic(), bench.name()
    zombie = bench.transactions(name)
    assert zombie.commit([Message(topic, b"1")], SECONDS) is Outcome.COMMITTED
    owner = bench.transactions(name)
    assert zombie.commit([Message(topic, b"zombie")], SECONDS) is Outcome.ABORTED
    assert owner.commit([Message(topic, b"2")], SECONDS) is Outcome.COMMITTED
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 2)) == [b"1", b"2"]


def test_an_open_transaction_hides_what_follows_until_it_ends(bench: Bench) -> None:
    place = Partition(bench.topic(2), 0)
    with opened(bench, bench.name(), place) as transaction:
        bench.append(place.topic, b"after")
        bench.append(place.topic, b"elsewhere", partition=1)
        reader = bench.reader({place: 0, Partition(place.topic, 1): 0})
        assert values(gather(reader, 1)) == [b"elsewhere"]
        assert reader.poll(10, 0.3) == []
        assert reader.end_offset(place, SECONDS) == 0
        assert transaction.finish() is Outcome.COMMITTED
        assert values(gather(reader, 2)) == [b"open", b"after"]


def test_the_next_epoch_ends_what_a_dead_holder_left_open(bench: Bench) -> None:
    place, name = Partition(bench.topic(), 0), bench.name()
    with opened(bench, name, place) as transaction:
        bench.append(place.topic, b"after")
        reader = bench.reader({place: 0})
        assert reader.poll(10, 0.3) == []
        bench.transactions(name)
        assert values(gather(reader, 1)) == [b"after"]
        # An adapter that can't tell whether its commit was heard before the fence says UNKNOWN.
        assert transaction.finish() is not Outcome.COMMITTED
        bench.append(place.topic, b"last")
        assert values(gather(reader, 1)) == [b"last"]
