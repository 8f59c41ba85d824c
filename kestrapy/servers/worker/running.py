"""What a worker needs of whatever runs its jobs, and of its supervisor. In a simulation: virtual
ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from kestrapy.machine.outputs import Job
from kestrapy.ports.tasks import TaskOutcome


class RunningJob(Protocol):
    """A job's task, started."""

    def outcome(self) -> TaskOutcome | None:
        """How it ended, None while it runs. Its processes are gone once there is an outcome."""

    def kill(self, reason: str) -> None:
        """End it soon; the outcome is KILLED where it had none yet."""


class JobSinks(Protocol):
    """Where a running job's logs, its metrics and its end are told; called from any thread."""

    def log(self, job: Job, level: str, message: str) -> None: ...

    def metric(
        self, job: Job, name: str, kind: str, value: float, tags: Mapping[str, str]
    ) -> None: ...

    def child(self, job: Job, place: int, attempt: int, outcome: TaskOutcome) -> TaskOutcome:
        """How a task of a WorkingDirectory goes; its state is RUNNING or RETRYING meanwhile.

        -> what counts: one whose outputs fit into no record is FAILED.
        """

    def ended(self) -> None:
        """A job has an outcome now: whoever waits for one looks at once."""


class JobRunner(Protocol):
    def start(self, job: Job, sinks: JobSinks, traceparent: str) -> RunningJob:
        """Never raises for what the job is at fault for: that is its outcome."""


class Supervision(Protocol):
    """The supervisor, as its worker sees it."""

    def announce(self, worker_id: str) -> None:
        """This process is that worker: when it dies, the next one is told."""

    def settle(self, worker_ids: Sequence[str]) -> None:
        """It stands in the log that these earlier workers are gone: the next one needn't say it."""

    def renew(self, until: int) -> None:
        """Worker and tasks may live until this boot time, ms."""
