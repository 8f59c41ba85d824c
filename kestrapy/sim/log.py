"""The simulated log: the port ``Log`` of one process, over the journal of ``adapters.memory``.

Without faults it is the memory log, which is held against a real Kafka by the same contract tests.
What a fault means stands beside what the contract says of it:

================== ================================================================================
a send              arrives later, in order with the others of its producer and partition
TIMED_OUT           the broker was not reached for DELIVERY_TIMEOUT; or it was, and the answer is
                    lost: then the record is in the log. A gapless producer waits for ever
a send twice        by a sender whose producer is not idempotent: the record stands there again
a reader            gives nothing of a partition that is not reached, or for a while
LogUnavailable      raised where what is asked is not reached; the process has waited for it
a member            does not reach its group: its session ends, another owns what it had, and it
                    learns of that afterwards (``lost``)
UNKNOWN             committed or aborted, and the answer is lost
fencing             as in memory: of two with one transactional id, only the later one commits
================== ================================================================================
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush

from kestrapy.adapters.memory.cursor import Cursor
from kestrapy.adapters.memory.journal import Journal
from kestrapy.adapters.memory.member import MemoryMember
from kestrapy.adapters.memory.partition import Watcher
from kestrapy.adapters.memory.share import MemoryShareMember
from kestrapy.adapters.memory.topics import MemoryTopics
from kestrapy.adapters.memory.transactions import MemoryTransactions
from kestrapy.errors import LogUnavailable
from kestrapy.ports.log import (
    Message,
    OnAck,
    Outcome,
    Partition,
    RebalanceListener,
    Record,
    SendError,
    SendFailure,
    TopicDescription,
    TopicSpec,
)
from kestrapy.sim.network import DELIVERY_TIMEOUT, Link

DEAD = SendError(SendFailure.DEAD, "the producer is dead")
ADMINISTRATION = "administration"


class SimLog:
    """journal: shared by all processes of a world. link: of this process."""

    def __init__(self, journal: Journal, link: Link):
        self._journal = journal
        self._link = link
        self._numbers = itertools.count()
        self._open: list[SimReader | SimMember] = []

    def producer(self, *, gapless: bool = False) -> SimProducer:
        return SimProducer(self._journal, self._link, next(self._numbers), gapless)

    def reader(self) -> SimReader:
        reader = SimReader(self._journal, self._link)
        self._open.append(reader)
        return reader

    def member(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        instance_id: str = "",
        aside: str = "",
    ) -> SimMember:
        memory = MemoryMember(self._journal, group, topics, listener, instance_id)
        member = SimMember(memory, self._link, group)
        self._open.append(member)
        return member

    def share_member(self, group: str, topic: str) -> SimShareMember:
        return SimShareMember(MemoryShareMember(self._journal, group, topic), self._link, group)

    def transactions(self, transactional_id: str) -> SimTransactions:
        return SimTransactions(self._journal, self._link, transactional_id)

    def topics(self) -> SimTopics:
        return SimTopics(MemoryTopics(self._journal), self._link)

    def abandon(self) -> None:
        """The process died: nothing is closed, flushed or left. (What stays in memory, goes.)"""
        self._link.close()
        for client in self._open:
            client.abandon()


class SimProducer:
    def __init__(self, journal: Journal, link: Link, number: int, gapless: bool):
        self._journal = journal
        self._link = link
        self._number = number
        self._timeout = None if gapless else DELIVERY_TIMEOUT
        self._count = itertools.count()
        self._acks: list[tuple[int, int, OnAck, SendError | None]] = []
        self._open = 0

    def send(self, message: Message, on_ack: OnAck | None = None) -> None:
        with self._journal.lock:
            self._open += 1

        def answer(when: int, error: SendError | None) -> None:
            heappush(self._acks, (when, next(self._count), on_ack or _ignore, error))

        if self._link.dead:
            answer(self._link.clock.true(), DEAD)
            return
        topic = self._journal.topics.get(message.topic)
        partition = topic.choose(message) if topic is not None else None
        index = -1 if partition is None else partition.name.index
        if partition is not None:
            message = message._replace(partition=index)
        place = f"{message.topic}/{index}"
        self._link.carry(
            (self._number, place), lambda: self._append(message), answer, self._timeout
        )

    def _append(self, message: Message) -> SendError | None:
        with self._journal.lock:
            return self._journal.append(message)

    def poll(self) -> None:
        self._serve(self._link.clock.true())

    def flush(self, timeout: float) -> int:
        if not self._link.press(self._number):
            self._link.spend(timeout)
        elif self._acks:
            last = max(self._acks)[0]
            self._link.spend(min(timeout, max(0, last - self._link.clock.true()) / 1000))
        self.poll()
        return self._open

    def close(self) -> None:
        self.poll()

    def _serve(self, now: int) -> None:
        # Only what is there now: an ack that sends again would keep this from ever returning.
        served = []
        while self._acks and self._acks[0][0] <= now:
            served.append(heappop(self._acks))
        for _, _, on_ack, error in served:
            self._open -= 1
            on_ack(error)


class SimReader:
    """A cursor that looks away from what is not reached."""

    def __init__(self, journal: Journal, link: Link):
        self._journal = journal
        self._link = link
        self._cursor = Cursor(journal, Watcher())
        self._hidden: dict[Partition, int] = {}

    def assign(self, positions: Mapping[Partition, int]) -> None:
        for partition, position in positions.items():
            self._hidden.pop(partition, None)
            self._cursor.place(partition, position)

    def unassign(self, partitions: Iterable[Partition]) -> None:
        gone = list(partitions)
        self._cursor.remove(gone)
        for partition in gone:
            self._hidden.pop(partition, None)

    def poll(self, limit: int, timeout: float) -> list[Record]:
        self._look()
        records = [] if self._link.stalls() else self._cursor.poll(limit, 0, _never)
        if not records and self._link.wait(timeout, self._has_some):
            records = self._cursor.poll(limit, 0, _never)
        return records

    def _has_some(self) -> bool:
        with self._journal.lock:
            return any(
                self._cursor.position(it) < self._journal.partition(it).stable
                for it in self._cursor.partitions()
            )

    def _look(self) -> None:
        for partition in self._cursor.partitions():
            if not self._link.reaches(_place(partition)):
                self._hidden[partition] = self._cursor.position(partition)
                self._cursor.remove([partition])
        for partition, position in list(self._hidden.items()):
            if self._link.reaches(_place(partition)):
                del self._hidden[partition]
                self._cursor.place(partition, position)

    def position(self, partition: Partition) -> int:
        if partition in self._hidden:
            return self._hidden[partition]
        return self._cursor.position(partition)

    def beginning_offset(self, partition: Partition, timeout: float) -> int:
        _require(self._link, _place(partition), timeout)
        with self._journal.lock:
            return self._journal.partition(partition).begin

    def end_offset(self, partition: Partition, timeout: float) -> int:
        _require(self._link, _place(partition), timeout)
        with self._journal.lock:
            return self._journal.partition(partition).stable

    def offset_at(self, partition: Partition, timestamp: int, timeout: float) -> int:
        _require(self._link, _place(partition), timeout)
        with self._journal.lock:
            return self._journal.partition(partition).offset_at(timestamp)

    def close(self) -> None:
        self._cursor.remove(self._cursor.partitions())
        self._hidden.clear()

    def abandon(self) -> None:
        self.close()


class SimMember:
    """Its group's broker may be out of reach; then no poll reaches the group."""

    def __init__(self, memory: MemoryMember, link: Link, group: str):
        self._memory = memory
        self._link = link
        self._place = f"group {group}"

    def poll(self, limit: int, timeout: float) -> list[Record]:
        if not self._link.reaches(self._place) or self._link.stalls():
            self._link.spend(timeout)
            return []
        records = self._memory.poll(limit, 0)
        if not records and self._link.wait(timeout, _never):
            records = self._memory.poll(limit, 0)
        return records

    def pause(self) -> None:
        self._memory.pause()

    def resume(self) -> None:
        self._memory.resume()

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self._link.reaches(self._place):
            self._memory.commit(offsets)
            for partition, offset in offsets.items():
                self._link.network.committed(partition, offset)

    def step_aside(self) -> None:
        _require(self._link, self._place, 1.0)
        self._memory.step_aside()

    def step_in(self) -> None:
        _require(self._link, self._place, 1.0)
        self._memory.step_in()

    def is_aside(self) -> bool:
        return self._memory.is_aside()

    def assignment(self) -> list[Partition]:
        return self._memory.assignment()

    def close(self) -> None:
        self._memory.close()

    def abandon(self) -> None:
        """Its seat stays taken until the session ends."""
        self._memory.pause()


class SimShareMember:
    """Where its group is out of reach, nothing comes, and what was accepted is delivered again.

    An abandoned one is not closed: what it had stays locked until the locks are over.
    """

    def __init__(self, memory: MemoryShareMember, link: Link, group: str):
        self._memory = memory
        self._link = link
        self._place = f"group {group}"

    def poll(self, timeout: float) -> list[Record]:
        if not self._link.reaches(self._place) or self._link.stalls():
            self._link.spend(timeout)
            return []
        records = self._memory.poll(0)
        if not records:
            self._link.spend(timeout)
        return records

    def accept(self, record: Record) -> None:
        self._memory.accept(record)

    def commit(self) -> None:
        if self._link.reaches(self._place):
            self._memory.commit()

    def close(self) -> None:
        self._memory.close()


class SimTransactions:
    def __init__(self, journal: Journal, link: Link, transactional_id: str):
        self._journal = journal
        self._memory = MemoryTransactions(journal, transactional_id)
        self._link = link
        self._id = transactional_id
        self._place = f"transactions {transactional_id}"

    def begin_epoch(self, timeout: float) -> None:
        _require(self._link, self._place, timeout)
        self._memory.begin_epoch(timeout)

    def commit(self, messages: Iterable[Message], timeout: float) -> Outcome:
        fault = self._link.commit_fault(self._place)
        if fault is not None:
            with self._journal.lock:
                self._journal.faults[self._id] = fault
        outcome = self._memory.commit(messages, timeout)
        if fault is not None:
            with self._journal.lock:
                self._journal.faults.pop(self._id, None)
        return outcome

    def close(self) -> None:
        self._memory.close()


class SimTopics:
    def __init__(self, memory: MemoryTopics, link: Link):
        self._memory = memory
        self._link = link

    def create(self, specs: Sequence[TopicSpec], timeout: float) -> list[str]:
        _require(self._link, ADMINISTRATION, timeout)
        return self._memory.create(specs, timeout)

    def describe(self, names: Sequence[str], timeout: float) -> dict[str, TopicDescription]:
        _require(self._link, ADMINISTRATION, timeout)
        return self._memory.describe(names, timeout)

    def delete(self, names: Sequence[str], timeout: float) -> None:
        _require(self._link, ADMINISTRATION, timeout)
        self._memory.delete(names, timeout)


def _require(link: Link, place: str, timeout: float) -> None:
    if not link.reaches(place):
        link.spend(min(timeout, 5.0))
        raise LogUnavailable(f"{place} is not reached")


def _place(partition: Partition) -> str:
    return f"{partition.topic}/{partition.index}"


def _ignore(error: SendError | None) -> None:
    """Nobody asked."""


def _never() -> bool:
    return False
