"""The worker: claims jobs of one group, runs what it is granted, and says how it ended.

1. Join: find the inbox's end, then heartbeat; claim nothing before the first heartbeat was acked.
2. Fetch no more jobs than there are free slots; claim each. A job's offset is done once its claim
is acked. 3. Start what is granted, each epoch at most once; report its end until that is acked.
4. Heartbeat each second. When the lease is over, whatever runs is ended, and this worker id with
it. 5. Stop: claim no more; finish within the grace period, hand back the rest, say that it is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from kestrapy.errors import KestrapyError, MemberBroken, ProducerDead, RecordRefused
from kestrapy.machine.commands import Claimed, Heartbeat, Result, Returned, WorkerGone
from kestrapy.machine.outputs import Granted, Job, Kill, Refused
from kestrapy.model.state import State
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Log, Member, Partition, Record, SendError, SendFailure
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.router import Router
from kestrapy.servers.worker.deliveries import Deliveries
from kestrapy.servers.worker.in_hand import Fence, Hands, InHand, Stand
from kestrapy.servers.worker.lease import Lease
from kestrapy.servers.worker.reports import Reports
from kestrapy.servers.worker.results import fitting_result
from kestrapy.servers.worker.running import JobRunner, Supervision
from kestrapy.wire.dead_letters import letter_of
from kestrapy.wire.partitioner import partition_for

log = logging.getLogger(__name__)

CLAIM_PATIENCE = 1_000
"""ms after which a claim without an answer takes no slot any more, and a grant without a slot is
handed back.
"""
SEND_AGAIN = 2_000
JOIN_AGAIN = 1_000
FULL_BEFORE_PAUSE = 250
"""ms of having no free slot before fetching is paused: a pause throws away what was fetched
ahead.
"""
ENDED_KEPT = 50_000
"""Epochs whose end is remembered: a replayed grant or job of one starts nothing."""
INBOX_BATCH = 500
ANSWER_PACE, LONG_TASK_PACE, IDLE_PACE = 1, 10, 100
"""ms between two looks at what runs. A new record ends the wait for its topic at once."""
SHORT_TASK = 200
"""ms for which a task's end is looked for most often."""


class LeaseLapsed(KestrapyError):
    """The worker's lease is over: it must end with all of its tasks; the next one has a new id."""


@dataclass(frozen=True)
class WorkerSettings:
    """worker_id: new at each start. instance_id: of the group's static member; stable over
    restarts.

    slots: jobs at once. gone: ids of earlier workers of the same supervisor whose tasks are ended.
    Times: ms.
    """

    worker_id: str
    group: str
    slots: int
    consumer_group: str
    instance_id: str = ""
    gone: tuple[str, ...] = ()
    heartbeat_interval: int = 1_000
    lease: int = 25_000
    grace: int = 300_000
    version: str = ""


class Worker:
    """One worker of one group. Ends when ``is_done``; ``tick`` raises LeaseLapsed when it must not
    go on.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        log_port: Log,
        router: Router,
        clock: Clock,
        runner: JobRunner,
        supervision: Supervision,
    ):
        self.settings = settings
        self.is_done = False
        self._log = log_port
        self._router = router
        self._clock = clock
        self._runner = runner
        self._supervision = supervision
        self._producer = log_port.producer()
        self._reports = Reports(self._producer, router, clock)
        self._inbox = log_port.reader()
        self._member: Member | None = None
        self._lease = Lease(settings.lease)
        self._hands = Hands()
        self._ended: dict[Fence, None] = {}
        self._deliveries = Deliveries()
        self._joined = False
        self._beat_due = 0
        self._beats = 0
        self._free_since = 0
        self._paused = False
        self._join_due = 0
        self._stop_by: int | None = None

    @property
    def running(self) -> int:
        """Jobs that run now."""
        return self._hands.count(Stand.RUNNING)

    def lease_problem(self) -> str | None:
        """None while the lease is held."""
        return None if self._lease.is_held(self._clock.boottime()) else "no heartbeat was acked"

    # Its life

    def stop(self, now: int) -> None:
        """Claim no more; what runs has the grace period to end."""
        if self._stop_by is None:
            self._stop_by = now + self.settings.grace
            log.info("worker %s stops, %d in hand", self.settings.worker_id, len(self._hands))

    def tick(self, now: int, patience: int = 0) -> int:
        """patience: ms to wait for records. -> next wake-up, monotonic ms. Raises LeaseLapsed."""
        self._require_lease()
        if not self._joined:
            self._join()
        self._beat(now)
        self._producer.poll()
        if self._lease.is_held(self._clock.boottime()):
            jobs_first = self._wants_jobs(now) and not self._awaits_answers()
            self._read_inbox(0 if jobs_first else patience)
            self._fetch(now, patience if jobs_first else 0)
            self._start_granted(now)
            self._collect(now)
            self._send_again(now)
            self._commit()
            self._drain(now)
        self._producer.poll()
        return now + self._pace(now)

    def _pace(self, now: int) -> int:
        """ms until the next look: an answer, or the end of a short task, is not kept waiting."""
        if self._awaits_answers():
            return ANSWER_PACE
        if not self._hands:
            return IDLE_PACE
        return ANSWER_PACE if now - self._hands.youngest < SHORT_TASK else LONG_TASK_PACE

    def _require_lease(self) -> None:
        if self._lease.is_over(self._clock.boottime()):
            for hand in self._hands.standing(Stand.RUNNING):
                if hand.running is not None:
                    hand.running.kill("the worker's lease is over")
            raise LeaseLapsed(f"no heartbeat was acked for {self.settings.lease} ms")

    def _join(self) -> None:
        """The inbox's end first: what is answered to claims of this id stands after it."""
        topics = self._router.catalogue
        described = self._log.topics().describe([topics.inbox], 10.0)[topics.inbox]
        index = partition_for(self.settings.worker_id.encode(), described.partitions)
        inbox = Partition(topics.inbox, index)
        self._inbox.assign({inbox: self._inbox.end_offset(inbox, 10.0)})
        self._supervision.announce(self.settings.worker_id)
        for worker_id in self.settings.gone:
            message = self._router.message(WorkerGone(worker_id))
            self._producer.send(message, partial(self._gone_acked, worker_id))
        self._joined = True

    def _gone_acked(self, worker_id: str, error: SendError | None) -> None:
        if error is None:
            self._supervision.settle([worker_id])

    def _beat(self, now: int) -> None:
        if now < self._beat_due:
            return
        self._beat_due = now + self.settings.heartbeat_interval
        self._beats += 1
        sent = self._clock.boottime()
        beat = Heartbeat(
            worker_id=self.settings.worker_id,
            sequence=self._beats,
            worker_group=self.settings.group,
            slots=self.settings.slots,
            running=self.running,
            version=self.settings.version,
        )
        self._producer.send(self._router.message(beat), lambda error: self._beat_acked(sent, error))

    def _beat_acked(self, sent: int, error: SendError | None) -> None:
        if error is not None and error.failure is SendFailure.DEAD:
            raise ProducerDead(f"nothing can be sent any more: {error.detail}")
        if error is None and self._lease.renew(sent, self._clock.boottime()):
            self._supervision.renew(self._lease.until or 0)

    def _awaits_answers(self) -> bool:
        return self._hands.count(Stand.CLAIMING) > 0

    # The group's words

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return {}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        self._commit()
        self._deliveries.forget(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        self._deliveries.forget(partitions)

    # Jobs

    def _free_slots(self, now: int) -> int:
        taken = (
            self._hands.count(Stand.GRANTED)
            + self._hands.count(Stand.RUNNING)
            + self._hands.younger(Stand.CLAIMING, now - CLAIM_PATIENCE)
        )
        return self.settings.slots - taken

    def _wants_jobs(self, now: int) -> bool:
        return self._stop_by is None and self._free_slots(now) > 0

    def _fetch(self, now: int, patience: int) -> None:
        if self._stop_by is not None or now < self._join_due:
            return
        if self._member is None:
            topic = self._router.catalogue.jobs(self.settings.group)
            self._member = self._log.member(
                self.settings.consumer_group, [topic], self, self.settings.instance_id
            )
        try:
            self._fetch_by(self._member, now, patience)
        except MemberBroken as error:
            # What runs goes on: its lease is not the group's business.
            log.warning("joining the group anew: %s", error)
            self._member.close()
            self._member, self._paused, self._join_due = None, False, now + JOIN_AGAIN

    def _fetch_by(self, member: Member, now: int, patience: int) -> None:
        free = self._free_slots(now)
        if free > 0:
            self._free_since = now
            if self._paused:
                member.resume()
                self._paused = False
            for record in member.poll(free, patience / 1000):
                self._deliver(record, now)
        elif self._paused:
            member.poll(1, 0.0)
        elif now - self._free_since > FULL_BEFORE_PAUSE:
            member.pause()
            self._paused = True

    def _deliver(self, record: Record, now: int) -> None:
        delivery = (Partition(record.topic, record.partition), record.offset)
        self._deliveries.add(delivery)
        try:
            envelope = self._router.codec.decode(record, (Job,))
        except RecordRefused as refusal:
            self._dead_letter(record, str(refusal))
            self._deliveries.done(delivery)
            return
        job: Job = envelope.record
        fence = job.task_run_id, job.epoch
        hand = self._hands.get(fence)
        if fence in self._ended or (hand is not None and hand.claim_acked):
            self._deliveries.done(delivery)
        elif hand is not None:
            hand.deliveries.append(delivery)
        else:
            hand = InHand(job, now, deliveries=[delivery], traceparent=envelope.traceparent)
            self._hands.add(hand)
            self._claim(hand, now)

    def _dead_letter(self, record: Record, reason: str) -> None:
        self._producer.send(self._router.message(letter_of(record, reason)))

    def _claim(self, hand: InHand, now: int) -> None:
        hand.sent = now
        claimed = Claimed(hand.job.task_run_id, hand.job.epoch, self.settings.worker_id)
        message = self._router.message(claimed, traceparent=hand.traceparent)
        self._producer.send(message, lambda error: self._claim_acked(hand, error))

    def _claim_acked(self, hand: InHand, error: SendError | None) -> None:
        """Also when an answer came: it proves that the claim is in the log."""
        if error is None:
            hand.claim_acked = True
            for delivery in hand.deliveries:
                self._deliveries.done(delivery)
            hand.deliveries.clear()

    def _commit(self) -> None:
        offsets = self._deliveries.take_committable()
        if offsets and self._member is not None:
            self._member.commit(offsets)

    # Answers

    def _read_inbox(self, patience: int) -> None:
        now = self._clock.monotonic()
        for record in self._inbox.poll(INBOX_BATCH, patience / 1000):
            try:
                answer = self._router.codec.decode(record, (Granted, Refused, Kill)).record
            except RecordRefused as refusal:
                self._dead_letter(record, str(refusal))
                continue
            if answer.worker_id != self.settings.worker_id:
                continue
            hand = self._hands.get((answer.task_run_id, answer.epoch))
            if hand is None:
                continue  # a repeated answer, acted upon before
            self._claim_acked(hand, None)
            self._answered(hand, answer, now)

    def _answered(self, hand: InHand, answer: Granted | Refused | Kill, now: int) -> None:
        if isinstance(answer, Kill):
            self._kill(hand, now)
        elif hand.stand is not Stand.CLAIMING:
            return
        elif isinstance(answer, Granted):
            self._hands.move(hand, Stand.GRANTED, now)
        else:
            self._drop(hand)

    def _kill(self, hand: InHand, now: int) -> None:
        """A kill in the inbox says that the epoch is this worker's, even where the grant was
        missed.
        """
        if hand.running is not None:
            hand.hand_back = False
            hand.running.kill("the execution was killed")
        elif hand.stand in (Stand.CLAIMING, Stand.GRANTED):
            self._report(hand, TaskOutcome(State.KILLED), now)

    def _start_granted(self, now: int) -> None:
        running = self.running
        for hand in self._hands.standing(Stand.GRANTED):
            if self._stop_by is not None:
                self._return(hand, "the worker stops", now)
            elif running < self.settings.slots:
                running += 1
                self._start(hand, now)
            elif now - hand.since > CLAIM_PATIENCE:
                self._return(hand, "no free slot", now)

    def _start(self, hand: InHand, now: int) -> None:
        if not self._lease.is_held(self._clock.boottime()):
            return
        self._hands.move(hand, Stand.RUNNING, now)
        hand.running = self._runner.start(hand.job, self._reports, hand.traceparent)

    # Ends

    def _collect(self, now: int) -> None:
        for hand in self._hands.standing(Stand.RUNNING):
            if hand.running is None:
                continue
            outcome = hand.running.outcome()
            if outcome is None:
                continue
            hand.running = None
            if hand.hand_back and outcome.state is State.KILLED:
                self._return(hand, "the worker stops", now)
            else:
                self._report(hand, outcome, now)

    def _report(self, hand: InHand, outcome: TaskOutcome, now: int) -> None:
        hand.outcome = outcome
        self._hands.move(hand, Stand.REPORTING, now)
        self._send_end(hand, now)

    def _return(self, hand: InHand, reason: str, now: int) -> None:
        hand.outcome = TaskOutcome(State.KILLED, error=reason)
        self._hands.move(hand, Stand.RETURNING, now)
        self._send_end(hand, now)

    def _send_end(self, hand: InHand, now: int) -> None:
        hand.sent = now
        outcome = hand.outcome or TaskOutcome(State.KILLED)
        fence = (hand.job.task_run_id, hand.job.epoch, self.settings.worker_id)
        end: Result | Returned
        if hand.stand is Stand.RETURNING:
            end = Returned(*fence, outcome.error)
        else:
            end = fitting_result(*fence, outcome)
        message = self._router.message(end, traceparent=hand.traceparent)
        self._producer.send(message, lambda error: self._end_acked(hand, error))

    def _end_acked(self, hand: InHand, error: SendError | None) -> None:
        if error is None:
            self._drop(hand)

    def _drop(self, hand: InHand) -> None:
        if self._hands.drop(hand):
            self._ended[hand.fence] = None
            if len(self._ended) > ENDED_KEPT:
                del self._ended[next(iter(self._ended))]

    def _send_again(self, now: int) -> None:
        """Whatever may have gone unheard; each of it may be repeated."""
        for hand in self._hands.standing(Stand.CLAIMING):
            if now - hand.sent >= SEND_AGAIN:
                self._claim(hand, now)
        for hand in self._hands.standing(Stand.REPORTING, Stand.RETURNING):
            if now - hand.sent >= SEND_AGAIN:
                self._send_end(hand, now)

    def _drain(self, now: int) -> None:
        if self._stop_by is None:
            return
        if self._member is not None:
            self._commit()
            self._member.close()
            self._member = None
        if now >= self._stop_by:
            for hand in self._hands.standing(Stand.RUNNING):
                if hand.running is not None and not hand.hand_back:
                    hand.hand_back = True
                    hand.running.kill("the worker stops and its grace period is over")
        if not self._hands:
            self._producer.send(self._router.message(WorkerGone(self.settings.worker_id)))
            self._producer.flush(5.0)
            self.is_done = True

    def close(self) -> None:
        if self._member is not None:
            self._member.close()
        self._producer.flush(2.0)
        self._producer.close()
        self._inbox.close()
