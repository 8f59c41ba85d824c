"""The log: topics of partitions of records. Adapters: ``adapters.memory.log``, ``adapters.kafka``.

The contract, held by ``tests/contract/test_log*.py`` over every adapter:

* Records of a partition are totally ordered and keep their offsets; there is no order between
partitions. * ``Record.timestamp`` is the append time by the broker's clock (LogAppendTime), in
epoch ms. * Values and keys are bytes, in memory too, so that the codec is always exercised.
* A key chooses its partition by Kafka's murmur2 (Java's default), so that keys agree between
languages. * A send that was acknowledged is in the log once. One that failed with ``TIMED_OUT`` may
be in the log. * Readers are read_committed: a record of a transaction is seen when the transaction
was committed,
  a record after an open transaction waits for it, and aborted records are never seen.
* ``Transactions.begin_epoch`` fences: whoever used the transactional id before can commit no more.
* Nothing here is thread-safe but ``Producer.send`` and ``Transactions`` (used by one thread at a
time).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    index: int  # type: ignore[assignment]  # hides tuple.index


class Record(NamedTuple):
    """A record as it was read. value None: a tombstone. timestamp: append time, epoch ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Message(NamedTuple):
    """A record to be. partition None: chosen by the key."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: Headers = ()


class SendFailure(Enum):
    """Why a message was not acknowledged."""

    TIMED_OUT = "timed out"
    """No answer in time; it may have been appended all the same."""
    MISSING_TOPIC = "missing topic"
    TOO_LARGE = "too large"
    DEAD = "the producer is dead"
    """It can send nothing any more, whatever it is given: close it and make another."""
    OTHER = "other"


class SendError(NamedTuple):
    """failure says who must act; detail is for people."""

    failure: SendFailure
    detail: str


OnAck = Callable[[SendError | None], None]
"""Called from ``Producer.poll`` or ``flush``: None when acked, else why not."""


class Producer(Protocol):
    """An idempotent producer (acks=all): acked messages of one partition stand in the order of
    sending.
    """

    def send(self, message: Message, on_ack: OnAck | None = None) -> None:
        """Queue a message; it goes out at once. Never blocks for long: a full queue is polled."""

    def poll(self) -> None:
        """Serve what was acknowledged since; never blocks."""

    def flush(self, timeout: float) -> int:
        """Wait for all acks, at most timeout seconds. -> how many are still open."""

    def close(self) -> None: ...


class Reader(Protocol):
    """Reads partitions that it was told to, outside any consumer group."""

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Read these partitions too, each from its offset. Raises LogUnavailable, TopicUnfit."""

    def unassign(self, partitions: Iterable[Partition]) -> None: ...

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """What is there, at most limit records; waits up to timeout seconds for the first one.

        Raises TopicUnfit where a position is gone (its records were deleted): stages never skip.
        """

    def position(self, partition: Partition) -> int:
        """The offset that ``poll`` gives next; beyond aborted and control records where they were
        passed.
        """

    def beginning_offset(self, partition: Partition, timeout: float) -> int: ...

    def end_offset(self, partition: Partition, timeout: float) -> int:
        """The offset that the next committed append would get. Raises LogUnavailable."""

    def offset_at(self, partition: Partition, timestamp: int, timeout: float) -> int:
        """The offset of the first record that was appended at this time (epoch ms) or later; where
        there is none, that of the next append. Raises LogUnavailable.
        """

    def close(self) -> None: ...


class RebalanceListener(Protocol):
    """Called from within ``Member.poll`` and ``Member.close``."""

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """These came. -> where to start, for those that shall not start at the group's committed
        offset.
        """

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """These go, when this returns: finish what is in hand. Commits are still accepted."""

    def lost(self, partitions: Sequence[Partition]) -> None:
        """These are gone already: another may own them. Commits are no longer accepted."""


class Member(Protocol):
    """A member of a consumer group (classic protocol, cooperative-sticky, static when it has an
    instance id).

    A group without a committed offset starts at the earliest record.
    """

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """Like ``Reader.poll``. Must be called every few seconds, when paused too.

        Raises MemberBroken, from then on always, when it can't go on: as where another member has
        the same instance id.
        """

    def pause(self) -> None:
        """Give no records of any partition until ``resume``; those assigned meanwhile are paused
        too.
        """

    def resume(self) -> None: ...

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit the offsets that shall be read next, without waiting. Not accepted ones are
        dropped.
        """

    def assignment(self) -> list[Partition]: ...

    def step_aside(self) -> None:
        """Let the others have all partitions: within polls to come they are revoked, and read on
        by another member a heartbeat later. The seat is kept, and nothing is given until
        ``step_in``. For members that were made with an ``aside`` topic. Raises LogUnavailable;
        nothing changes then.
        """

    def step_in(self) -> None:
        """Take a share of the partitions again, also while stepping aside is under way. Raises
        LogUnavailable; nothing changes then.
        """

    def is_aside(self) -> bool:
        """After ``step_aside``: whether the group has gone on without this one. A member that is
        closed now leaves nothing that stands still, even a static one.
        """

    def close(self) -> None:
        """Leave the group. A static member stays until its session ends, and what it owns with
        it: step aside first.
        """


class ShareMember(Protocol):
    """A member of a share group: members read the same partitions, each record goes to one.

    A record that was polled is the member's until it is accepted, its lock is over (15 s) or the
    member is closed: then another member may get it. After five deliveries nobody gets it any more.
    A group starts at the earliest record, and sees committed ones only.
    """

    def poll(self, timeout: float) -> list[Record]:
        """The next record; where a producer sent a batch, some more of it. Waits up to timeout
        seconds. All of a poll must be accepted before the next one, else raises
        InvariantViolated. Raises MemberBroken, from then on always, when it can't go on.
        """

    def accept(self, record: Record) -> None:
        """It shall not be delivered again. Sent by ``commit``; without effect after its lock."""

    def commit(self) -> None:
        """Tell the log what was accepted, without waiting."""

    def close(self) -> None:
        """Leave; what was polled and not accepted goes to others at once."""


class Outcome(Enum):
    """How a transaction ended."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    """Not in the log, fenced included: begin a new epoch and restore."""
    UNKNOWN = "unknown"
    """Perhaps in the log: begin a new epoch and restore from what is there."""


class Transactions(Protocol):
    """The transactional producer of one shard, by a stable transactional id."""

    def begin_epoch(self, timeout: float) -> None:
        """Fence whoever used the id before, and end what it left open. Raises LogUnavailable."""

    def commit(self, messages: Iterable[Message], timeout: float) -> Outcome:
        """Append all of the messages in one transaction, or none."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it shall be. configs: Kafka's topic settings."""

    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True)
class TopicDescription:
    """A topic as it is. configs: those settings that ``TopicSpec`` named may be compared with
    these. id: another one where a topic of this name was made anew. brokers: how many the cluster
    has now.
    """

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]
    id: str = ""
    brokers: int = 1


class Topics(Protocol):
    """Administration of topics."""

    def create(self, specs: Sequence[TopicSpec], timeout: float) -> list[str]:
        """Make those that don't exist. -> their names. Raises LogUnavailable."""

    def describe(self, names: Sequence[str], timeout: float) -> dict[str, TopicDescription]:
        """Those of the names that exist."""

    def delete(self, names: Sequence[str], timeout: float) -> None: ...


class Log(Protocol):
    """Where servers meet. Each call makes a client of its own, which its caller closes."""

    def producer(self, *, gapless: bool = False) -> Producer:
        """gapless: no message fails for the time that it takes, so that what was sent to a
        partition after it never stands there without it. Where a message can't be queued, the
        producer is dead. For what folds send: receivers drop what is not above the highest source.
        """

    def reader(self) -> Reader: ...

    def member(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        instance_id: str = "",
        aside: str = "",
    ) -> Member:
        """aside: a topic that exists and none of the group reads; needed to step aside."""

    def share_member(self, group: str, topic: str) -> ShareMember:
        """Not in a group that has members of the other kind. Raises LogUnavailable, and
        SettingsRefused where the log has no share groups.
        """

    def transactions(self, transactional_id: str) -> Transactions: ...

    def topics(self) -> Topics: ...
