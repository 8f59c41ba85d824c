"""The jobs in a worker's hands.

::

    CLAIMING ──Granted──▶ GRANTED ──slot──▶ RUNNING ──outcome──▶ REPORTING ──ack──▶ (gone)
       │ Refused ▶ (gone)    └─ too late, or the worker stops ─▶ RETURNING ──ack──▶ (gone)
       └ Kill ▶ REPORTING
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from kestrapy.machine.outputs import Job
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.worker.deliveries import Delivery
from kestrapy.servers.worker.running import RunningJob

Fence = tuple[str, int]
"""Task run id and epoch."""


class Stand(Enum):
    """Where a job in hand stands."""

    CLAIMING = "claiming"
    GRANTED = "granted"
    RUNNING = "running"
    REPORTING = "reporting"
    RETURNING = "returning"


@dataclass(slots=True, eq=False)
class InHand:
    """One epoch. since: when it came to stand where it stands. sent: when its claim or end was sent
    last.

    Times: monotonic ms. deliveries: where the job was fetched, until its claim is acked.
    """

    job: Job
    since: int
    stand: Stand = Stand.CLAIMING
    sent: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    claim_acked: bool = False
    running: RunningJob | None = None
    outcome: TaskOutcome | None = None
    hand_back: bool = False
    traceparent: str = ""

    @property
    def fence(self) -> Fence:
        return self.job.task_run_id, self.job.epoch

    def move(self, stand: Stand, now: int) -> None:
        self.stand, self.since = stand, now
