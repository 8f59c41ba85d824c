"""The worker: claims jobs of one group, runs what it is granted, and says how it ended.

1. Join: find the inbox's end, then heartbeat; claim nothing before the first heartbeat was acked.
2. Fetch jobs while there is room; claim, start and report them (``custody``).
3. Heartbeat each second. When the lease is over, whatever runs is ended, and this worker id with
it. 4. Drained: claim nothing, let others have what waits, finish what runs, and go on with
heartbeats. 5. Stop: the same for good; finish within the grace period, hand back the rest, say that
it is gone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Literal

from kestrapy.errors import KestrapyError, ProducerDead, RecordRefused
from kestrapy.machine.commands import Heartbeat, WorkerGone
from kestrapy.machine.outputs import Drain, Granted, Kill, Refused
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Log, Partition, SendError, SendFailure
from kestrapy.ports.rarely import Rarely, never
from kestrapy.servers.router import Router
from kestrapy.servers.worker.custody import Custody, Means
from kestrapy.servers.worker.dispatch import ConsumerDispatch, Dispatch, Place, ShareDispatch
from kestrapy.servers.worker.lease import Lease
from kestrapy.servers.worker.reports import Reports
from kestrapy.servers.worker.running import JobRunner, Supervision
from kestrapy.wire.partitioner import partition_for

log = logging.getLogger(__name__)

RETIRE_PATIENCE = 5_000
"""ms for which a worker that stops waits until others have its share of what waits."""
INBOX_BATCH = 500
ANSWER_PACE, FULL_PACE, IDLE_PACE = 1, 10, 100
"""ms between two looks. What is waited for ends the wait: a record, or the end of a task."""
AGAIN_AT_ONCE = 50
"""How often jobs are fetched in one turn, while they leave room."""
LACKING = 20
"""ms of having room and getting no job, after which a heartbeat says so."""
SHORT_TASK = 200
"""ms for which a task's end is looked for most often, while jobs are waited for."""


class LeaseLapsed(KestrapyError):
    """The worker's lease is over: it must end with all of its tasks; the next one has a new id."""


@dataclass(frozen=True)
class WorkerSettings:
    """worker_id: new at each start. instance_id: of the group's static member; stable over
    restarts.

    slots: jobs at once. dispatch: by a consumer group, or by a share group. gone: ids of earlier
    workers of the same supervisor whose tasks are ended. Times: ms.
    """

    worker_id: str
    group: str
    slots: int
    consumer_group: str
    instance_id: str = ""
    dispatch: Literal["consumer", "share"] = "consumer"
    gone: tuple[str, ...] = ()
    heartbeat_interval: int = 1_000
    lease: int = 25_000
    grace: int = 300_000
    version: str = ""
    tags: tuple[str, ...] = ()
    host: str = ""
    rarely: Rarely = never


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
        self.drained = False
        self._log = log_port
        self._router = router
        self._clock = clock
        self._supervision = supervision
        self._producer = log_port.producer()
        self._inbox = log_port.reader()
        self._lease = Lease(settings.lease)
        self._dispatch = _dispatch(settings, log_port, router, clock)
        self._reports = Reports(self._producer, router, clock, settings.worker_id)
        means = Means(
            producer=self._producer,
            router=router,
            runner=runner,
            reports=self._reports,
            dispatch=self._dispatch,
            holds_lease=lambda: self._lease.is_held(clock.boottime()),
            rarely=settings.rarely,
        )
        self._custody = Custody(settings.worker_id, settings.slots, means)
        self._started = clock.wall()
        self._joined = self._retired = False
        self._beat_due = 0
        self._beats = 0
        self._said_free = 0
        self._lacking: int | None = None
        self._stopped: int | None = None

    @property
    def running(self) -> int:
        """Jobs that run now."""
        return self._custody.running

    @property
    def state(self) -> str:
        """RUNNING, DRAINED (claims no more) or TERMINATING."""
        if self._stopped is not None:
            return "TERMINATING"
        return "DRAINED" if self.drained else "RUNNING"

    def lease_problem(self) -> str | None:
        """None while the lease is held."""
        return None if self._lease.is_held(self._clock.boottime()) else "no heartbeat was acked"

    # Its life

    def stop(self, now: int) -> None:
        """Claim no more; what runs has the grace period to end."""
        if self._stopped is None:
            self._stopped = now
            self._beat_due = now
            in_hand = len(self._custody.hands)
            log.info("worker %s stops, %d in hand", self.settings.worker_id, in_hand)

    def tick(self, now: int, patience: int = 0) -> int:
        """patience: ms to wait for records. -> next wake-up, monotonic ms. Raises LeaseLapsed."""
        self._require_lease(now)
        if not self._joined:
            self._join()
        self._beat(now)
        self._producer.poll()
        if self._lease.is_held(self._clock.boottime()):
            self._work(now, patience)
        self._producer.poll()
        return now + self._pace(now)

    def _work(self, now: int, patience: int) -> None:
        custody = self._custody
        room = custody.room(now) if self.state == "RUNNING" else 0
        if self._awaits_ends(room):
            self._reports.await_end(patience)
            now, patience = self._clock.monotonic(), 0
        jobs_first = room > 0 and not custody.awaits_answers
        self._read_inbox(0 if jobs_first else patience)
        custody.collect(now)
        custody.start_granted(now, stopping=self._stopped is not None)
        if self.state == "RUNNING":
            self._retired = False
            self._fetch(room, now, patience if jobs_first else 0)
            self._say_what_is_free(self._clock.monotonic())
        custody.send_again(now)
        self._dispatch.commit()
        if self.state != "RUNNING":
            self._retire(now)

    def _fetch(self, room: int, now: int, patience: int) -> None:
        """Claim jobs until there is no room. What comes again and has ended here takes none: it
        must not cost a turn each.
        """
        for _ in range(AGAIN_AT_ONCE):
            records = self._dispatch.fetch(room, now, patience)
            for record in records:
                self._custody.deliver(record, now)
                self._said_free = max(0, self._said_free - 1)
            room, patience = self._custody.room(now), 0
            if not records or room <= 0:
                return

    def _awaits_ends(self, room: int) -> bool:
        """Whether the next thing to happen is a task's end: no job is wanted, and no answer."""
        return room <= 0 and self.running > 0 and not self._custody.awaits_answers

    def _say_what_is_free(self, now: int) -> None:
        """Jobs may wait at busy workers: who has room and gets none lets it be known, at once."""
        if self._custody.awaits_answers or self._custody.room(now) <= self._said_free:
            self._lacking = None
        elif self._lacking is None:
            self._lacking = now
        elif now - self._lacking >= LACKING:
            self._beat_due = now

    def _pace(self, now: int) -> int:
        """ms until the next look: an answer, or the end of a short task, is not kept waiting.

        Where only ends are awaited, they end the wait themselves.
        """
        custody = self._custody
        if custody.awaits_answers:
            return ANSWER_PACE
        if self._lacking is not None or self._awaits_ends(custody.room(now)):
            return FULL_PACE
        if not custody.hands:
            return IDLE_PACE
        return ANSWER_PACE if now - custody.hands.youngest < SHORT_TASK else FULL_PACE

    def _require_lease(self, now: int) -> None:
        if self._lease.is_over(self._clock.boottime()):
            self._custody.end_all("the worker's lease is over", now, hand_back=False)
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
        self._lacking = None
        self._said_free = self._custody.room(now) if self.state == "RUNNING" else 0
        sent = self._clock.boottime()
        beat = Heartbeat(
            worker_id=self.settings.worker_id,
            sequence=self._beats,
            worker_group=self.settings.group,
            slots=self.settings.slots,
            running=self.running,
            version=self.settings.version,
            tags=list(self.settings.tags),
            state=self.state,
            host=self.settings.host,
            started=self._started,
            free=self._said_free,
            partition=self._dispatch.partition,
        )
        self._producer.send(self._router.message(beat), lambda error: self._beat_acked(sent, error))

    def _beat_acked(self, sent: int, error: SendError | None) -> None:
        if error is not None and error.failure is SendFailure.DEAD:
            raise ProducerDead(f"nothing can be sent any more: {error.detail}")
        if error is None and self._lease.renew(sent, self._clock.boottime()):
            self._supervision.renew(self._lease.until or 0)

    def _read_inbox(self, patience: int) -> None:
        now = self._clock.monotonic()
        limit = 1 if self.settings.rarely("reads one answer") else INBOX_BATCH
        for record in self._inbox.poll(limit, patience / 1000):
            try:
                kinds = (Granted, Refused, Kill, Drain)
                said = self._router.codec.decode(record, kinds).record
            except RecordRefused as refusal:
                self._custody.dead_letter(record, str(refusal))
                continue
            if said.worker_id != self.settings.worker_id:
                continue
            if isinstance(said, Drain):
                self._drain(said.drained, now)
            else:
                self._custody.answered(said, now)

    def _drain(self, drained: bool, now: int) -> None:
        if drained != self.drained:
            self.drained = drained
            self._beat_due = now  # whoever asked sees it at once
            log.info("worker %s: %s", self.settings.worker_id, self.state)

    def _retire(self, now: int) -> None:
        """Others get what waits. A worker that stops ends when nothing is in hand any more."""
        if not self._retired or self._stopped is None:
            self._retired = self._dispatch.retire(now)
        if self._stopped is None:
            return
        if now - self._stopped >= self.settings.grace:
            self._custody.end_all(
                "the worker stops and its grace period is over", now, hand_back=True
            )
        settled = self._retired or now - self._stopped >= RETIRE_PATIENCE
        if settled and not self._custody.hands:
            self._dispatch.close()
            if not self._custody.stuck:  # else it would be said that none of its tasks runs
                self._producer.send(self._router.message(WorkerGone(self.settings.worker_id)))
            self._producer.flush(5.0)
            self.is_done = True

    def close(self) -> None:
        self._dispatch.close()
        self._producer.flush(2.0)
        self._producer.close()
        self._inbox.close()


def _dispatch(settings: WorkerSettings, log_port: Log, router: Router, clock: Clock) -> Dispatch:
    topics = router.catalogue
    place = Place(
        settings.consumer_group, topics.jobs(settings.group), topics.inbox, settings.instance_id
    )
    if settings.dispatch == "share":
        return ShareDispatch(log_port, place)
    return ConsumerDispatch(log_port, place, clock)
