"""The contract of ``ports.log``, over every adapter."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.system import SystemClock
from kestrapy.errors import InvariantViolated, LogUnavailable, TopicUnfit
from kestrapy.ports.log import (
    Log,
    Member,
    Message,
    Outcome,
    Partition,
    Producer,
    Reader,
    Record,
    SendError,
    SendFailure,
    TopicSpec,
    Transactions,
)
from kestrapy.wire.partitioner import partition_for

SECONDS = 20.0
"""More than anything here takes; a test that waits so long fails."""
ROUNDS = 400
POLL_SECONDS = 0.05


@dataclass
class Backend:
    """A log, and what a test does behind its back."""

    log: Log
    high_watermark: Callable[[Partition], int]
    """The offset of the next append, open transactions included."""
    delete_before: Callable[[Partition, int], None]
    """What retention does."""


def memory(request: pytest.FixtureRequest) -> Backend:
    log = MemoryLog(SystemClock())
    return Backend(log, log.high_watermark, log.delete_before)


def kafka(request: pytest.FixtureRequest) -> Backend:
    servers = request.getfixturevalue("kafka")
    # Members learn of a rebalance with their heartbeats.
    log = KafkaLog(servers, "contract", {"consumer.heartbeat.interval.ms": "100"})

    def high_watermark(partition: Partition) -> int:
        settings = {"group.id": "probe", "isolation.level": "read_uncommitted"}
        with closing(Consumer({"bootstrap.servers": servers, **settings})) as probe:
            place = TopicPartition(partition.topic, partition.index)
            return int(probe.get_watermark_offsets(place, SECONDS, cached=False)[1])

    def delete_before(partition: Partition, offset: int) -> None:
        place = TopicPartition(partition.topic, partition.index, offset)
        admin = AdminClient({"bootstrap.servers": servers})
        for answer in admin.delete_records([place]).values():
            answer.result(SECONDS)

    return Backend(log, high_watermark, delete_before)


@dataclass
class Listener:
    """Writes down what it is told."""

    name: str = ""
    starts: Mapping[Partition, int] = field(default_factory=dict)
    told: list[tuple[str, str, list[int]]] = field(default_factory=list)
    when_revoked: Callable[[Sequence[Partition]], None] = lambda partitions: None

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        self._note("assigned", partitions)
        return {one: self.starts[one] for one in partitions if one in self.starts}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        self._note("revoked", partitions)
        self.when_revoked(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        self._note("lost", partitions)

    def _note(self, what: str, partitions: Sequence[Partition]) -> None:
        self.told.append((self.name, what, sorted(one.index for one in partitions)))


class Failing(Listener):
    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        raise ZeroDivisionError


class Bench:
    """A log with names of its own; closes what it made."""

    def __init__(self, backend: Backend, closes: ExitStack):
        self.backend = backend
        self.log = backend.log
        self.prefix = f"t{uuid.uuid4().hex[:12]}."
        self._closes = closes
        self._topics = self.log.topics()
        self._producer = self.producer()

    def name(self) -> str:
        return self.prefix + uuid.uuid4().hex[:6]

    def topic(self, partitions: int = 1, **configs: str) -> str:
        settings = {name.replace("_", "."): value for name, value in configs.items()}
        spec = TopicSpec(self.name(), partitions, settings)
        assert self._topics.create([spec], SECONDS) == [spec.name]
        return spec.name

    def producer(self) -> Producer:
        return self._closes.enter_context(closing(self.log.producer()))

    def reader(self, positions: Mapping[Partition, int]) -> Reader:
        reader = self._closes.enter_context(closing(self.log.reader()))
        reader.assign(positions)
        return reader

    def member(self, group: str, topic: str, listener: Listener, instance_id: str = "") -> Member:
        member = self.log.member(group, [topic], listener, instance_id)
        return self._closes.enter_context(closing(member))

    def transactions(self, transactional_id: str) -> Transactions:
        transactions = self.log.transactions(transactional_id)
        self._closes.enter_context(closing(transactions))
        transactions.begin_epoch(SECONDS)
        return transactions

    def send(self, *messages: Message) -> list[SendError | None]:
        """-> the answers, in the order of the messages."""
        answers: dict[int, SendError | None] = {}
        for number, message in enumerate(messages):
            self._producer.send(message, partial(answers.__setitem__, number))
        assert self._producer.flush(SECONDS) == 0
        return [answers[number] for number in range(len(messages))]

    def append(self, topic: str, *values: bytes, partition: int = 0) -> None:
        messages = [Message(topic, value, partition=partition) for value in values]
        assert self.send(*messages) == [None] * len(values)


ADAPTERS = [
    pytest.param(memory, id="memory"),
    pytest.param(kafka, id="kafka", marks=pytest.mark.external),
]


@pytest.fixture(params=ADAPTERS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with ExitStack() as closes:
        yield Bench(request.param(request), closes)


def gather(source: Reader | Member, count: int) -> list[Record]:
    """The next records, exactly so many."""
    records: list[Record] = []
    for _ in range(ROUNDS):
        records += source.poll(count - len(records) + 1, POLL_SECONDS)
        if len(records) >= count:
            break
    assert len(records) == count
    return records


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def poll_until(members: Sequence[Member], done: Callable[[], bool]) -> list[Record]:
    """Poll the members in turn, as processes of their own would. -> what came."""
    records: list[Record] = []
    for _ in range(ROUNDS):
        for member in members:
            records += member.poll(100, POLL_SECONDS)
        if done():
            return records
    raise AssertionError("it did not come to this")


def advance(reader: Reader, partition: Partition, offset: int) -> list[Record]:
    """Poll until the position reached offset. -> what came."""
    records: list[Record] = []
    for _ in range(ROUNDS):
        if reader.position(partition) >= offset:
            return records
        records += reader.poll(100, POLL_SECONDS)
    raise AssertionError(f"stays at {reader.position(partition)}, before {offset}")


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start work; -> what waits for its result."""
    results: list[Any] = []
    thread = Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(SECONDS)
        return results[0]

    return result


# Records and partitions


def test_a_partition_keeps_the_order_of_sending(bench: Bench) -> None:
    topic = bench.topic(2)
    sent = [b"%d" % number for number in range(500)]
    bench.append(topic, *sent, partition=1)
    records = gather(bench.reader({Partition(topic, 1): 0}), 500)
    assert values(records) == sent
    assert [record.offset for record in records] == list(range(500))
    assert {(record.topic, record.partition) for record in records} == {(topic, 1)}


def test_a_record_comes_as_it_was_sent(bench: Bench) -> None:
    topic = bench.topic()
    headers = (("traceparent", b"00-1"), ("schema", b""), ("schema", b"\xff"))
    bench.send(
        Message(topic, b"\x00\xff", key=b"k", headers=headers),
        Message(topic, None),
        Message(topic, b""),
    )
    records = gather(bench.reader({Partition(topic, 0): 0}), 3)
    assert [(it.key, it.value, it.headers) for it in records] == [
        (b"k", b"\x00\xff", headers),
        (None, None, ()),
        (None, b"", ()),
    ]


def test_a_record_has_the_time_of_its_append(bench: Bench) -> None:
    topic = bench.topic()
    now = SystemClock().wall()
    bench.append(topic, b"1", b"2")
    first, second = gather(bench.reader({Partition(topic, 0): 0}), 2)
    assert first.timestamp <= second.timestamp
    assert abs(first.timestamp - now) < 3_600_000  # it is an epoch time, by another clock
    assert (
        bench.log.topics().describe([topic], SECONDS)[topic].configs["message.timestamp.type"]
        == "LogAppendTime"
    )


def test_a_key_chooses_its_partition(bench: Bench) -> None:
    topic = bench.topic(7)
    keys = [b"key-%d" % number for number in range(40)] + [b"", "größe".encode()]
    bench.send(*(Message(topic, key, key=key) for key in keys))
    everywhere = {Partition(topic, index): 0 for index in range(7)}
    found = {record.key: record.partition for record in gather(bench.reader(everywhere), len(keys))}
    assert found == {key: partition_for(key, 7) for key in keys}


# Sending


def test_acks_come_in_poll_or_flush_one_for_each(bench: Bench) -> None:
    topic = bench.topic()
    producer = bench.producer()
    answers: list[SendError | None] = []
    producer.send(Message(topic, b"1"), answers.append)
    assert answers == []
    for _ in range(100_000):
        producer.poll()
        if answers:
            break
    producer.send(Message(topic, b"2"), answers.append)
    producer.send(Message(topic, b"3"))
    assert producer.flush(SECONDS) == 0
    producer.poll()
    assert answers == [None, None]
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 3)) == [b"1", b"2", b"3"]


def test_many_threads_may_send(bench: Bench) -> None:
    topic = bench.topic()
    producer = bench.producer()
    answers: list[SendError | None] = []

    def work() -> None:
        for _ in range(200):
            producer.send(Message(topic, b"x"), answers.append)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert producer.flush(SECONDS) == 0
    assert answers == [None] * 800
    gather(bench.reader({Partition(topic, 0): 0}), 800)


def test_a_missing_topic_fails_the_send(bench: Bench) -> None:
    (answer,) = bench.send(Message(bench.name(), b"x"))
    assert answer is not None
    assert answer.failure is SendFailure.MISSING_TOPIC


def test_a_missing_partition_fails_the_send(bench: Bench) -> None:
    topic = bench.topic(2)
    bench.append(topic, b"x")
    (answer,) = bench.send(Message(topic, b"x", partition=2))
    assert answer is not None
    assert answer.failure is SendFailure.MISSING_TOPIC


def test_too_large_a_record_for_its_topic_fails(bench: Bench) -> None:
    topic = bench.topic(max_message_bytes="4000")
    bench.append(topic, b"1")
    (answer,) = bench.send(Message(topic, b"x" * 5000))
    assert answer is not None
    assert answer.failure is SendFailure.TOO_LARGE
    bench.append(topic, b"2")
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 2)) == [b"1", b"2"]


def test_too_large_a_record_for_any_topic_fails_alone(bench: Bench) -> None:
    topic = bench.topic()
    large = Message(topic, b"x" * 1_000_001)
    before, large_one, after = bench.send(Message(topic, b"1"), large, Message(topic, b"2"))
    assert large_one is not None
    assert large_one.failure is SendFailure.TOO_LARGE
    assert (before, after) == (None, None)
    assert values(gather(bench.reader({Partition(topic, 0): 0}), 2)) == [b"1", b"2"]


# Reading


def test_a_reader_knows_its_position_and_the_bounds(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, b"0", b"1", b"2")
    reader = bench.reader({place: 1})
    assert (reader.beginning_offset(place, SECONDS), reader.end_offset(place, SECONDS)) == (0, 3)
    assert reader.position(place) == 1
    assert values(gather(reader, 2)) == [b"1", b"2"]
    assert reader.position(place) == 3


def test_a_poll_gives_no_more_than_its_limit(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, *[b"x"] * 10)
    reader = bench.reader({place: 0})
    while reader.position(place) < 9:
        assert len(reader.poll(3, POLL_SECONDS)) <= 3


def test_a_reader_is_assigned_more_elsewhere_and_less(bench: Bench) -> None:
    topic = bench.topic(2)
    first, second = Partition(topic, 0), Partition(topic, 1)
    bench.append(topic, b"0", b"1", partition=0)
    bench.append(topic, b"a", b"b", partition=1)
    reader = bench.reader({first: 0})
    assert values(gather(reader, 2)) == [b"0", b"1"]
    reader.assign({second: 1})
    assert values(gather(reader, 1)) == [b"b"]
    reader.assign({first: 1})
    assert values(gather(reader, 1)) == [b"1"]
    reader.unassign([first])
    bench.append(topic, b"2", partition=0)
    bench.append(topic, b"c", partition=1)
    assert values(gather(reader, 1)) == [b"c"]
    assert reader.poll(10, POLL_SECONDS) == []


def test_a_poll_returns_as_soon_as_there_is_a_record(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    reader = bench.reader({place: 0})
    assert reader.poll(10, POLL_SECONDS) == []
    result = in_thread(lambda: reader.poll(10, 10 * SECONDS))
    bench.append(place.topic, b"x")
    assert values(result()) == [b"x"]


def test_a_position_whose_records_were_deleted_is_unfit(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, b"0", b"1", b"2")
    bench.backend.delete_before(place, 2)
    reader = bench.reader({place: 1})
    assert reader.beginning_offset(place, SECONDS) == 2
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(reader, 1)
    reader.assign({place: 2})
    assert values(gather(reader, 1)) == [b"2"]


def test_a_position_beyond_the_end_is_unfit(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, b"0")
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(bench.reader({place: 7}), 1)


def test_a_missing_topic_is_unfit_to_be_read(bench: Bench) -> None:
    place = Partition(bench.name(), 0)
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(bench.reader({place: 0}), 1)
    with pytest.raises(TopicUnfit, match=place.topic):
        bench.reader({}).end_offset(place, SECONDS)


def test_a_missing_partition_is_unfit_to_be_read(bench: Bench) -> None:
    place = Partition(bench.topic(2), 2)
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(bench.reader({place: 0}), 1)


def test_a_topic_that_is_deleted_while_it_is_read_is_unfit(bench: Bench) -> None:
    place = Partition(bench.topic(), 0)
    bench.append(place.topic, b"0")
    reader = bench.reader({place: 0})
    gather(reader, 1)
    bench.log.topics().delete([place.topic], SECONDS)
    with pytest.raises(TopicUnfit, match=place.topic):
        gather(reader, 1)


# Groups


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
    with pytest.raises(LogUnavailable):
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


# Transactions


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


class opened:
    """A transaction that has appended one record, and stays open until ``finish``."""

    def __init__(self, bench: Bench, name: str, place: Partition):
        self._go = Event()
        transactions = bench.transactions(name)
        self._result = in_thread(lambda: transactions.commit(self._messages(place), SECONDS))
        for _ in range(ROUNDS):
            if bench.backend.high_watermark(place) > 0:
                return
        raise AssertionError("the transaction's record does not arrive")

    def __enter__(self) -> opened:
        return self

    def __exit__(self, *error: object) -> None:
        self._go.set()
        self._result()

    def finish(self) -> Outcome:
        self._go.set()
        outcome: Outcome = self._result()
        return outcome

    def _messages(self, place: Partition) -> Iterator[Message]:
        yield Message(place.topic, b"open", partition=place.index)
        assert self._go.wait(SECONDS)


# Topics


def test_topics_are_created_described_and_deleted(bench: Bench) -> None:
    topics = bench.log.topics()
    spec = TopicSpec(bench.name(), 3, {"cleanup.policy": "compact"})
    other = TopicSpec(bench.name(), 1, {})
    assert topics.create([spec], SECONDS) == [spec.name]
    assert topics.create([spec, other], SECONDS) == [other.name]
    assert topics.create([spec], SECONDS) == []
    found = topics.describe([spec.name, other.name, bench.name()], SECONDS)
    assert sorted(found) == sorted([spec.name, other.name])
    assert (found[spec.name].name, found[spec.name].partitions) == (spec.name, 3)
    assert found[spec.name].replication_factor >= 1
    assert found[spec.name].configs["cleanup.policy"] == "compact"
    topics.delete([spec.name], SECONDS)
    topics.delete([spec.name], SECONDS)
    assert sorted(topics.describe([spec.name, other.name], SECONDS)) == [other.name]
    assert topics.describe([], SECONDS) == {}


def test_a_member_gets_a_topic_that_is_made_later(bench: Bench) -> None:
    spec = TopicSpec(bench.name(), 1, {})
    member = bench.member(bench.name(), spec.name, Listener())
    assert member.poll(1, POLL_SECONDS) == []
    bench.log.topics().create([spec], SECONDS)
    bench.append(spec.name, b"0")
    assert values(gather(member, 1)) == [b"0"]
