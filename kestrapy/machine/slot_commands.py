"""What executions, and the limit of their flow, say to each other about slots.

restarts: of the execution when it asked. One that was restarted is told apart by it from what it
was before: a word about an earlier seat has no effect.
"""

from __future__ import annotations

from kestrapy.machine.records import Internal


class SlotWanted(Internal, frozen=True):
    """An execution asks to run. limit: as the revision of its flow says. waits: whether it stands
    in line where no slot is free. forced: it gets one in any case.
    """

    namespace: str
    flow_id: str
    execution_id: str
    revision: int
    limit: int
    waits: bool
    forced: bool = False
    restarts: int = 0


class SlotReleased(Internal, frozen=True):
    """An execution that asked for a slot is over."""

    namespace: str
    flow_id: str
    execution_id: str
    restarts: int = 0


class SlotGranted(Internal, frozen=True):
    """An execution may run within its flow's concurrency limit. more: others may be granted one at
    once: it asks again, and they are.
    """

    execution_id: str
    namespace: str
    flow_id: str
    more: bool = False
    restarts: int = 0


class SlotDenied(Internal, frozen=True):
    """No slot is free just now. limit: the flow's. holding, ahead: executions that hold a slot, or
    wait before this one.
    """

    execution_id: str
    limit: int
    holding: int
    ahead: int
    restarts: int = 0


class ForceRun(Internal, frozen=True):
    """Let a queued execution run, whatever its flow's concurrency limit says."""

    execution_id: str
