"""What is said of executions that have ended and go on, and of task runs that are given a state."""

from __future__ import annotations

from kestrapy.machine.records import Internal
from kestrapy.model.state import State


class ExecutionRestored(Internal, frozen=True):
    """A part of an ended execution, written back into the log by somebody who reads storage.

    restoring: id of this attempt; its parts are numbered from 0, one of them is the last. number:
    of the newest event that storage had, by which an old picture is told. head: in part 0, runs: in
    any, as ``pictures`` packs them. execution_id: the same one, or that of a new execution.

    held: all parts wait for the word of a parent (``ChildWanted``). children: what the task runs
    that run again had started, each a ``RestoredChild``.
    """

    execution_id: str
    restoring: str
    part: int
    last: bool
    number: int = -1
    head: bytes = b""
    runs: tuple[bytes, ...] = ()
    held: bool = False
    children: tuple[bytes, ...] = ()


class RestoringContinued(Internal, frozen=True):
    """Of the fold to itself: the next step of a restoring, from 1. Each part has two."""

    execution_id: str
    restoring: str
    step: int


class TaskRunMarked(Internal, frozen=True):
    """Let a paused task run go on, or end it in a state."""

    task_run_id: str
    state: State
