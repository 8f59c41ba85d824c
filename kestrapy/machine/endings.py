"""Executions go on, and end: by their last task, by a kill, by a bug.

Nothing stays of one that has ended but a marker, by which late commands are known.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kestrapy.errors import ExpressionError
from kestrapy.language.outputs import resolve_outputs
from kestrapy.machine import blocks, flowables, groups, task_runs, transitions
from kestrapy.machine.commands import ExecutionEnded
from kestrapy.machine.entities import (
    Ended,
    Execution,
    Scope,
    content_key,
    execution_key,
    last_run_key,
    run_key,
    valued_run_key,
)
from kestrapy.machine.lists import ROOT
from kestrapy.machine.outputs import Kill
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import values_of, variables_of
from kestrapy.model.state import State

AFTER = "afterExecution"
"""The block of an execution that has its terminal state."""

ENDED_KEPT = 10 * 60 * 1000
"""ms for which an ended execution is known: its late claims are refused all the same afterwards."""
replace = msgspec.structs.replace


def advance(turn: Turn, execution_id: str, owner: int) -> None:
    turn.touch(execution_id)
    ended = blocks.advance(turn, execution_id, owner)
    execution = turn.execution(execution_id)
    if ended is None:
        if execution.killing and execution.history.current in (State.RUNNING, State.PAUSED):
            kill_rest(turn, execution_id)
    elif execution.history.current.is_terminal:
        _forget(turn, execution_id)
    else:
        end(turn, execution_id, ended)


def end(turn: Turn, execution_id: str, state: State) -> None:
    """The terminal state, with the flow's outputs; then the tasks that run after all."""
    execution = turn.execution(execution_id)
    if state in (State.SUCCESS, State.WARNING):
        try:
            outputs = msgspec.json.encode(_outputs(turn, execution)).decode()
            execution = replace(execution, outputs=outputs)
        except ExpressionError as error:
            state = State.FAILED
            execution = replace(execution, error=str(error))
    has_begun = execution.history.current is not State.CREATED
    history = transitions.enter(transitions.EXECUTION, execution.history, state, turn.at)
    execution = turn.put_execution(replace(execution, history=history, awaits=""))
    if has_begun and turn.plan(execution).tasks("", AFTER):
        turn.put_execution(replace(execution, scope=Scope(block=AFTER), killing=False))
        advance(turn, execution_id, ROOT)
    else:
        _forget(turn, execution_id)


def _outputs(turn: Turn, execution: Execution) -> dict[str, Any]:
    plan = turn.plan(execution)
    if not plan.flow.outputs:
        return {}
    variables = variables_of(turn, execution, plan, plan.output_reads, None)
    return resolve_outputs(plan.flow, variables)


def _forget(turn: Turn, execution_id: str) -> None:
    """All is told of an execution that has ended; nothing stays of it but a marker."""
    execution = turn.execution(execution_id)
    state = execution.history.current
    trigger = turn.content(execution_id).trigger
    if trigger is not None and trigger.uid:
        turn.emit(ExecutionEnded(trigger.uid, execution_id, state), execution_id)
    turn.touch(execution_id)
    turn.close(execution_id)
    for ordinal in reversed(range(execution.count)):  # parents last: values are found through them
        run = turn.run(execution_id, ordinal)
        turn.drop(run_key(run.id))
        turn.drop(last_run_key(execution_id, run.task_id))
        if values := values_of(turn, run):
            turn.drop(valued_run_key(execution_id, run.task_id, values))
        flowables.drop_values(turn, run)
    turn.drop(content_key(execution_id))
    turn.put(execution_key(execution_id), Ended(state, turn.at + ENDED_KEPT))


def kill_rest(turn: Turn, execution_id: str) -> None:
    """Of an execution that is stopped, what still runs."""
    execution = turn.execution(execution_id)
    if not execution.history.current.is_terminal:
        history = transitions.enter(
            transitions.EXECUTION, execution.history, State.KILLING, turn.at
        )
        turn.put_execution(replace(execution, history=history))
    _kill_runs(turn, execution_id, execution.count, State(execution.ends_as))


def _kill_runs(turn: Turn, execution_id: str, count: int, state: State) -> None:
    """Children come after their parents: from the last run on, each list is empty when its owner is
    met.
    """
    for ordinal in reversed(range(count)):
        run = turn.run(execution_id, ordinal)
        if run.state.is_terminal:
            continue
        if run.scope is not None:
            history = transitions.enter(transitions.TASK_RUN, run.history, State.KILLING, turn.at)
            run = turn.put_run(replace(run, history=history, due=0))
            ended = state if run.scope is not None and run.scope.open == 0 else None
        else:
            ended = task_runs.kill(turn, run)
        if ended is not None:
            blocks.end(turn, turn.run(execution_id, ordinal), ended)
    advance(turn, execution_id, ROOT)


def break_off(turn: Turn, execution_id: str, reason: str) -> None:
    """End an execution that the rules failed upon."""
    execution = turn.execution(execution_id)
    for ordinal in range(execution.count):
        run = turn.run(execution_id, ordinal)
        if run.state in task_runs.HELD_STATES and run.worker_id:
            task_runs.release(turn, run)
            turn.emit(Kill(run.worker_id, run.id, run.epoch), execution_id)
        elif run.is_waiting:
            run = groups.stop_waiting(turn, run)
        if not run.state.is_terminal:
            turn.put_run(replace(run, history=run.history.enter(State.FAILED, turn.at), due=0))
    history = execution.history
    if not history.current.is_terminal:
        history = transitions.enter(transitions.EXECUTION, history, State.FAILED, turn.at)
    error = f"quarantined: {reason}"
    turn.put_execution(replace(execution, error=error, awaits="", history=history))
    _forget(turn, execution_id)
