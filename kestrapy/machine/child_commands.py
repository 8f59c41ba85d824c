"""What a task run and the executions that it has started, its children, tell each other."""

from __future__ import annotations

from kestrapy.machine.origins import Parent
from kestrapy.machine.records import Internal
from kestrapy.model.state import State


class ChildReported(Internal, frozen=True):
    """An execution that a task run started has ended, or, where its parent does not wait for that,
    has started: then state is RUNNING.

    outputs: JSON object. error: for people. refused: it could not start, or its outputs can't be
    had. following: with RETRIED, the execution that takes its place, and will report itself.
    restoring: as its ``Parent`` has it. missing: it was wanted again, and can't go on.
    """

    task_run_id: str
    execution_id: str
    iteration: int
    state: State
    outputs: str = "{}"
    error: str = ""
    refused: bool = False
    following: str = ""
    restoring: str = ""
    missing: bool = False


class ChildWanted(Internal, frozen=True):
    """A task run that was restarted wants an execution that it had started before: one that has
    ended goes on from the parts that wait for this word, one that lives reports its end to it.
    """

    execution_id: str
    parent: Parent
