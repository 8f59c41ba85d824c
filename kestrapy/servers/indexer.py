"""The indexer: relays what others read from topics to storage, each record exactly once.

Rows and the offset that they end at are written in one transaction, and only where the stored
offset still stands where this indexer took it up. So the database decides who writes: an indexer
that lost a partition without knowing it writes nothing, and starts anew. The group's offsets are
for lag displays only.

What is in hand is kept until it is written. A record that can't be read, or that the database
refuses, goes to the dead-letter topic, acknowledged there before the offset passes it.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from kestrapy.errors import LogUnavailable, OperatorError, ProducerDead, RecordRefused
from kestrapy.machine.outputs import (
    DeadLetter,
    ExecutionEvent,
    ExecutionPurge,
    FlowRevision,
    LogEntry,
    LogPurge,
    MetricEntry,
    TriggerEvent,
)
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Log, Member, Partition, Record, SendError, SendFailure
from kestrapy.ports.store import Advance, IndexWriter, PositionMoved, Purge, Row, RowsRefused
from kestrapy.servers.metrics import DEAD_LETTERS, DIVERGED, INDEXED
from kestrapy.servers.router import Router
from kestrapy.wire.dead_letters import letter_of
from kestrapy.wire.envelope import RECORD
from kestrapy.wire.topics import Catalogue

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 100, 10_000
_KEEP_EVERY_MS = 1_000
_GATHER_MS = 10
_ROWS_PER_PURGE = 2_000
"""Deleted in one transaction: others' rows wait for no more than that."""
_TIMEOUT = 10.0


class Indexer:
    """A server of the group ``<prefix>indexer``. batch: records per transaction, at most."""

    def __init__(
        self,
        log: Log,
        router: Router,
        writer: IndexWriter,
        clock: Clock,
        *,
        instance_id: str = "",
        batch: int = 500,
    ):
        topics = router.catalogue
        self._log = log
        self._router = router
        self._writer = writer
        self._clock = clock
        self._instance_id = instance_id
        self._batch = batch
        self._group = f"{topics.prefix}indexer"
        self._records = rows_by_topic(topics)
        self._producer = log.producer()
        self._reader = log.reader()
        self._member: Member | None = None
        self._stored: dict[Partition, int | None] = {}
        self._in_hand: deque[list[Record]] = deque()
        self._lettered: set[tuple[str, int, int]] = set()
        self._unplaced: OperatorError | None = None
        self._purges = True
        """Whether the database may have something to purge; a former indexer may have left it."""
        self._pause_ms = _FIRST_PAUSE_MS
        self._again_at = 0
        self.trouble: str | None = None
        """What keeps it from writing now, for health checks; None when nothing does."""

    def tick(self, now: int, patience: int = 0) -> int:
        """Index one batch. now: monotonic ms. patience: ms to wait for it. -> next wake-up."""
        try:
            if now < self._again_at:
                self._keep_membership(patience)
                return min(self._again_at, now + _KEEP_EVERY_MS)
            busy = self._work(patience)
        except PositionMoved as moved:
            _LOG.warning("another indexer is ahead, starting anew: %s", moved)
            self._leave()
            busy = True
        except ProducerDead:
            raise
        except OperatorError as error:
            _LOG.warning("trying again in %d ms: %s", self._pause_ms, error)
            self.trouble = str(error)
            self._again_at = now + self._pause_ms
            self._pause_ms = min(self._pause_ms * 2, _LONGEST_PAUSE_MS)
            return min(self._again_at, now + _KEEP_EVERY_MS)
        self._pause_ms, self.trouble = _FIRST_PAUSE_MS, None
        return now if busy else now + _KEEP_EVERY_MS

    def close(self) -> None:
        self._leave()
        self._reader.close()
        self._producer.close()

    def _work(self, patience: int) -> bool:
        """-> whether records came."""
        self._write_in_hand()
        if self._member is None:
            self._member = self._log.member(
                self._group, list(self._records), self, self._instance_id
            )
        self._member.resume()
        try:
            # Between two pieces of a purge nobody waits.
            records = self._gather(self._member, 0 if self._purges else patience)
            if self._unplaced is not None:
                raise self._unplaced
        except OperatorError:
            # The stored offsets can't be read, or the log has no record there any more: both are
            # settled by an assignment from scratch.
            self._leave()
            raise
        busy = bool(records)
        self._write_in_hand()
        if self._purges:
            self._purges = self._writer.purge(_ROWS_PER_PURGE, self._clock.wall())
        return busy or self._purges

    def _gather(self, member: Member, patience: int) -> list[Record]:
        """A batch; after its first record, what comes within moments: a transaction has its
        price. It is in hand from the start, for each poll may revoke what an earlier one gave.
        """
        records = member.poll(self._batch, patience / 1000)
        if records:
            self._in_hand.append(records)
        until = self._clock.monotonic() + min(_GATHER_MS, patience)
        while records and len(records) < self._batch:
            left = until - self._clock.monotonic()
            if left <= 0:
                break
            records += member.poll(self._batch - len(records), left / 1000)
        return records

    def _keep_membership(self, patience: int) -> None:
        """A member that doesn't poll is put out of the group."""
        if self._member is not None:
            self._member.pause()
            self._member.poll(1, patience / 1000)

    def _leave(self) -> None:
        member, self._member = self._member, None
        if member is not None:
            member.close()
        self._in_hand.clear()
        self._stored.clear()
        self._unplaced = None

    # RebalanceListener

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        try:
            stored = self._writer.positions(partitions)
            starts = {it: self._start(it, stored.get(it)) for it in partitions}
        except OperatorError as error:
            # What the group gives from its own offsets instead is dropped, see _work.
            self._unplaced = error
            return {}
        self._stored.update({it: stored.get(it) for it in partitions})
        self._purges = True
        return starts

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """What is in hand of them is left to their next owner, who starts at the stored offset."""
        gone = set(partitions)
        for records in self._in_hand:
            records[:] = [it for it in records if Partition(it.topic, it.partition) not in gone]
        for partition in partitions:
            self._stored.pop(partition, None)

    def lost(self, partitions: Sequence[Partition]) -> None:
        self.revoked(partitions)

    def _start(self, partition: Partition, stored: int | None) -> int:
        first = self._reader.beginning_offset(partition, _TIMEOUT)
        if stored is not None and stored < first:
            _LOG.error(
                "%s[%d]: %d to %d were deleted before they were indexed: raise its retention",
                *partition,
                stored,
                first - 1,
            )
        return max(first, stored or 0)

    # writing

    def _write_in_hand(self) -> None:
        while self._in_hand:
            records = self._in_hand[0]
            if records:
                self._write(records)
            else:
                self._in_hand.popleft()
        self._lettered.clear()

    def _write(self, records: list[Record]) -> None:
        """Write the first records in hand, or leave two halves of them there."""
        rows = [row for record in records if (row := self._row(record)) is not None]
        ends = {Partition(it.topic, it.partition): it.offset + 1 for it in records}
        advances = [Advance(it, self._stored[it], end) for it, end in ends.items()]
        try:
            diverged = self._writer.write(rows, advances)
        except RowsRefused as refused:
            if len(records) == 1:
                self._dead_letter(records[0], str(refused))
                return
            half = len(records) // 2
            self._in_hand[0] = records[half:]
            self._in_hand.appendleft(records[:half])
            return
        self._in_hand.popleft()
        self._stored.update(ends)
        self._purges = self._purges or any(isinstance(it, Purge) for it in rows)
        if diverged:
            DIVERGED.inc(diverged)
            _LOG.error("%d executions diverged: please report this bug", diverged)
        for topic, number in Counter(record.topic for record in records).items():
            INDEXED.labels(topic).inc(number)
        if self._member is not None:
            self._member.commit(ends)

    def _row(self, record: Record) -> Row | None:
        """None: there is nothing to write, or a dead letter was written instead."""
        if record.value is None or _place(record) in self._lettered:
            return None
        try:
            found: Row = self._router.codec.decode(record, self._records[record.topic]).record
        except RecordRefused as error:
            self._dead_letter(record, str(error))
            return None
        return found

    def _dead_letter(self, record: Record, reason: str) -> None:
        """Returns once it is in the log. Raises LogUnavailable."""
        error = self._send(letter_of(record, reason, _name(record)))
        if error is not None and error.failure is SendFailure.DEAD:
            raise ProducerDead(f"nothing can be sent any more: {error.detail}")
        if error is not None:
            raise LogUnavailable(f"a dead letter can't be written: {error.detail}")
        _LOG.error("%s[%d] %d: %s", record.topic, record.partition, record.offset, reason)
        DEAD_LETTERS.labels(record.topic).inc()
        self._lettered.add(_place(record))

    def _send(self, letter: DeadLetter) -> SendError | None:
        answers: list[SendError | None] = []
        self._producer.send(self._router.message(letter), answers.append)
        self._producer.flush(_TIMEOUT)
        return answers[0] if answers else SendError(SendFailure.TIMED_OUT, f"none in {_TIMEOUT} s")


def rows_by_topic(topics: Catalogue) -> dict[str, tuple[type[Row], ...]]:
    """What is relayed from each topic."""
    return {
        topics.execution_events: (ExecutionEvent, ExecutionPurge),
        topics.logs: (LogEntry, LogPurge),
        topics.metrics: (MetricEntry,),
        topics.flows: (FlowRevision,),
        topics.trigger_events: (TriggerEvent,),
    }


def _place(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def _name(record: Record) -> str:
    """What its producer calls it; for people."""
    return next((str(it, "utf-8", "replace") for name, it in record.headers if name == RECORD), "")
