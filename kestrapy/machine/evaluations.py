"""Expressions of flowable tasks that read the world: a worker evaluates them.

    executor ── Job(run of the flowable task, epoch) ──▶ group   what there is to evaluate
    worker   ── Result(outputs: what it gives) ──▶ fold          the run goes on with it

While a run *asks*, it is a job like any other: one epoch, one claim, one lease. A runIf is
evaluated before the run begins, with the properties of a flowable task; those of a loop after each
round. What time it is, and chance, a fold decides by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from kestrapy.language.input_values import is_sealed
from kestrapy.language.plan import Planned
from kestrapy.language.reads import Reads
from kestrapy.machine import batches, task_runs, transitions
from kestrapy.machine.commands import Result
from kestrapy.machine.entities import Scope, TaskRun
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.registry import CALLS, Kind
from kestrapy.model.state import State

BEGIN, REPEAT = "begin", "repeat"
"""What a run asks for: whether and how to begin; whether its loop goes on."""
replace = msgspec.structs.replace


def is_needed(turn: Turn, run: TaskRun) -> bool:
    """Whether a worker has to tell whether, and how, the run begins."""
    if run.answers:
        return False
    kind, planned = _planned(turn, run)
    if planned.asks_condition or _reads_secrets(turn, run, planned.condition):
        return True
    renders = not kind.is_job and kind not in (Kind.LOOP_UNTIL, Kind.FOR_ITEMS)
    return renders and _asks_properties(turn, run, planned)


def is_needed_again(turn: Turn, run: TaskRun) -> bool:
    """Whether a worker has to tell whether a loop goes on."""
    _, planned = _planned(turn, run)
    return not run.answers and _asks_properties(turn, run, planned)


def _asks_properties(turn: Turn, run: TaskRun, planned: Planned) -> bool:
    if turn.plan(turn.execution(run.execution_id)).kind(run.task_id) in CALLS:
        return planned.asks_properties  # secrets go on to its child as they are sealed
    return planned.asks_properties or _reads_secrets(turn, run, planned.reads)


def _planned(turn: Turn, run: TaskRun) -> tuple[Kind, Planned]:
    plan = turn.plan(turn.execution(run.execution_id))
    return plan.kind(run.task_id), plan.planned(run.task_id)


def _reads_secrets(turn: Turn, run: TaskRun, reads: Reads) -> bool:
    """Whether what is read holds something sealed, which a worker alone can open."""
    roots = ("inputs", "outputs", "trigger", "vars")
    if not any(path[0] in roots for path in reads.names):
        return False
    execution = turn.execution(run.execution_id)
    variables = variables_of(turn, execution, turn.plan(execution), reads, run, whole=False)
    return any(map(is_sealed, _maps(variables)))


def _maps(value: Mapping[str, Any]) -> Iterator[Any]:
    """All maps of a value, however deep."""
    todo: list[Any] = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            yield each
            todo += each.values()
        elif isinstance(each, list):
            todo += each


def ask(turn: Turn, run: TaskRun, what: str) -> State | None:
    """Hand the run out to be evaluated. -> FAILED where no group may do that."""
    run = turn.put_run(replace(run, asks=what, aside=run.scope, scope=None))
    return task_runs.submit(turn, run)


def take(turn: Turn, run: TaskRun, result: Result) -> State | None:
    """The owner's answer. -> the state in which the run ends; None: it goes on, with the answers
    where it could be evaluated.
    """
    task_runs.release(turn, run)
    killing = run.state is State.KILLING
    failed = result.state is not State.SUCCESS or task_runs.problem_of(result.outputs) != ""
    state = State.KILLED if killing else State.FAILED if failed else State.SUCCESS
    run = task_runs.end_attempt(turn, run, state)
    if state is State.SUCCESS:
        back = replace(run, attempts=run.attempts[:-1], answers=result.outputs, worker_id="")
        if turn.plan(turn.execution(run.execution_id)).kind(run.task_id) is Kind.BATCHES:
            return _take_batches(turn, replace(back, answers=""), result)
        turn.put_run(replace(back, asks="", scope=run.aside, aside=None))
        return None
    turn.put_run(replace(run, error=result.error or "its expressions could not be evaluated"))
    return state


def _take_batches(turn: Turn, run: TaskRun, result: Result) -> State | None:
    """Inputs of some of the batches: it asks for the others, or begins."""
    more = batches.take(turn, turn.put_run(run), result)
    run = turn.run(run.execution_id, run.ordinal)
    if isinstance(more, str):
        turn.put_run(replace(run, error=more))
        return State.FAILED
    if more:
        task_runs.submit_again(turn, run)
    else:
        turn.put_run(replace(run, asks="", answers=batches.ANSWERED, scope=Scope(), aside=None))
    return None


def give_up(turn: Turn, run: TaskRun, ended: State) -> bool:
    """Where a loop can't be told whether it goes on: it has failed, and its handlers run.

    -> whether it is its list that ends the run.
    """
    if run.asks != REPEAT or run.aside is None or ended is not State.FAILED:
        return False
    scope: Scope = replace(run.aside, rounds=0, failed=True, block_failed=True)
    history = run.history
    if history.current is not State.RUNNING:
        history = transitions.enter(transitions.TASK_RUN, history, State.RUNNING, turn.at)
    turn.put_run(replace(run, history=history, scope=scope, asks="", aside=None, worker_id=""))
    return True
