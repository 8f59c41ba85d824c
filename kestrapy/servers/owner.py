"""The shell of executor and scheduler: which shards are this process's, and their turns.

Ownership comes from a consumer group on one topic of the shard, whose partition stands for all of
them; that member is paused for good and reads nothing. All records come through one reader that is
told where to read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from kestrapy.errors import LogUnavailable, MemberBroken, UnknownLogicVersion
from kestrapy.machine.commands import Command, Probe
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Log, Member, Message, Partition
from kestrapy.ports.rarely import Rarely, never
from kestrapy.servers.checkpoint import Checkpoints
from kestrapy.servers.router import Router
from kestrapy.servers.shard import Lost, Shard, StageSpec

log = logging.getLogger(__name__)

BATCH = 1_000
"""Records per poll: an upper bound on what one turn folds before timers and checkpoints get
theirs.
"""
MEMBER_EVERY = 100
PULSE_EVERY = 1_000
JOIN_AGAIN = 1_000
TIMER_AGAIN = 1_000
TRY_AGAIN = 1_000
LOST_PAUSE = 300
"""ms before a shard that was lost is taken over again: time for the group to say that it went."""
REFUSED_AGAIN = 10_000
GIVE_UP_TIMEOUT = 3.0
"""Seconds for the last checkpoints of all shards that go at once: they spare others some work."""


class Duties(Protocol):
    """What an owner of this kind does for a shard beside folding. Times: monotonic ms."""

    def specs(self, index: int) -> list[StageSpec]: ...

    def before_folding(self, now: int) -> None:
        """Once a turn, before any shard folds."""

    def taken_over(self, shard: Shard, now: int) -> None: ...

    def turn(self, shard: Shard, now: int) -> None:
        """Once a turn, after the shard has folded."""

    def pulse(self, shard: Shard, sequence: int, now: int) -> None:
        """A Probe of this sequence was just sent."""

    def dropped(self, index: int) -> None: ...

    def announcement(self, sequence: int) -> Command:
        """What this process says each second, whether it owns shards or not."""


@dataclass(frozen=True)
class OwnerSettings:
    """kind: names the transactional ids. group: consumer group. topic: whose partitions stand for
    the shards.

    pulse_topic: where the owner's probes go. interval: ms between checkpoints. rarely: see
    ``ports.rarely``.
    """

    kind: str
    group: str
    topic: str
    pulse_topic: str
    state_topic: str
    transactional_prefix: str
    owner_id: str
    instance_id: str = ""
    interval: int = 500
    per_batch: bool = False
    rarely: Rarely = never


class Owner:
    """A server that owns shards. ``tick`` is its whole life; nothing happens between two of
    them.
    """

    def __init__(
        self,
        settings: OwnerSettings,
        duties: Duties,
        log_port: Log,
        router: Router,
        clock: Clock,
        threads: Executor,
    ):
        self.shards: dict[int, Shard] = {}
        self.refused: dict[int, str] = {}
        self._settings = settings
        self._duties = duties
        self._log = log_port
        self._router = router
        self._clock = clock
        self._threads = threads
        self._producer = log_port.producer(gapless=True)
        self._reader = log_port.reader()
        self._wanted: dict[int, int] = {}
        self._pulse_due = 0
        self._pulses = 0
        self._member_due = 0
        self._member = self._join()

    def _join(self) -> Member:
        settings = self._settings
        member = self._log.member(settings.group, [settings.topic], self, settings.instance_id)
        member.pause()
        return member

    # The group's words

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        for partition in partitions:
            self._wanted[partition.index] = 0
        return {}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        deadline = self._clock.monotonic() + round(GIVE_UP_TIMEOUT * 1000)
        for partition in partitions:
            self._wanted.pop(partition.index, None)
            shard = self.shards.get(partition.index)
            if shard is not None:
                now = self._clock.monotonic()
                if now < deadline:  # else its next owner folds a little more
                    shard.give_up(now, self._producer, (deadline - now) / 1000)
                self._drop(partition.index)

    def lost(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self._wanted.pop(partition.index, None)
            self._drop(partition.index)

    # A turn

    def tick(self, now: int, patience: int = 0) -> int:
        """Poll, fold, put out, checkpoint. patience: ms to wait for records. -> next wake-up,
        monotonic ms.
        """
        if now >= self._member_due:
            self._member_due = now + MEMBER_EVERY
            self._keep_membership(now)
        self._take_over_wanted(now)
        behind = any(shard.is_waiting for shard in self.shards.values())
        rarely = self._settings.rarely
        if self.shards and not behind and not rarely("reads nothing"):
            limit = 1 if rarely("reads one record") else BATCH
            for record in self._reader.poll(limit, patience / 1000):
                shard = self.shards.get(record.partition)
                if shard is not None:
                    shard.accept([record])
        now = self._clock.monotonic()
        self._duties.before_folding(now)
        self._pulse(now)
        for index, shard in list(self.shards.items()):
            self._turn(index, shard, now)
        self._producer.poll()
        return now if behind else now + MEMBER_EVERY

    def _keep_membership(self, now: int) -> None:
        try:
            self._member.poll(1, 0.0)
        except MemberBroken as error:
            log.warning("joining the group anew: %s", error)
            self._member.close()
            self._member = self._join()
            self._member_due = now + JOIN_AGAIN

    def _turn(self, index: int, shard: Shard, now: int) -> None:
        try:
            shard.fold(now)
            log_time = shard.log_time(now)
            if log_time:
                shard.send_due_timers(log_time, TIMER_AGAIN)
            self._duties.turn(shard, now)
            rarely = self._settings.rarely
            if rarely("restore just now"):
                raise Lost("a restore that nobody needs")
            interval = 0 if rarely("checkpoint just now") else self._settings.interval
            if shard.checkpoint(now, interval):
                self._commit_positions(shard)
        except Lost as error:
            log.warning("shard %d is restored from its checkpoint: %s", index, error)
            self._drop(index)
            self._wanted[index] = now + LOST_PAUSE
            self._member_due = 0
        except UnknownLogicVersion as error:
            self._refuse(index, error, now)

    def _commit_positions(self, shard: Shard) -> None:
        """For lag displays only: the checkpoint's offsets count."""
        partition = Partition(self._settings.topic, shard.index)
        self._member.commit({partition: shard.positions()[partition]})

    def _take_over_wanted(self, now: int) -> None:
        for index, due in list(self._wanted.items()):
            if now < due:
                continue
            try:
                self._take_over(index, now)
                del self._wanted[index]
            except LogUnavailable as error:
                log.warning("shard %d can't be taken over yet: %s", index, error)
                self._wanted[index] = now + TRY_AGAIN
            except UnknownLogicVersion as error:
                self._refuse(index, error, now)

    def _refuse(self, index: int, error: UnknownLogicVersion, now: int) -> None:
        log.error("shard %d is refused: %s", index, error)
        self._drop(index)
        self.refused[index] = str(error)
        self._wanted[index] = now + REFUSED_AGAIN

    def _take_over(self, index: int, now: int) -> None:
        settings = self._settings
        checkpoints = Checkpoints(
            self._log,
            Partition(settings.state_topic, index),
            f"{settings.transactional_prefix}{settings.kind}-{index}",
            self._clock,
        )
        shard = Shard(
            index,
            self._duties.specs(index),
            checkpoints,
            self._producer,
            self._router,
            self._threads,
            settings.per_batch,
        )
        try:
            positions = shard.take_over(now)
            for partition, offset in positions.items():
                if offset == 0:
                    positions[partition] = self._reader.beginning_offset(partition, 10.0)
            self._reader.assign(positions)
        except BaseException:
            shard.close()
            raise
        self.shards[index] = shard
        self.refused.pop(index, None)
        self._duties.taken_over(shard, now)
        self._pulse_due = 0
        log.info("shard %d is owned from %s", index, dict(positions))

    def _drop(self, index: int) -> None:
        shard = self.shards.pop(index, None)
        if shard is not None:
            self._reader.unassign(list(shard.positions()))
            shard.close()
            self._duties.dropped(index)

    def _pulse(self, now: int) -> None:
        """Each second a probe into each shard's log: it tells the log's time, and that nothing was
        missed.
        """
        if now < self._pulse_due:
            return
        self._pulse_due = now + PULSE_EVERY
        self._pulses += 1
        announcement = self._duties.announcement(self._pulses)
        self._producer.send(self._router.message(announcement))
        value, headers = self._router.codec.encode(Probe(self._settings.owner_id, self._pulses))
        for shard in self.shards.values():
            self._duties.pulse(shard, self._pulses, now)
            shard.outbox.send(
                Message(self._settings.pulse_topic, value, b"probe", shard.index, headers)
            )

    def close(self) -> None:
        """Leave a last checkpoint of each shard behind, and the group.

        In this order: a client that leaves waits for its group, and nothing of ours should wait
        for that.
        """
        self.revoked([Partition(self._settings.topic, index) for index in list(self.shards)])
        self._member.close()
        self._producer.flush(GIVE_UP_TIMEOUT)
        self._producer.close()
        self._reader.close()
