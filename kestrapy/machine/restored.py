"""What the executor's fold keeps of executions that come back from storage, until they go on."""

from __future__ import annotations

import msgspec

from kestrapy.machine.entities import Content, Entity, Execution, TaskRun
from kestrapy.machine.origins import Parent
from kestrapy.model.state import State


class RestoredHead(msgspec.Struct, frozen=True, array_like=True):
    """What an execution is restored as. enters: the state that it enters; None: none. ends_as: in
    which it is to end at once, empty: it goes on.
    """

    execution: Execution
    content: Content
    enters: State | None = None
    ends_as: str = ""


class RestoredRun(msgspec.Struct, frozen=True, array_like=True):
    """A task run, as readers know it but for its scope and error, and what becomes of it.

    enters: RESTARTED (it runs again), RUNNING (its list goes on), or the state it is given; None:
    it stays. removed: it is gone for readers too. fresh: readers have not been told of it yet.
    """

    run: TaskRun
    enters: State | None = None
    removed: bool = False
    fresh: bool = False


class RestoredChild(msgspec.Struct, frozen=True, array_like=True):
    """An execution that a task run had started, as storage has it. ordinal: of the task run.
    iteration: of its batch, -1 of a Subflow's. restoring: of the parts that wait for it, or of none
    that there are. outputs: JSON object.
    """

    ordinal: int
    iteration: int
    execution_id: str
    restoring: str
    state: State
    outputs: str = "{}"


class FormerChild(Entity, frozen=True):
    """A ``RestoredChild`` until its task run comes to it; forgotten at ``until`` (log time, epoch
    ms), should that never be.
    """

    execution_id: str
    restoring: str
    state: State
    outputs: str
    until: int


class Restoring(Entity, frozen=True):
    """An execution is being restored. parts: how many have come; a half-written one is forgotten at
    ``until`` (log time, epoch ms). step: the next one, 0 until all parts are there. parent: who
    wants it. killed: before it could begin.
    """

    restoring: str
    parts: int
    until: int
    head: bytes = b""
    step: int = 0
    parent: Parent | None = None
    killed: bool = False


class RestoredPart(Entity, frozen=True):
    """Task runs that wait for their turn, each an encoded ``RestoredRun``. children: what some of
    them had started, each an encoded ``RestoredChild``.
    """

    runs: tuple[bytes, ...]
    until: int
    children: tuple[bytes, ...] = ()


ENTITIES = (Restoring, RestoredPart, FormerChild)


def restoring_key(execution_id: str) -> str:
    return "r:" + execution_id


def restored_part_key(execution_id: str, part: int) -> str:
    return f"r:{execution_id}:{part}"


def former_child_key(task_run_id: str, iteration: int) -> str:
    return f"f:{task_run_id}:{iteration}"
