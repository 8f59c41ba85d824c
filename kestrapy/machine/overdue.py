"""The time of a task run is over that no worker runs: what it has started is killed, then it has
failed.

What it has started stands behind it in the order of ordinals. It is looked for from the last task
run of the execution on downwards, some with each command, and killed as a kill of the execution
does it; whatever comes meanwhile for one that was not met yet kills it then and there.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine import endings, evaluations, flowables, groups, subflows, sweeps, timeouts
from kestrapy.machine.entities import Scope, TaskRun
from kestrapy.machine.lists import HANDLERS
from kestrapy.machine.timeouts import Timeout, timeout_key
from kestrapy.machine.turn import Turn
from kestrapy.model.registry import CALLS
from kestrapy.model.state import State

LOOK_AGAIN = 1_000
"""ms after which it is looked again whether a worker has evaluated what it was asked."""
replace = msgspec.structs.replace


def due(turn: Turn, run: TaskRun, timeout: Timeout) -> None:
    """Its time is over, or what it has started is still being killed."""
    plan = turn.plan(turn.execution(run.execution_id))
    if timeout.below >= 0:
        _walk(turn, run, timeout)
    elif timeouts.is_stopped(turn, run) or _is_handling(run):
        timeouts.end(turn, run)
    elif run.asks and not run.is_waiting:  # a worker evaluates something for it, and soon answers
        turn.put(timeout_key(run.id), replace(timeout, due=turn.at + LOOK_AGAIN))
    else:
        limit = plan.task(run.task_id).timeout
        run = _without_question(turn, run)
        flowables.fail(turn, run, f"Timeout: the task ran longer than {limit} ms")
        run = turn.run(run.execution_id, run.ordinal)
        if plan.kind(run.task_id) in CALLS:
            _end_child(turn, run)
        else:
            _cut_off(turn, run, timeout)


def _is_handling(run: TaskRun) -> bool:
    """Whether its tasks are over: what handles errors, or cleans up, is not limited."""
    return run.scope is not None and run.scope.block in HANDLERS


def _without_question(turn: Turn, run: TaskRun) -> TaskRun:
    """A loop that asks whether it goes on, and that no worker has answered, does not."""
    if run.asks:
        run = turn.put_run(groups.stop_waiting(turn, run))
        evaluations.give_up(turn, run, State.FAILED)
    return turn.run(run.execution_id, run.ordinal)


def _end_child(turn: Turn, run: TaskRun) -> None:
    timeouts.end(turn, run)
    subflows.time_out(turn, run)
    if turn.run(run.execution_id, run.ordinal).state is not State.RETRYING:
        endings.advance(turn, run.execution_id, run.ordinal)


def _cut_off(turn: Turn, run: TaskRun, timeout: Timeout) -> None:
    """From here on nothing starts within it."""
    scope = replace(
        run.scope or Scope(),
        overdue=True,
        waits=False,
        lanes=(),
        failed=True,
        block_failed=True,
        killed=False,
    )
    run = turn.put_run(replace(run, scope=scope, due=0))
    count = turn.execution(run.execution_id).count
    _walk(turn, run, replace(timeout, below=count))


def _walk(turn: Turn, run: TaskRun, timeout: Timeout) -> None:
    """The next slice; then its list goes on, if that was the last of what it has started."""
    execution_id, first = run.execution_id, run.ordinal + 1
    met = sweeps.Slice(turn, execution_id, timeout.below, first)
    for each in met:
        if timeouts.is_cut_off(turn, each):
            sweeps.kill(turn, each)
    run = turn.run(execution_id, run.ordinal)
    if met.below > first and run.scope is not None and run.scope.open:
        following = replace(timeout, below=met.below, due=max(turn.at, timeout.due) + 1)
        turn.put(timeout_key(run.id), following)
    else:
        timeouts.end(turn, run)
    endings.advance(turn, execution_id, run.ordinal)
