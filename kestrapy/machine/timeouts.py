"""Timeouts of tasks that no worker runs: what is kept of one, and whom it stops.

The time of a run counts from when it begins; a pause of the execution does not stop the clock. Once
it is over, ``overdue`` has killed what the run has started, some with each command: until then
nothing may start within it. What handles its errors, or cleans up, has all the time it takes.
"""

from __future__ import annotations

from kestrapy.machine.entities import Entity, TaskRun
from kestrapy.machine.turn import Turn
from kestrapy.model.registry import Kind


class Timeout(Entity, frozen=True):
    """Of a run that goes on. due: epoch ms of the ``TimerDue`` that is wanted. below: once its time
    is over, the task runs of lower ordinals are still to be looked at; -1 before.
    """

    task_run_id: str
    due: int
    below: int = -1


ENTITIES = (Timeout,)


def timeout_key(task_run_id: str) -> str:
    return "y:" + task_run_id


def begin(turn: Turn, run: TaskRun) -> None:
    """The time of a run counts from here on, if its task has a timeout. That of a Pause is another
    matter: it ends the pause.
    """
    plan = turn.plan(turn.execution(run.execution_id))
    timeout, kind = plan.task(run.task_id).timeout, plan.kind(run.task_id)
    if timeout is not None and kind is not Kind.PAUSE:
        turn.put(timeout_key(run.id), Timeout(run.id, turn.at + max(timeout, 1)))


def end(turn: Turn, run: TaskRun) -> None:
    """Its time does not count any more."""
    if turn.get(timeout_key(run.id), Timeout) is not None:
        turn.drop(timeout_key(run.id))


def is_stopped(turn: Turn, run: TaskRun) -> bool:
    """Whether a run is to be killed: its whole execution, or what a run around it has started."""
    return turn.execution(run.execution_id).killing or is_cut_off(turn, run)


def is_cut_off(turn: Turn, run: TaskRun) -> bool:
    """Whether the time of a run around it is over, and that one's handlers have not begun."""
    if not turn.plan(turn.execution(run.execution_id)).planned(run.task_id).timed:
        return False
    while run.parent >= 0:
        run = turn.run(run.execution_id, run.parent)
        if run.scope is not None and run.scope.overdue:
            return True
    return False
