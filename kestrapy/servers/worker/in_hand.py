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
    killed: since when it is asked to end.
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
    killed: int | None = None
    traceparent: str = ""

    @property
    def fence(self) -> Fence:
        return self.job.task_run_id, self.job.epoch


class Hands:
    """All jobs in hand, by where they stand: a look at one kind costs what there is of it."""

    def __init__(self) -> None:
        self._all: dict[Fence, InHand] = {}
        self._standing: dict[Stand, dict[Fence, InHand]] = {stand: {} for stand in Stand}
        self.youngest = 0
        """When a job moved last, monotonic ms."""

    def __len__(self) -> int:
        return len(self._all)

    def get(self, fence: Fence) -> InHand | None:
        return self._all.get(fence)

    def standing(self, *stands: Stand) -> list[InHand]:
        """Those that stand so, the longest standing first of each."""
        return [hand for stand in stands for hand in self._standing[stand].values()]

    def count(self, stand: Stand) -> int:
        return len(self._standing[stand])

    def younger(self, stand: Stand, since: int) -> int:
        """How many of those that stand so came to it later than ``since``."""
        count = 0
        for hand in reversed(self._standing[stand].values()):
            if hand.since <= since:
                break
            count += 1
        return count

    def add(self, hand: InHand) -> None:
        self._all[hand.fence] = hand
        self._standing[hand.stand][hand.fence] = hand
        self.youngest = hand.since

    def move(self, hand: InHand, stand: Stand, now: int) -> None:
        del self._standing[hand.stand][hand.fence]
        hand.stand, hand.since = stand, now
        self._standing[stand][hand.fence] = hand
        self.youngest = now

    def drop(self, hand: InHand) -> bool:
        """-> whether it was in hand."""
        if self._all.pop(hand.fence, None) is None:
            return False
        del self._standing[hand.stand][hand.fence]
        return True
