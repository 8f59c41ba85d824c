"""How a group's jobs reach this worker: one port over consumer groups and share groups.

Both deliver a job again until its claim stands in the log: there the offset is committed, here the
record is accepted. A job that is delivered twice is claimed twice, and the fold grants one claim.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kestrapy.errors import LogUnavailable, MemberBroken
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Log, Member, Partition, Record, ShareMember
from kestrapy.servers.worker.deliveries import Deliveries, Delivery

log = logging.getLogger(__name__)

JOIN_AGAIN = 1_000
MOST_HELD = 100
"""Jobs that a full worker fetches and holds before it pauses fetching: a fetch that is resumed may
take a second to come back.
"""
HOLD, HOLD_LONGEST = 5_000, 40_000
"""ms for which a full worker keeps a job waiting before it steps aside."""


class Dispatch(Protocol):
    """A worker's place in its group. Used by one thread; blocks no longer than ``patience``."""

    def fetch(self, room: int, now: int, patience: int) -> list[Record]:
        """Jobs, about ``room`` of them; with room 0 none, and those that wait may go to others.

        To be called all the time, also without room. now, patience: ms.
        """

    def done(self, delivery: Delivery) -> None:
        """Its claim stands in the log, or it is no job at all: it needs no redelivery."""

    def commit(self) -> None:
        """Tell the log what is done."""

    def retire(self, now: int) -> bool:
        """Take no more; ``fetch`` comes back. To be called again while it is so.

        -> whether nothing waits for this worker any more: it may be closed.
        """

    @property
    def partition(self) -> int:
        """One that it reads, where jobs can be sent to; -1 for none."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Place:
    """group: consumer group or share group. aside: the topic to step aside to."""

    group: str
    topic: str
    aside: str
    instance_id: str = ""


class ConsumerDispatch:
    """By a consumer group: each partition's jobs go to one worker.

    So a job can wait at a worker that is full while another is idle. A worker without a free slot
    fetches jobs ahead and holds them; after ``HOLD`` it steps aside, so that others read its
    partitions, and steps in when a slot is free. Each of that costs the group a rebalance, and the
    one who steps in a second without jobs. Where whatever waited when it stepped aside still waits
    when it is back, all are full and nothing was gained: then it holds twice as long the next time.
    """

    def __init__(self, log_port: Log, place: Place, clock: Clock):
        self._log = log_port
        self._place = place
        self._clock = clock
        self._member: Member | None = None
        self._deliveries = Deliveries()
        self._held: list[Record] = []
        self._full_since: int | None = None
        self._patience = HOLD
        self._left: int | None = None
        self._paused = self._aside = False
        self._join_due = 0

    def fetch(self, room: int, now: int, patience: int) -> list[Record]:
        if now < self._join_due:
            return []
        try:
            member = self._joined()
            if room > 0:
                self._full_since = None
                return self._take(member, room, patience)
            self._wait(member, now)
        except MemberBroken as error:
            self._leave(error, now)
        except LogUnavailable as error:
            log.warning("the group's members can't be changed now: %s", error)
        return []

    def done(self, delivery: Delivery) -> None:
        self._deliveries.done(delivery)

    def commit(self) -> None:
        offsets = self._deliveries.take_committable()
        if offsets and self._member is not None:
            self._member.commit(offsets)

    def retire(self, now: int) -> bool:
        if self._member is None:
            return True
        try:
            if not self._aside:
                self.commit()
                self._step_aside(self._member)
            self._member.poll(1, 0.0)
        except MemberBroken as error:
            self._leave(error, now)
            return True
        except LogUnavailable as error:
            log.warning("the group's members can't be changed now: %s", error)
        return self._member.is_aside()

    def close(self) -> None:
        if self._member is not None:
            self.commit()
            self._member.close()
            self._member = None

    @property
    def partition(self) -> int:
        owned = [] if self._member is None or self._aside else self._member.assignment()
        return owned[0].index if owned else -1

    # The group's words

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return {}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        self.commit()
        self.lost(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        self._deliveries.forget(partitions)
        self._held = [it for it in self._held if delivery_of(it)[0] not in partitions]

    def _joined(self) -> Member:
        if self._member is None:
            place = self._place
            self._member = self._log.member(
                place.group, [place.topic], self, place.instance_id, place.aside
            )
        return self._member

    def _leave(self, error: MemberBroken, now: int) -> None:
        """What runs goes on: its lease is not the group's business."""
        log.warning("joining the group anew: %s", error)
        if self._member is not None:
            self._member.close()
        self._member, self._held = None, []
        self._paused = self._aside = False
        self._join_due = now + JOIN_AGAIN

    def _take(self, member: Member, room: int, patience: int) -> list[Record]:
        if self._aside:
            member.step_in()
        elif self._paused:
            member.resume()
        self._aside = self._paused = False
        taken, self._held = self._held[:room], self._held[room:]
        if len(taken) < room:
            taken += self._poll(member, room - len(taken), 0 if taken else patience)
        return taken

    def _poll(self, member: Member, limit: int, patience: int) -> list[Record]:
        records = member.poll(limit, patience / 1000)
        for record in records:
            self._deliveries.add(delivery_of(record))
        if records and self._left is not None:
            waited = records[0].timestamp < self._left
            self._patience = min(2 * self._patience, HOLD_LONGEST) if waited else HOLD
            self._left = None
        return records

    def _wait(self, member: Member, now: int) -> None:
        """There is no free slot. The member has to poll, or the group takes it for dead."""
        if self._full_since is None:
            self._full_since = now
        if self._aside or self._paused:
            member.poll(1, 0.0)
        elif len(self._held) < MOST_HELD:
            self._held += self._poll(member, 1, 0)
        else:
            member.pause()
            self._paused = True
        if self._held and not self._aside and now - self._full_since >= self._patience:
            self._step_aside(member)

    def _step_aside(self, member: Member) -> None:
        """What is held stays until its partition is revoked: nobody else gives it before that."""
        member.step_aside()
        self._aside, self._paused = True, True
        self._left = self._clock.wall()


class ShareDispatch:
    """By a share group: a job goes to whichever worker asks first. Kafka 4.2 or later.

    A poll may give more jobs than there is room for, since Kafka gives a producer's whole batch.
    They are claimed all the same: those that find no slot in time are handed back to the fold, and
    never released to the group, which archives a record after five deliveries.
    """

    def __init__(self, log_port: Log, place: Place):
        self._log = log_port
        self._place = place
        self._member: ShareMember | None = None
        self._open: dict[Delivery, Record] = {}
        self._join_due = 0

    def fetch(self, room: int, now: int, patience: int) -> list[Record]:
        if room <= 0 or self._open or now < self._join_due:
            return []  # all of a poll has to be accepted before the next one
        try:
            if self._member is None:
                self._member = self._log.share_member(self._place.group, self._place.topic)
            records = self._member.poll(patience / 1000)
        except (MemberBroken, LogUnavailable) as error:
            log.warning("joining the group anew: %s", error)
            self.close()
            self._join_due = now + JOIN_AGAIN
            return []
        self._open = {delivery_of(record): record for record in records}
        return records

    def done(self, delivery: Delivery) -> None:
        record = self._open.pop(delivery, None)
        if record is not None and self._member is not None:
            self._member.accept(record)

    def commit(self) -> None:
        if self._member is not None:
            self._member.commit()

    @property
    def partition(self) -> int:
        """Whoever asks first has the job: there is nothing to be sent."""
        return -1

    def retire(self, now: int) -> bool:
        if not self._open:
            self.close()
        return self._member is None

    def close(self) -> None:
        if self._member is not None:
            self._member.close()
        self._member, self._open = None, {}


def delivery_of(record: Record) -> Delivery:
    return Partition(record.topic, record.partition), record.offset
