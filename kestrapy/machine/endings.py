"""Executions go on, and end: by their last task, by a kill, by a bug.

Nothing stays of one that has ended but a marker, by which late commands are known.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kestrapy.errors import ExpressionError
from kestrapy.language.outputs import resolve_outputs
from kestrapy.language.plan import LISTENERS
from kestrapy.machine import blocks, conditions, halts, reports, slas, sweeps, transitions
from kestrapy.machine.commands import (
    ExecutionEnded,
    ExecutionSubmitted,
    Lineage,
    SlotReleased,
)
from kestrapy.machine.entities import (
    Ended,
    Execution,
    Scope,
    Sweep,
    content_key,
    execution_key,
)
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.lists import AFTER, ROOT
from kestrapy.machine.restored import restoring_key
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.ids import derive_execution_id, shard_of
from kestrapy.model.state import State

ENDED_KEPT = 10 * 60 * 1000
"""ms for which an ended execution is known: its late claims are refused all the same afterwards."""
NOT_BEGUN = (State.CREATED, State.QUEUED)
"""States of an execution of which nothing has run yet."""
RESTARTED_KEPT = 7 * 24 * 3600 * 1000
"""ms for which one is known that was restarted: as long as storage may lag behind its topic, so
that what it had before can't be restored once more.
"""
replace = msgspec.structs.replace


def advance(turn: Turn, execution_id: str, owner: int) -> None:
    turn.touch(execution_id)
    slas.judge(turn, execution_id)
    ended = blocks.advance(turn, execution_id, owner)
    execution = turn.execution(execution_id)
    if ended is None:
        if execution.killing and execution.history.current in (State.RUNNING, State.PAUSED):
            kill_rest(turn, execution_id)
    elif not execution.history.current.is_terminal:
        end(turn, execution_id, ended)
    elif execution.killing:
        _forget(turn, execution_id)
    else:
        _go_on_after(turn, execution_id)


def end(turn: Turn, execution_id: str, state: State) -> None:
    """The terminal state, with the flow's outputs; then the tasks that run after all. One that has
    failed has them where they can be rendered without what is missing.
    """
    execution = turn.execution(execution_id)
    has_begun = execution.history.current not in NOT_BEGUN and not execution.restoring
    failed_by_itself = state is State.FAILED and has_begun and not execution.killing
    if state in (State.SUCCESS, State.WARNING) or failed_by_itself:
        try:
            outputs = msgspec.json.encode(_outputs(turn, execution)).decode()
            execution = replace(execution, outputs=outputs)
        except ExpressionError as error:
            if not failed_by_itself:
                state, execution = State.FAILED, replace(execution, error=str(error))
    history = transitions.enter(transitions.EXECUTION, execution.history, state, turn.at)
    turn.put_execution(
        replace(
            execution,
            history=history,
            awaits="",
            killing=False,
            due=0,
            scope=Scope(block=""),
            waits_for="",
            restoring=False,
        )
    )
    if execution.restoring:
        turn.drop(restoring_key(execution_id))
    sweeps.stop(turn, execution_id)
    halts.lift(turn, execution_id)
    if state is State.RETRIED:
        _try_again(turn, execution)
    if has_begun:
        _go_on_after(turn, execution_id)
    else:
        _forget(turn, execution_id)


def without_retry(execution: Execution) -> Execution:
    """A kill is the last word: of one that would be tried again too."""
    if execution.ends_as != State.RETRIED:
        return execution
    return replace(execution, ends_as=str(State.KILLED), again=0)


def _try_again(turn: Turn, execution: Execution) -> None:
    """Submit the next try of an execution that ends RETRIED, for the time that its retry says."""
    content = turn.content(execution.id)
    lineage = content.lineage or Lineage(execution.id, 1, execution.history.start)
    lineage = replace(lineage, attempt=lineage.attempt + 1)
    following = ExecutionSubmitted(
        next_try_id(execution.id, turn.at, lineage),
        execution.namespace,
        execution.flow_id,
        execution.revision,
        content.inputs,
        content.labels,
        content.trigger,
        execution.again,
        lineage,
        content.parent,
    )
    reports.tell_of_next_try(turn, execution.id, following.execution_id)
    turn.emit(following, execution.id)


def next_try_id(execution_id: str, at: int, lineage: Lineage) -> str:
    """at: when this one ended, epoch ms. lineage: of the next one."""
    cause = ("retry", lineage.original_id, lineage.attempt)
    return derive_execution_id(shard_of(execution_id), at, *cause)


def _go_on_after(turn: Turn, execution_id: str) -> None:
    """The blocks that run after its end, one after the other; then all is forgotten."""
    while True:
        execution = turn.execution(execution_id)
        block = _following(turn, execution)
        if block is None:
            return _forget(turn, execution_id)
        turn.put_execution(replace(execution, scope=Scope(block=block)))
        if blocks.advance(turn, execution_id, ROOT) is None:
            return None


def _following(turn: Turn, execution: Execution) -> str | None:
    """The block that comes after the one that it is in: listeners whose conditions hold, in their
    order, and afterExecution.
    """
    plan = turn.plan(execution)
    listeners = plan.flow.listeners
    last = execution.scope.block
    if last == AFTER:
        return None
    number = int(last.removeprefix(LISTENERS)) + 1 if last else 0
    for place in range(number, len(listeners)):
        held = all(conditions.holds(turn, execution, it) for it in listeners[place].conditions)
        if held and plan.tasks("", f"{LISTENERS}{place}"):
            return f"{LISTENERS}{place}"
    return AFTER if plan.tasks("", AFTER) else None


def _outputs(turn: Turn, execution: Execution) -> dict[str, Any]:
    plan = turn.plan(execution)
    if not plan.flow.outputs:
        return {}
    variables = variables_of(turn, execution, plan, plan.output_reads, None)
    return resolve_outputs(plan.flow, variables, FoldWorld(turn.at, execution.id))


def _forget(turn: Turn, execution_id: str) -> None:
    """All is told of an execution that has ended; nothing stays of it but a marker."""
    execution = turn.execution(execution_id)
    state = execution.history.current
    trigger = turn.content(execution_id).trigger
    if trigger is not None and trigger.uid:
        turn.emit(ExecutionEnded(trigger.uid, execution_id, state), execution_id)
    reports.tell_ended(turn, execution_id)
    if execution.limited:
        flow = (execution.namespace, execution.flow_id)
        turn.emit(SlotReleased(*flow, execution_id, execution.restarts), execution_id)
    turn.touch(execution_id)
    turn.close(execution_id)
    slas.forget(turn, execution_id)
    turn.drop(content_key(execution_id))
    kept = RESTARTED_KEPT if execution.restarts else ENDED_KEPT
    turn.put(execution_key(execution_id), Ended(state, turn.at + kept, turn.number))
    sweeps.begin(turn, execution_id, sweeps.FORGET, execution.count)


def kill_rest(turn: Turn, execution_id: str) -> None:
    """Of an execution that is stopped, what still runs."""
    execution = turn.execution(execution_id)
    if not execution.history.current.is_terminal:
        history = transitions.enter(
            transitions.EXECUTION, execution.history, State.KILLING, turn.at
        )
        turn.put_execution(replace(execution, history=history))
    sweeps.begin(turn, execution_id, sweeps.KILL, execution.count)
    advance(turn, execution_id, ROOT)


def break_off(turn: Turn, execution_id: str, reason: str) -> None:
    """End an execution that the rules failed upon. Should they fail even on that, it just ends."""
    execution = turn.execution(execution_id)
    turn.touch(execution_id)
    if sweeps.is_breaking(turn, execution_id):
        return _broken(turn, execution_id)
    error = f"quarantined: {reason}"
    turn.put_execution(replace(execution, error=error, awaits="", due=0))
    if sweeps.begin(turn, execution_id, sweeps.BREAK, execution.count):
        return _broken(turn, execution_id)
    _show_killing(turn, execution_id)
    return None


def _show_killing(turn: Turn, execution_id: str) -> None:
    execution = turn.execution(execution_id)
    if execution.history.current in (State.RUNNING, State.PAUSED):
        history = transitions.enter(
            transitions.EXECUTION, execution.history, State.KILLING, turn.at
        )
        turn.put_execution(replace(execution, history=history))


def _broken(turn: Turn, execution_id: str) -> None:
    execution = turn.execution(execution_id)
    history = execution.history
    if not history.current.is_terminal:
        history = transitions.enter(transitions.EXECUTION, history, State.FAILED, turn.at)
    turn.put_execution(replace(execution, history=history))
    _forget(turn, execution_id)


def walk_on(turn: Turn, sweep: Sweep) -> None:
    """The next slice of a walk over an execution's task runs."""
    is_over = sweeps.go_on(turn, sweep)
    if sweep.kind == sweeps.KILL:
        advance(turn, sweep.execution_id, ROOT)
    elif sweep.kind == sweeps.BREAK:
        turn.touch(sweep.execution_id)
        if is_over:
            _broken(turn, sweep.execution_id)
