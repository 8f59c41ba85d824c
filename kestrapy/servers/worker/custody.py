"""The jobs in a worker's hands, from delivery to the end that stands in the log.

A job is claimed when it is delivered, started when it is granted and a slot is free, each epoch at
most once, and its end is said until that is acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kestrapy.errors import RecordRefused
from kestrapy.machine.commands import Claimed, Result, Returned
from kestrapy.machine.outputs import Granted, Job, Kill, Refused
from kestrapy.model.state import State
from kestrapy.ports.log import Producer, Record, SendError
from kestrapy.ports.rarely import Rarely, never
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.router import Router
from kestrapy.servers.worker.dispatch import Dispatch, delivery_of
from kestrapy.servers.worker.in_hand import Fence, Hands, InHand, Stand
from kestrapy.servers.worker.pace import Pace
from kestrapy.servers.worker.reports import Reports
from kestrapy.servers.worker.results import fitting_result
from kestrapy.servers.worker.running import JobRunner, RunningJob
from kestrapy.wire.dead_letters import letter_of

CLAIM_PATIENCE = 1_000
"""ms after which a claim without an answer takes no slot any more."""
SEND_AGAIN = 2_000
KILL_PATIENCE = 30_000
"""ms after which a kill that its task does not answer is reported as if it did."""
ENDED_KEPT = 50_000
"""Epochs whose end is remembered: a replayed grant or job of one starts nothing."""


@dataclass(frozen=True)
class Means:
    """What jobs are claimed, run and reported with. holds_lease: whether tasks may be started.
    rarely: see ``ports.rarely``.
    """

    producer: Producer
    router: Router
    runner: JobRunner
    reports: Reports
    dispatch: Dispatch
    holds_lease: Callable[[], bool]
    rarely: Rarely = never


class Custody:
    """One worker's. Times: monotonic ms."""

    def __init__(self, worker_id: str, slots: int, means: Means):
        self.hands = Hands()
        self._worker_id = worker_id
        self._slots = slots
        self._means = means
        self._pace = Pace()
        self._ended: dict[Fence, None] = {}
        self._stuck: list[RunningJob] = []

    @property
    def running(self) -> int:
        """Slots that are taken by what runs."""
        return self.hands.count(Stand.RUNNING) + len(self._stuck)

    @property
    def stuck(self) -> int:
        """Tasks that were reported as killed and run all the same."""
        return len(self._stuck)

    @property
    def awaits_answers(self) -> bool:
        return self.hands.count(Stand.CLAIMING) > 0

    def room(self, now: int) -> int:
        """How many jobs may be claimed: the free slots, and one ahead while runs are short."""
        taken = (
            self.running
            + self.hands.count(Stand.GRANTED)
            + self.hands.younger(Stand.CLAIMING, now - CLAIM_PATIENCE)
        )
        ages = (now - hand.since for hand in self.hands.standing(Stand.RUNNING))
        return max(0, self._slots + self._pace.ahead(ages) - taken)

    # Claims

    def deliver(self, record: Record, now: int) -> None:
        """Claim a job that was fetched."""
        delivery = delivery_of(record)
        try:
            envelope = self._means.router.codec.decode(record, (Job,))
        except RecordRefused as refusal:
            self.dead_letter(record, str(refusal))
            self._means.dispatch.done(delivery)
            return
        job: Job = envelope.record
        fence = job.task_run_id, job.epoch
        hand = self.hands.get(fence)
        if fence in self._ended or (hand is not None and hand.claim_acked):
            self._means.dispatch.done(delivery)
        elif hand is not None:
            hand.deliveries.append(delivery)
        else:
            hand = InHand(job, now, deliveries=[delivery], traceparent=envelope.traceparent)
            self.hands.add(hand)
            self._claim(hand, now)

    def dead_letter(self, record: Record, reason: str) -> None:
        self._means.producer.send(self._means.router.message(letter_of(record, reason)))

    def _claim(self, hand: InHand, now: int) -> None:
        hand.sent = now
        claimed = Claimed(hand.job.task_run_id, hand.job.epoch, self._worker_id)
        message = self._means.router.message(claimed, traceparent=hand.traceparent)
        self._means.producer.send(message, lambda error: self._claim_acked(hand, error))

    def _claim_acked(self, hand: InHand, error: SendError | None) -> None:
        """Also when an answer came: it proves that the claim is in the log."""
        if error is None:
            hand.claim_acked = True
            for delivery in hand.deliveries:
                self._means.dispatch.done(delivery)
            hand.deliveries.clear()

    # Answers

    def answered(self, answer: Granted | Refused | Kill, now: int) -> None:
        hand = self.hands.get((answer.task_run_id, answer.epoch))
        if hand is None:
            return  # a repeated answer, acted upon before
        self._claim_acked(hand, None)
        if isinstance(answer, Kill):
            self._kill(hand, now)
        elif hand.stand is not Stand.CLAIMING:
            return
        elif isinstance(answer, Granted):
            self.hands.move(hand, Stand.GRANTED, now)
        else:
            self._drop(hand)

    def _kill(self, hand: InHand, now: int) -> None:
        """A kill in the inbox says that the epoch is this worker's, even where the grant was
        missed.
        """
        if hand.running is not None:
            hand.hand_back = False
            self._end_running(hand, "it was killed", now)
        elif hand.stand in (Stand.CLAIMING, Stand.GRANTED):
            self._report(hand, TaskOutcome(State.KILLED), now)

    def start_granted(self, now: int, *, stopping: bool) -> None:
        free = self._slots - self.running
        for hand in self.hands.standing(Stand.GRANTED):
            if stopping:
                self._return(hand, "the worker stops", now)
            elif self._means.rarely("grant handed back"):
                self._return(hand, "a return that nobody needs", now)
            elif free > 0:
                free -= 1
                self._start(hand, now)
            elif now - hand.since > self._pace.surplus_patience:
                self._return(hand, "no free slot", now)

    def _start(self, hand: InHand, now: int) -> None:
        if not self._means.holds_lease():
            return
        self.hands.move(hand, Stand.RUNNING, now)
        hand.running = self._means.runner.start(hand.job, self._means.reports, hand.traceparent)

    # Ends

    def end_all(self, reason: str, now: int, *, hand_back: bool) -> None:
        """Kill what runs, once. hand_back: what is killed by it may run elsewhere."""
        for hand in self.hands.standing(Stand.RUNNING):
            if hand.running is not None and not hand.hand_back:
                hand.hand_back = hand_back
                self._end_running(hand, reason, now)

    def _end_running(self, hand: InHand, reason: str, now: int) -> None:
        if hand.killed is None:
            hand.killed = now
        if hand.running is not None:
            hand.running.kill(reason)

    def collect(self, now: int) -> None:
        """Report what has ended."""
        self._stuck = [it for it in self._stuck if it.outcome() is None]
        for hand in self.hands.standing(Stand.RUNNING):
            if hand.running is None:
                continue
            outcome = hand.running.outcome()
            if outcome is not None and self._means.reports.are_heard(hand.fence):
                self._ended_with(hand, outcome, now)
            elif outcome is None and hand.killed is not None and now - hand.killed >= KILL_PATIENCE:
                self._give_up(hand, hand.running, now)

    def _ended_with(self, hand: InHand, outcome: TaskOutcome, now: int) -> None:
        hand.running = None
        self._pace.note(now - hand.since)
        if hand.hand_back and outcome.state is State.KILLED:
            self._return(hand, "the worker stops", now)
        else:
            self._report(hand, outcome, now)

    def _give_up(self, hand: InHand, running: RunningJob, now: int) -> None:
        """The task goes on in spite of its kill: it keeps its slot, its epoch ends as killed."""
        hand.running = None
        self._stuck.append(running)
        error = (
            f"killed, but the task did not end within {KILL_PATIENCE // 1000} s: it may still run"
            f" in worker {self._worker_id}, where it keeps its slot until it ends"
        )
        if hand.hand_back:
            self._drop(hand)  # never handed back: it would run twice; the worker is lost with it
        else:
            self._report(hand, TaskOutcome(State.KILLED, error=error), now)

    def _report(self, hand: InHand, outcome: TaskOutcome, now: int) -> None:
        hand.outcome = outcome
        self.hands.move(hand, Stand.REPORTING, now)
        self._send_end(hand, now)

    def _return(self, hand: InHand, reason: str, now: int) -> None:
        hand.outcome = TaskOutcome(State.KILLED, error=reason)
        self.hands.move(hand, Stand.RETURNING, now)
        self._send_end(hand, now)

    def _send_end(self, hand: InHand, now: int) -> None:
        hand.sent = now
        outcome = hand.outcome or TaskOutcome(State.KILLED)
        fence = (hand.job.task_run_id, hand.job.epoch, self._worker_id)
        end: Result | Returned
        if hand.stand is Stand.RETURNING:
            end = Returned(*fence, outcome.error)
        else:
            end = fitting_result(*fence, outcome)
        message = self._means.router.message(end, traceparent=hand.traceparent)
        self._means.producer.send(message, lambda error: self._end_acked(hand, error))

    def _end_acked(self, hand: InHand, error: SendError | None) -> None:
        if error is None:
            self._drop(hand)

    def _drop(self, hand: InHand) -> None:
        if self.hands.drop(hand):
            self._ended[hand.fence] = None
            if len(self._ended) > ENDED_KEPT:
                del self._ended[next(iter(self._ended))]

    def send_again(self, now: int) -> None:
        """Whatever may have gone unheard; each of it may be repeated."""
        self._means.reports.send_again()
        for hand in self.hands.standing(Stand.CLAIMING):
            if now - hand.sent >= SEND_AGAIN or self._means.rarely("claim sent again"):
                self._claim(hand, now)
        for hand in self.hands.standing(Stand.REPORTING, Stand.RETURNING):
            if now - hand.sent >= SEND_AGAIN:
                self._send_end(hand, now)
