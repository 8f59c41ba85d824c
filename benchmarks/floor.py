"""The floor: what the topics alone cost, with the records of the design and none of its logic.

A command stream, a jobs stream, an inbox and a checkpoint stream, passed along by one executor
process and one worker process that decide nothing. A one-task execution is eight records:

    created ▸ job ▸ claimed ▸ granted ▸ result ▸ ended, and two checkpoint writes

Nothing that does the real work can be faster on the same machine, so the engine is measured against
it in the same run: their ratio lasts, the figures don't.
"""

from __future__ import annotations

import io
import multiprocessing
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event

import fastavro
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
BATCH = 500
CHECKPOINT_EVERY = 0.5
SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "FloorRecord",
        "fields": [
            {"name": "kind", "type": "string"},
            {"name": "execution", "type": "string"},
            {"name": "taskRun", "type": "string"},
            {"name": "epoch", "type": "int"},
            {"name": "body", "type": {"type": "map", "values": "string"}},
        ],
    }
)


def encode(record: dict[str, object], kind: str) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, record | {"kind": kind})
    return out.getvalue()


def decode(message: Message) -> dict[str, object]:
    return fastavro.schemaless_reader(io.BytesIO(message.value()), SCHEMA, None)  # type: ignore[return-value]


class Plumbing:
    """The topics of one measurement, and clients for them."""

    def __init__(self, servers: str):
        self.servers = servers
        self.run = f"floor-{secrets.token_hex(4)}"
        self.commands, self.jobs, self.inbox, self.state = (
            f"{self.run}-{name}" for name in ("commands", "jobs", "inbox", "state")
        )

    def create(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.servers})
        topics = [NewTopic(name, PARTITIONS, 1) for name in (self.commands, self.jobs)]
        topics.append(NewTopic(self.inbox, 1, 1))
        topics.append(NewTopic(self.state, PARTITIONS, 1, config={"cleanup.policy": "compact"}))
        for created in admin.create_topics(topics).values():
            created.result()

    def remove(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.servers})
        names = [self.commands, self.jobs, self.inbox, self.state]
        for removed in admin.delete_topics(names).values():
            removed.result()

    def consumer(self, name: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": f"{self.run}-{name}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 20,
            }
        )

    def producer(self, **extra: object) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.servers,
                "enable.idempotence": True,
                "linger.ms": 0,
                "retry.backoff.ms": 1,
                "log_level": 2,
                **extra,
            }
        )


def batch(consumer: Consumer, wait: float = 0.2) -> list[Message]:
    """The first record as soon as it is there, with all that came along."""
    first = consumer.consume(1, wait)
    return first + consumer.consume(BATCH - 1, 0) if first else []


def executor(plumbing: Plumbing, stop: Event) -> None:
    source, sink = plumbing.consumer("executor"), plumbing.producer()
    keeper = plumbing.producer(**{"transactional.id": f"{plumbing.run}-keeper"})
    keeper.init_transactions()
    source.subscribe([plumbing.commands])
    changed: dict[str, bytes | None] = {}
    due = time.monotonic() + CHECKPOINT_EVERY
    while not stop.is_set():
        for message in batch(source):
            record = decode(message)
            key = str(record["execution"])
            for topic, value in passed_on(plumbing, record):
                sink.produce(topic, value, key=key)
            changed[key] = None if record["kind"] == "result" else message.value()
        sink.poll(0)
        if changed and time.monotonic() >= due:
            sink.flush()
            keeper.begin_transaction()
            for key, value in changed.items():
                keeper.produce(plumbing.state, value, key=key)
            keeper.commit_transaction()
            changed, due = {}, time.monotonic() + CHECKPOINT_EVERY
    source.close()


def passed_on(plumbing: Plumbing, record: dict[str, object]) -> Iterator[tuple[str, bytes]]:
    match record["kind"]:
        case "created":
            yield plumbing.jobs, encode(record, "job")
        case "claimed":
            yield plumbing.inbox, encode(record, "granted")
        case "result":
            yield plumbing.commands, encode(record, "ended")


def worker(plumbing: Plumbing, stop: Event) -> None:
    sink, inbox = plumbing.producer(), plumbing.consumer("inbox")
    inbox.assign([TopicPartition(plumbing.inbox, 0, 0)])
    claiming = threading.Thread(target=claim, args=(plumbing, sink, stop))
    claiming.start()
    while not stop.is_set():
        for message in batch(inbox):
            record = decode(message)
            sink.produce(plumbing.commands, encode(record, "result"), key=str(record["execution"]))
        sink.poll(0)
    claiming.join()
    inbox.close()


def claim(plumbing: Plumbing, sink: Producer, stop: Event) -> None:
    source = plumbing.consumer("worker")
    source.subscribe([plumbing.jobs])
    while not stop.is_set():
        messages = batch(source)
        for message in messages:
            record = decode(message)
            sink.produce(plumbing.commands, encode(record, "claimed"), key=str(record["execution"]))
        if messages:
            sink.flush()
            source.commit(asynchronous=True)
    source.close()


class Floor:
    """The plumbing, running. ``go(n)`` passes n executions through and waits for their ends."""

    def __init__(self, servers: str):
        self._plumbing = Plumbing(servers)
        self._plumbing.create()
        self._stop = multiprocessing.get_context("fork").Event()
        context = multiprocessing.get_context("fork")
        servers_of: list[Callable[[Plumbing, Event], None]] = [executor, worker]
        self._processes = [
            context.Process(target=server, args=(self._plumbing, self._stop), daemon=True)
            for server in servers_of
        ]
        for process in self._processes:
            process.start()
        self._sink = self._plumbing.producer()
        self._ends = self._plumbing.consumer("ends")
        self._ends.subscribe([self._plumbing.commands])
        self.go(20)

    def go(self, count: int) -> float:
        """-> seconds from the first creation to the last end."""
        start = time.perf_counter()
        for number in range(count):
            key = secrets.token_hex(11)
            record: dict[str, object] = {
                "execution": key,
                "taskRun": key + "-0",
                "epoch": 1,
                "body": {"value": "x" * 100},
            }
            self._sink.produce(self._plumbing.commands, encode(record, "created"), key=key)
            if number % 100 == 0:
                self._sink.poll(0)
        self._sink.flush()
        ended = 0
        while ended < count:
            ended += sum(decode(message)["kind"] == "ended" for message in batch(self._ends))
        return time.perf_counter() - start

    def close(self) -> None:
        self._stop.set()
        for process in self._processes:
            process.join(5)
            process.kill()
        self._ends.close()
        self._plumbing.remove()
