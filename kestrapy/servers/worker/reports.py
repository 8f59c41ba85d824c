"""What running jobs tell on the way: their log lines and metrics, to the topics ``logs`` and
``metrics``, and to their worker that they have ended.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping

from kestrapy.machine.outputs import Job, LogEntry, MetricEntry
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import Producer
from kestrapy.servers.router import Router

MESSAGE_LENGTH = 100_000
"""Characters of a log line that are kept; a record has to stay under the log's limit."""


class Reports:
    """The port ``JobSinks``. Safe from any thread: the producer is."""

    def __init__(self, producer: Producer, router: Router, clock: Clock):
        self._producer = producer
        self._router = router
        self._clock = clock
        self._sequence = itertools.count()
        self._ended = threading.Event()

    def log(self, job: Job, level: str, message: str) -> None:
        if len(message) > MESSAGE_LENGTH:
            message = f"{message[:MESSAGE_LENGTH]}… ({len(message)} characters in all)"
        entry = LogEntry(
            execution_id=job.execution_id,
            task_run_id=job.task_run_id,
            epoch=job.epoch,
            attempt=job.attempt,
            sequence=next(self._sequence),
            at=self._clock.wall(),
            level=level,
            message=message,
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

    def ended(self) -> None:
        self._ended.set()

    def await_end(self, patience: int) -> None:
        """Wait until a job has ended since the last call; patience: ms at most. One thread only."""
        if self._ended.wait(patience / 1000):
            self._ended.clear()
