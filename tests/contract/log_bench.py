"""What the tests of the log's contract share: a log of each adapter, and waiting for records."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from random import Random
from threading import Event, Lock, Thread
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.adapters.memory.journal import Journal
from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.system import SystemClock
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
    ShareMember,
    TopicSpec,
    Transactions,
)
from kestrapy.sim.clock import EPOCH, BrokerClock, SimClock, Skew
from kestrapy.sim.log import SimLog
from kestrapy.sim.network import Link, Network
from kestrapy.sim.timeline import Timeline

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


STRIDE = 20
_PLAYING = Lock()


class PlayingLink(Link):
    """Virtual time goes on while somebody waits, as if the other processes acted meanwhile."""

    def spend(self, seconds: float) -> None:
        self.wait(seconds, lambda: False)

    def wait(self, seconds: float, ready: Callable[[], bool]) -> bool:
        timeline = self.network.timeline
        end = timeline.now + round(seconds * 1000)
        while timeline.now < end and not ready():
            with _PLAYING:
                timeline.after(STRIDE, lambda: None)
                timeline.step()
            Event().wait(0.0002)  # so that another thread gets its turn in this wait
        return True


def simulated(request: pytest.FixtureRequest) -> Backend:
    """The simulator's log, on a network without faults."""
    timeline = Timeline()
    brokers = BrokerClock(timeline)
    brokers.skew = SystemClock().wall() - EPOCH
    journal = Journal(brokers, 30_000)
    link = PlayingLink(Network(timeline, Random(0), Counter()), SimClock(timeline, Skew()))
    return Backend(
        SimLog(journal, link),
        lambda partition: journal.partition(partition).end,
        lambda partition, offset: journal.partition(partition).delete_before(offset),
    )


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

    def member(
        self, group: str, topic: str, listener: Listener, instance_id: str = "", aside: str = ""
    ) -> Member:
        member = self.log.member(group, [topic], listener, instance_id, aside)
        return self._closes.enter_context(closing(member))

    def share_member(self, group: str, topic: str) -> ShareMember:
        return self._closes.enter_context(closing(self.log.share_member(group, topic)))

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
