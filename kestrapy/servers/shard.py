"""A shard in the hands of its owner: records in, outputs out at once, checkpoints behind."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from kestrapy.errors import ProducerDead, RecordRefused
from kestrapy.machine.commands import Command, Source, Undeliverable
from kestrapy.machine.entities import Entity
from kestrapy.machine.outputs import Job, JobCopy, Output, Refusal
from kestrapy.machine.stage import Arrival, Fold, Folded, Position, Stage
from kestrapy.machine.turn import ContentMissing
from kestrapy.ports.log import Message, Outcome, Partition, Producer, Record, SendError, SendFailure
from kestrapy.servers.checkpoint import Checkpoints, Restored, Snapshot
from kestrapy.servers.outbox import Outbox
from kestrapy.servers.router import Router
from kestrapy.servers.timers import Timers
from kestrapy.wire.dead_letters import letter_of

log = logging.getLogger(__name__)

FOLD_UNTIL_CHECKPOINT_IS_OLD = 10_000
"""ms: no folding past this age of the last checkpoint, so that a takeover never has much to fold
again.
"""
FOLD_AT_MOST = 20_000
"""Commands after the last checkpoint, likewise."""
IDLE_COMMANDS = 1_000
"""Commands without any effect after which a checkpoint is due all the same, so that none is folded
for ever.
"""


@dataclass(frozen=True)
class StageSpec:
    """A stage of a kind of shard.

    due: when an entity wants a timer, 0 for never. timer: the command for it. observe: told of each
    entity that is restored, changed or gone. arrived: told of each command once it is folded.
    """

    topic: str
    fold: Fold
    due: Callable[[Entity], int] = lambda _: 0
    timer: Callable[[Entity], Command] | None = None
    observe: Callable[[str, Entity | None], None] = lambda _key, _entity: None
    arrived: Callable[[Command], None] = lambda _command: None


class Lost(Exception):
    """The shard can't go on from memory: restore it, if it is still assigned."""


class Shard:
    """One owner's work on the partitions ``index`` of its stages' topics.

    per_batch: outputs and checkpoint go in one transaction for each batch (safe mode, slower),
    instead of outputs at once and checkpoints behind.
    """

    def __init__(
        self,
        index: int,
        specs: Sequence[StageSpec],
        checkpoints: Checkpoints,
        producer: Producer,
        router: Router,
        threads: Executor,
        per_batch: bool,
    ):
        self.index = index
        self.specs = {spec.topic: spec for spec in specs}
        self._expected = {spec.topic: router.catalogue.records(spec.topic) for spec in specs}
        self.checkpoints = checkpoints
        self.outbox = Outbox(producer)
        self.timers = Timers()
        self.folded = 0
        self._router = router
        self._threads = threads
        self._per_batch = per_batch
        self._stages: dict[str, Stage] = {}
        self._changed: dict[str, dict[str, Entity | None]] = {}
        self._waiting: deque[Record] = deque()
        self._batch: list[Message] = []
        self._closing: Snapshot | None = None
        self._writing: Future[Outcome] | None = None
        self._since_checkpoint = 0
        self._idle_commands = 0
        self._clean_at = 0
        self._snapshot_at = 0
        self._log_time = (0, 0)

    # Taking over

    def take_over(self, now: int) -> dict[Partition, int]:
        """Restore. -> where to read each stage from. Raises LogUnavailable, UnknownLogicVersion."""
        restored = self.checkpoints.restore()
        for spec in self.specs.values():
            self._stages[spec.topic] = self._restored_stage(spec, restored)
        self._clean_at = now
        return {
            Partition(topic, self.index): stage.position.offset
            for topic, stage in self._stages.items()
        }

    def _restored_stage(self, spec: StageSpec, restored: Restored) -> Stage:
        name = spec.fold.name
        state = restored.states.get(name, {})
        stage = Stage(spec.fold, state, restored.positions.get(name, Position()))
        for key, entity in state.items():
            self._note(spec, key, entity)
        return stage

    def stage(self, topic: str) -> Stage:
        return self._stages[topic]

    # Folding

    def accept(self, records: list[Record]) -> None:
        self._waiting.extend(records)

    def fold(self, now: int) -> int:
        """Fold what waits. -> how many commands. Stops where a flow's revision is still to be read,
        and
        where the last checkpoint is too old. Raises Lost in the mode ``per-batch``."""
        if not self._since_checkpoint and self._closing is None:
            self._clean_at = now
        done = 0
        while self._waiting and self._may_fold(now):
            try:
                self._fold_one(self._waiting[0], now)
            except ContentMissing:
                break
            self._waiting.popleft()
            done += 1
        self.folded += done
        if self._per_batch and done:
            self._commit_batch(now)
        return done

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def _may_fold(self, now: int) -> bool:
        young = now - self._clean_at < FOLD_UNTIL_CHECKPOINT_IS_OLD
        return young and self._since_checkpoint < FOLD_AT_MOST

    def log_time(self, now: int) -> int:
        """The log's time, epoch ms: the last append time that was read, and what went by since
        then. 0: unknown.
        """
        at, read = self._log_time
        return at + now - read if at else 0

    def _fold_one(self, record: Record, now: int) -> None:
        stage = self._stages[record.topic]
        self._log_time = max(self._log_time, (record.timestamp, now))
        if record.offset < stage.position.offset:
            return
        try:
            envelope = self._router.codec.decode(record, self._expected[record.topic])
        except RecordRefused as refusal:
            self._dead_letter(record, "", str(refusal), 0)
            stage.position.offset = record.offset + 1
            self._since_checkpoint += 1
            return
        arrival = Arrival(
            envelope.record,
            record.timestamp,
            record.offset,
            envelope.source,
            envelope.redrives,
            envelope.traceparent,
        )
        folded = stage.fold(arrival)
        if folded.poison is not None:
            name = type(envelope.record).__name__
            log.error("%s at %s could not be folded: %s", name, _place(record), folded.poison)
            self._dead_letter(record, name, folded.poison, envelope.redrives)
        if folded.changes or folded.outputs:
            self._since_checkpoint += 1
        else:
            self._idle_commands += 1
        self._keep(record.topic, folded)
        self._emit(stage, record, folded)
        self.specs[record.topic].arrived(envelope.record)

    def _keep(self, topic: str, folded: Folded) -> None:
        spec = self.specs[topic]
        changed = self._changed.setdefault(spec.fold.name, {})
        for key, entity in folded.changes.items():
            changed[key] = entity
            self._note(spec, key, entity)

    def _note(self, spec: StageSpec, key: str, entity: Entity | None) -> None:
        if spec.timer is not None:
            self.timers.set(f"{spec.topic}|{key}", spec.due(entity) if entity else 0)
        spec.observe(key, entity)

    def _emit(self, stage: Stage, record: Record, folded: Folded) -> None:
        for index, output in enumerate(folded.outputs):
            source = Source(stage.name, record.partition, record.offset, index)
            trace = folded.traces[index] if folded.traces else ""
            self._send(self._message_record(output, record), source, trace)

    def _message_record(self, output: Output, record: Record) -> Any:
        """A refusal becomes a dead letter: the request as it came, to be sent again once it is
        mended.
        """
        if not isinstance(output, Refusal):
            return output
        name = type(output.record).__name__
        topic, key, _ = self._router.places(output.record)[0]
        value, _ = self._router.codec.encode(output.record)
        request = record._replace(topic=topic, key=key.encode(), value=value)
        return letter_of(request, output.reason, name, output.redrives)

    def _dead_letter(self, record: Record, name: str, reason: str, redrives: int) -> None:
        self._send(letter_of(record, reason, name, redrives), None, "")

    def _send(self, output: Any, source: Source | None, traceparent: str) -> None:
        for message in self._router.messages(output, source, traceparent):
            if self._per_batch:
                self._batch.append(message)
            elif isinstance(output, Job | JobCopy):
                job = output.job if isinstance(output, JobCopy) else output
                self.outbox.send(message, partial(self._undeliverable, job))
            else:
                self.outbox.send(message)

    def _undeliverable(self, job: Job, error: SendError) -> bool:
        """A job that its topic refuses fails its task run: it must not block the shard."""
        if error.failure not in (SendFailure.MISSING_TOPIC, SendFailure.TOO_LARGE):
            return False
        reason = (
            f"the job could not be published to worker group {job.worker_group}:"
            f" {error.failure.value} ({error.detail})"
        )
        missing = error.failure is SendFailure.MISSING_TOPIC
        self.command(Undeliverable(job.task_run_id, job.epoch, reason, missing))
        return True

    def command(self, command: Command) -> None:
        """Write what only clocks and look-ups know into the log; the fold decides whether it still
        fits.
        """
        for message in self._router.messages(command):
            self.outbox.send(message)

    def command_here(self, topic: str, command: Command) -> None:
        """The same for a command that is about this shard, whatever its key."""
        value, headers = self._router.codec.encode(command)
        self.outbox.send(Message(topic, value, None, self.index, headers))

    def send_due_timers(self, log_time: int, again_after: int) -> None:
        """log_time: the log's time now, epoch ms."""
        for name, _ in self.timers.take(log_time, again_after):
            topic, _, key = name.partition("|")
            spec, entity = self.specs[topic], self._stages[topic].state.get(key)
            if entity is not None and spec.timer is not None:
                self.command(spec.timer(entity))

    # Checkpoints

    def checkpoint(self, now: int, interval: int) -> bool:
        """Drive the checkpoint one step on, without waiting. -> whether one was committed just now.

        Raises Lost where a message or a transaction failed, ProducerDead where none can be sent.
        """
        failure = self.outbox.failure
        if failure is not None and failure.failure is SendFailure.DEAD:
            raise ProducerDead(f"nothing can be sent any more: {failure.detail}")
        if failure is not None:
            raise Lost(f"a message was not acknowledged: {failure.detail}")
        if self._writing is not None:
            return self._written(now)
        if self._closing is not None:
            if self.outbox.is_settled():
                self._writing = self._threads.submit(self.checkpoints.write, self._closing)
            return False
        due = self._since_checkpoint and now - self._clean_at >= interval
        if due or self._idle_commands >= IDLE_COMMANDS:
            self._closing = self._snapshot(now)
            self.outbox.close_generation()
        return False

    def _snapshot(self, now: int) -> Snapshot:
        positions = {
            stage.name: Position(
                stage.position.offset,
                stage.position.at,
                stage.position.version,
                dict(stage.position.sources),
            )
            for stage in self._stages.values()
        }
        changed, self._changed = self._changed, {}
        self._since_checkpoint = self._idle_commands = 0
        self._snapshot_at = now
        return Snapshot(changed, positions)

    def _written(self, now: int) -> bool:
        if self._writing is None or not self._writing.done():
            return False
        outcome = self._writing.result()
        self._writing = self._closing = None
        if outcome is not Outcome.COMMITTED:
            raise Lost(f"the checkpoint's transaction is {outcome.value}")
        self._clean_at = self._snapshot_at
        return True

    def _commit_batch(self, now: int) -> None:
        batch, self._batch = self._batch, []
        if self.checkpoints.write(self._snapshot(now), batch) is not Outcome.COMMITTED:
            raise Lost("the batch's transaction was not committed")
        self._clean_at = now

    def give_up(self, now: int, producer: Producer, timeout: float) -> None:
        """Leave a last checkpoint behind, if each of its steps can be had in timeout seconds."""
        try:
            while self._writing is not None:
                self._writing.result(timeout)
                self._written(now)
            if self._closing is None and self._since_checkpoint:
                self._closing = self._snapshot(now)
                self.outbox.close_generation()
            if self._closing is not None:
                producer.flush(timeout)
                if self.outbox.is_settled():
                    self.checkpoints.write(self._closing, timeout=timeout)
        except (Lost, TimeoutError) as error:
            log.warning("shard %d is given up without a last checkpoint: %s", self.index, error)

    def positions(self) -> dict[Partition, int]:
        return {Partition(t, self.index): s.position.offset for t, s in self._stages.items()}

    def close(self) -> None:
        self.checkpoints.close()


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
