"""What running jobs tell on the way: their log lines and metrics, to the topics ``logs`` and
``metrics``, and to their worker that they have ended.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from functools import partial

from kestrapy.machine.commands import TaskReport
from kestrapy.machine.outputs import Job, LogEntry, MetricEntry
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Message, Producer, SendError, SendFailure
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.router import Router
from kestrapy.servers.worker.in_hand import Fence
from kestrapy.servers.worker.results import fitting

MESSAGE_LENGTH = 100_000
"""Characters of a log message that are kept."""
LINE_LENGTH = 4_096
"""Characters of a log line: a longer message is several lines of the same time, so that neither a
record nor a reader's page grows with it.
"""


class Reports:
    """The port ``JobSinks``. Safe from any thread: the producer is."""

    def __init__(self, producer: Producer, router: Router, clock: Clock, worker_id: str = ""):
        self._producer = producer
        self._router = router
        self._clock = clock
        self._sequence = itertools.count()
        self._ended = threading.Event()
        self._worker_id = worker_id
        self._lock = threading.Lock()
        self._unheard: dict[Fence, dict[int, Message]] = {}
        self._failed: list[tuple[Fence, int]] = []

    def log(self, job: Job, level: str, message: str) -> None:
        if len(message) > MESSAGE_LENGTH:
            message = f"{message[:MESSAGE_LENGTH]}… ({len(message)} characters in all)"
        at = self._clock.wall()
        for begin in range(0, max(len(message), 1), LINE_LENGTH):
            entry = LogEntry(
                execution_id=job.execution_id,
                task_run_id=job.task_run_id,
                epoch=job.epoch,
                attempt=job.attempt,
                sequence=next(self._sequence),
                at=at,
                level=level,
                message=message[begin : begin + LINE_LENGTH],
                namespace=job.namespace,
                flow_id=job.flow_id,
                task_id=job.task_id,
            )
            self._producer.send(self._router.message(entry))

    def metric(self, job: Job, name: str, kind: str, value: float, tags: Mapping[str, str]) -> None:
        entry = MetricEntry(
            execution_id=job.execution_id,
            task_run_id=job.task_run_id,
            epoch=job.epoch,
            sequence=next(self._sequence),
            at=self._clock.wall(),
            name=name,
            kind=kind,
            value=value,
            tags=dict(tags),
            namespace=job.namespace,
            flow_id=job.flow_id,
            task_id=job.task_id,
        )
        self._producer.send(self._router.message(entry))

    def child(self, job: Job, place: int, attempt: int, outcome: TaskOutcome) -> TaskOutcome:
        """Sent until it is acked: see ``are_heard`` and ``send_again``."""
        state, outputs, error = fitting(outcome)
        fence, number = (job.task_run_id, job.epoch), next(self._sequence)
        record = TaskReport(
            *fence, self._worker_id, place, attempt, state, outputs, error, outcome.log_file
        )
        with self._lock:
            message = self._router.message(record)
            self._unheard.setdefault(fence, {})[number] = message
        self._producer.send(message, lambda failure: self._acked(fence, number, failure))
        return outcome if state is outcome.state else TaskOutcome(state, error=error)

    def _acked(self, fence: Fence, number: int, failure: SendError | None) -> None:
        with self._lock:
            unheard = self._unheard.get(fence, {})
            if failure is None or failure.failure is SendFailure.TOO_LARGE:
                unheard.pop(number, None)
            elif number in unheard:
                self._failed.append((fence, number))
            if not unheard:
                self._unheard.pop(fence, None)

    def are_heard(self, fence: Fence) -> bool:
        """Whether all that was reported of a job's children stands in the log."""
        with self._lock:
            return fence not in self._unheard

    def send_again(self) -> None:
        """What was not acked. From the worker's own thread."""
        with self._lock:
            failed, self._failed = self._failed, []
            again = [(it, self._unheard[it[0]][it[1]]) for it in failed if it[0] in self._unheard]
        for (fence, number), message in again:
            self._producer.send(message, partial(self._acked, fence, number))

    def ended(self) -> None:
        self._ended.set()

    def await_end(self, patience: int) -> None:
        """Wait until a job has ended since the last call; patience: ms at most. One thread only."""
        if self._ended.wait(patience / 1000):
            self._ended.clear()
