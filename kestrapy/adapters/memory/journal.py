"""What the clients of one memory log share: its topics, groups and transactions, under one lock."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from threading import Lock

from kestrapy.adapters.memory.group import Group
from kestrapy.adapters.memory.partition import PartitionLog
from kestrapy.adapters.memory.share_group import Share
from kestrapy.errors import TopicUnfit
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Message, Partition, SendError, SendFailure, TopicSpec
from kestrapy.wire.partitioner import partition_for

RECORD_OVERHEAD = 70
"""Bytes that Kafka adds to a record that is alone in its batch, about."""
MAX_MESSAGE_BYTES = 1_000_000
"""What Kafka's producers send at most, less than a topic's default."""

_partition_of_key = lru_cache(maxsize=16_384)(partition_for)


class CommitFault(Enum):
    """What shall go wrong with a commit."""

    ABORT = "aborted, and said so"
    LOSE = "aborted, but the answer got lost"
    LOSE_ANSWER = "committed, but the answer got lost"


class TopicLog:
    """A topic: its partitions, and its limit on a record's size in bytes. number: of all topics
    that were ever made.
    """

    def __init__(self, spec: TopicSpec, number: int):
        self.spec, self.number = spec, number
        allowed = int(spec.configs.get("max.message.bytes", MAX_MESSAGE_BYTES))
        self.limit = min(allowed, MAX_MESSAGE_BYTES)
        self.partitions = [
            PartitionLog(Partition(spec.name, index)) for index in range(spec.partitions)
        ]
        self._turn = 0

    def choose(self, message: Message) -> PartitionLog | None:
        """The partition for a message; None when it names one that isn't there."""
        count = len(self.partitions)
        if message.partition is not None:
            index = message.partition
            return self.partitions[index] if 0 <= index < count else None
        if message.key is not None:
            return self.partitions[_partition_of_key(message.key, count)]
        self._turn = (self._turn + 1) % count
        return self.partitions[self._turn]


class Journal:
    """Everything is guarded by ``lock``, which is held for no longer than one call needs."""

    def __init__(self, clock: Clock, session_ms: int):
        self.lock = Lock()
        self.clock = clock
        self.topics: dict[str, TopicLog] = {}
        self.topics_made = 0
        self.epochs: dict[str, int] = {}
        self.faults: dict[str, CommitFault] = {}
        self._session_ms = session_ms
        self._groups: dict[str, Group] = {}
        self._shares: dict[tuple[str, str], Share] = {}
        self._touched: dict[str, list[PartitionLog]] = {}

    def append(self, message: Message, transaction: str | None = None) -> SendError | None:
        """Append a message, or say why not."""
        topic = self.topics.get(message.topic)
        if topic is None:
            return SendError(SendFailure.MISSING_TOPIC, f"no topic {message.topic}: create it")
        partition = topic.choose(message)
        if partition is None:
            detail = f"{message.topic} has no partition {message.partition}"
            return SendError(SendFailure.MISSING_TOPIC, detail)
        if (size := _size(message)) > topic.limit:
            detail = f"{size} bytes, where {message.topic} takes {topic.limit} in max.message.bytes"
            return SendError(SendFailure.TOO_LARGE, detail)
        partition.append(message, self.clock.wall(), transaction)
        if transaction is not None:
            touched = self._touched.setdefault(transaction, [])
            if partition not in touched:
                touched.append(partition)
        return None

    def finish(self, transaction: str, *, commit: bool) -> None:
        """End the open transaction of that id, if there is one."""
        for partition in self._touched.pop(transaction, ()):
            partition.finish(transaction, commit=commit)

    def partition(self, name: Partition) -> PartitionLog:
        """Raises TopicUnfit where there is none."""
        topic = self.topics.get(name.topic)
        if topic is None or not 0 <= name.index < len(topic.partitions):
            raise TopicUnfit(f"no partition {name.topic}[{name.index}]: create the topic")
        return topic.partitions[name.index]

    def group(self, name: str) -> Group:
        """The group of that name, made when first asked for."""
        if name not in self._groups:
            self._groups[name] = Group(self._session_ms, self.partitions_of)
        return self._groups[name]

    def share(self, group: str, topic: str) -> Share:
        """The share group of that name and what it has of a topic, made when first asked for."""
        if (group, topic) not in self._shares:
            self._shares[group, topic] = Share()
        return self._shares[group, topic]

    def partitions_of(self, topic: str) -> list[Partition]:
        """None at all where there is no such topic."""
        found = self.topics.get(topic)
        return [] if found is None else [partition.name for partition in found.partitions]

    def topics_changed(self, deleted: Sequence[str] = ()) -> None:
        """To be called after topics came or went: groups are shared out anew."""
        for group in self._groups.values():
            for topic in deleted:
                group.forget(topic)
            group.share_out()
        for group_name, topic in list(self._shares):
            if topic in deleted:
                del self._shares[group_name, topic]


def _size(message: Message) -> int:
    size = RECORD_OVERHEAD + len(message.value or b"") + len(message.key or b"")
    return size + sum(len(name) + len(value or b"") for name, value in message.headers)
