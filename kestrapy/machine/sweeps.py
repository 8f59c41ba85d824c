"""Walks over the task runs of an execution: some of them per command, so that no command's work
grows with their number.

A walk is an entity with a due time; while it is under way everything else goes on. It goes from the
last task run to the first: children come after their parents, so each list is empty when its owner
is met, and the values of a run are found through those around it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kestrapy.machine import (
    blocks,
    flowables,
    groups,
    halts,
    subflows,
    task_runs,
    timeouts,
    transitions,
)
from kestrapy.machine.entities import (
    Sweep,
    TaskRun,
    last_run_key,
    run_key,
    sweep_key,
    valued_run_key,
)
from kestrapy.machine.outputs import Kill
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import values_of
from kestrapy.model.registry import CALLS
from kestrapy.model.state import State

SLICE = 100
"""Task runs that one command changes."""
GLANCES = 1_000
"""Task runs that one command looks at: most have ended."""
KILL, BREAK, FORGET = "kill", "break", "forget"
replace = msgspec.structs.replace


def under_way(turn: Turn, execution_id: str) -> Sweep | None:
    return turn.get(sweep_key(execution_id), Sweep)


def is_breaking(turn: Turn, execution_id: str) -> bool:
    """Whether the rules failed upon it: nothing counts any more that is said about it."""
    sweep = under_way(turn, execution_id)
    return sweep is not None and sweep.kind == BREAK


def begin(turn: Turn, execution_id: str, kind: str, count: int) -> bool:
    """The first slice, in place of any other walk over this execution. count: of its task runs.
    -> whether it was the last one.
    """
    stop(turn, execution_id)
    return go_on(turn, Sweep(kind, execution_id, count))


def stop(turn: Turn, execution_id: str) -> None:
    if under_way(turn, execution_id) is not None:
        turn.drop(sweep_key(execution_id))


def go_on(turn: Turn, sweep: Sweep) -> bool:
    """The next slice. -> whether it was the last one."""
    met = Slice(turn, sweep.execution_id, sweep.below, ended=sweep.kind == FORGET)
    for run in met:
        if sweep.kind == KILL:
            kill(turn, run)
        elif subflows.drop(turn, run):
            met.stay()
        elif sweep.kind == BREAK:
            _break(turn, turn.run(run.execution_id, run.ordinal))
        else:
            _forget(turn, run)
    forgets = sweep.kind == FORGET and not met.below
    if met.below or (forgets and halts.forget(turn, sweep.execution_id, SLICE)):
        following = replace(sweep, below=met.below, due=max(turn.at, sweep.due) + 1)
        turn.put(sweep_key(sweep.execution_id), following)
        return False
    stop(turn, sweep.execution_id)
    return True


class Slice:
    """The task runs that one command of a walk changes, of ordinals below ``below`` and not below
    ``first``; below: then where the next one begins. ended: those that have ended as well.
    """

    def __init__(
        self, turn: Turn, execution_id: str, below: int, first: int = 0, *, ended: bool = False
    ):
        self.below = below
        self._turn = turn
        self._execution_id = execution_id
        self._first = first
        self._ended = ended
        self._stays = False

    def __iter__(self) -> Iterator[TaskRun]:
        changed, last = 0, max(self._first, self.below - GLANCES)
        while self.below > last and changed < SLICE and not self._stays:
            self.below -= 1
            run = self._turn.find_run(self._execution_id, self.below)
            if run is None or (run.state.is_terminal and not self._ended):
                continue
            changed += 1
            yield run

    def stay(self) -> None:
        """There is more to do for the run that was met last: the next command goes on with it."""
        self.below += 1
        self._stays = True


def kill(turn: Turn, run: TaskRun) -> None:
    ended = kill_run(turn, run)
    if ended is not None:
        blocks.end(turn, turn.run(run.execution_id, run.ordinal), ended)


def kill_run(turn: Turn, run: TaskRun) -> State | None:
    """-> the state in which it ends now; None: it waits for its worker, or for its children."""
    if run.scope is None:
        return None if run.state is State.KILLING else task_runs.kill(turn, run)
    execution = turn.execution(run.execution_id)
    if run.state is not State.KILLING:
        if run.state is State.PAUSED:
            flowables.count_paused(turn, run.execution_id, -1)
        history = transitions.enter(transitions.TASK_RUN, run.history, State.KILLING, turn.at)
        run = turn.put_run(replace(run, history=history, due=0))
        if turn.plan(execution).kind(run.task_id) in CALLS:
            run = subflows.kill(turn, run)
    if run.scope is not None and run.scope.open:
        return None
    ends_as = State(execution.ends_as or State.KILLED)
    return State.KILLED if ends_as is State.RETRIED else ends_as


def _break(turn: Turn, run: TaskRun) -> None:
    """It ends here and now: nobody may ask the rules any more what becomes of it."""
    run = _let_go(turn, run)
    timeouts.end(turn, run)
    scope = None if run.scope is None else replace(run.scope, open=0)
    history = run.history.enter(State.FAILED, turn.at)
    turn.put_run(replace(run, history=history, due=0, scope=scope))
    turn.touch(run.execution_id)


def _let_go(turn: Turn, run: TaskRun) -> TaskRun:
    """No worker holds it any more, no line has it."""
    if run.state in task_runs.HELD_STATES and run.worker_id:
        task_runs.release(turn, run)
        turn.emit(Kill(run.worker_id, run.id, run.epoch))
    elif run.is_waiting:
        run = groups.stop_waiting(turn, run)
    return run


def _forget(turn: Turn, run: TaskRun) -> None:
    """One that has not ended is left by a quarantine that failed too."""
    if not run.state.is_terminal:
        run = _let_go(turn, run)
    timeouts.end(turn, run)
    turn.drop(run_key(run.id))
    turn.drop(last_run_key(run.execution_id, run.task_id))
    if values := values_of(turn, run):
        turn.drop(valued_run_key(run.execution_id, run.task_id, values))
    flowables.drop_values(turn, run)
