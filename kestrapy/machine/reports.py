"""What an execution that is a child tells its parent: that it has started, how it has ended, or
that it can't go on.
"""

from __future__ import annotations

import msgspec

from kestrapy.errors import ExpressionError, UserError
from kestrapy.language.expression import render_value
from kestrapy.language.input_values import has_mixed
from kestrapy.language.outputs import MIXED
from kestrapy.language.reads import reads_of
from kestrapy.machine.commands import ChildReported, ChildWanted, Parent
from kestrapy.machine.entities import Execution
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.state import State

OUTPUTS_LIMIT = 256 * 1024
"""Bytes of outputs that a child may report, as much as a worker may."""

_encode = msgspec.json.Encoder().encode


def tell_started(turn: Turn, execution_id: str) -> None:
    """To a parent that does not wait for the end."""
    parent = turn.content(execution_id).parent
    if parent is not None and not parent.waits:
        report = ChildReported(
            parent.task_run_id,
            execution_id,
            parent.iteration,
            State.RUNNING,
            restoring=parent.restoring,
        )
        turn.emit(report, execution_id)


def tell_of_next_try(turn: Turn, execution_id: str, following: str) -> None:
    """To a parent that waits for the end: another execution takes this one's place."""
    parent = turn.content(execution_id).parent
    if parent is not None and parent.waits:
        report = ChildReported(
            parent.task_run_id,
            execution_id,
            parent.iteration,
            State.RETRIED,
            following=following,
            restoring=parent.restoring,
        )
        turn.emit(report, execution_id)


def tell_ended(turn: Turn, execution_id: str) -> None:
    """To a parent that waits for it; one that does not is told that it never started."""
    parent, execution = turn.content(execution_id).parent, turn.execution(execution_id)
    begun = any(it.state is State.RUNNING for it in execution.history.histories)
    state, error = execution.history.current, execution.error
    if parent is None or state is State.RETRIED or (begun and not parent.waits):
        return
    refused, outputs = not begun and state is State.FAILED, "{}"
    if begun:
        try:
            outputs = _outputs_for(turn, execution, parent)
        except UserError as problem:
            refused, error = True, str(problem)
    turn.emit(
        ChildReported(
            parent.task_run_id,
            execution_id,
            parent.iteration,
            state,
            outputs,
            error,
            refused,
            restoring=parent.restoring,
        ),
        execution_id,
    )


def tell_missing(turn: Turn, command: ChildWanted) -> None:
    """To a parent that wants it again: nothing of it can go on."""
    parent, own = command.parent, command.execution_id
    report = ChildReported(
        parent.task_run_id,
        own,
        parent.iteration,
        State.FAILED,
        restoring=parent.restoring,
        missing=True,
    )
    turn.emit(report)


def _outputs_for(turn: Turn, execution: Execution, parent: Parent) -> str:
    """Those of the flow; where it declares none, what the parent asks for. Raises UserError."""
    plan, outputs = turn.plan(execution), execution.outputs
    if not plan.flow.outputs and parent.outputs:
        templates = msgspec.json.decode(parent.outputs)
        variables = variables_of(turn, execution, plan, reads_of(templates), None)
        try:
            world = FoldWorld(turn.at, execution.id)
            rendered = render_value(templates, variables, world)
        except ExpressionError as error:
            raise UserError(f"outputs of the subflow: {error}") from error
        if has_mixed(rendered):
            raise UserError(f"outputs of the subflow: {MIXED}")
        outputs = _encode(rendered).decode()
    size = len(outputs.encode())
    if size > OUTPUTS_LIMIT:
        raise UserError(
            f"the outputs of the subflow have {size:,} bytes, {OUTPUTS_LIMIT:,} at most can be"
            " handed over: write large values to a file, and hand over its URI"
        )
    return outputs
