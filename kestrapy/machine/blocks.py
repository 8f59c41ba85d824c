"""Lists of tasks go on: children start, and owners end when all of theirs have."""

from __future__ import annotations

from collections import deque

import msgspec

from kestrapy.machine import (
    directories,
    evaluations,
    flowables,
    halts,
    subflows,
    task_runs,
    timeouts,
    transitions,
)
from kestrapy.machine.entities import TaskRun
from kestrapy.machine.lists import ROOT, Start, TaskList
from kestrapy.machine.turn import Turn
from kestrapy.model.registry import CALLS, Kind
from kestrapy.model.state import State

replace = msgspec.structs.replace


def advance(turn: Turn, execution_id: str, owner: int) -> State | None:
    """Start what may start, from this owner's list on. -> the state in which the execution is to
    end.
    """
    owners = deque([owner])
    while owners:
        owner = owners.popleft()
        if owner != ROOT and turn.run(execution_id, owner).state.is_terminal:
            continue
        tasks, execution = TaskList.of(turn, execution_id, owner), turn.execution(execution_id)
        if halts.stands_still(turn, execution):
            ended = None if owner == ROOT else tasks.end()
            if ended is None:
                halts.hold_back(turn, execution, owner)
        else:
            owners.extend(_start(tasks))
            ended = tasks.end()
        if ended is None:
            continue
        if owner == ROOT:
            return ended
        owners.append(end(turn, tasks.run, ended))
    return None


def _start(tasks: TaskList) -> list[int]:
    """Start tasks of the list. -> the flowable ones among them, whose lists begin now."""
    turn, flowable_runs = tasks.turn, []
    if tasks.kind is Kind.BATCHES:
        if not tasks.is_stopped:
            subflows.start_batches(turn, tasks.run)
        return []
    while not tasks.is_stopped:
        start = tasks.next()
        if start is None:
            _ask_again(tasks)
            break
        tasks.take(start)
        run = _create(tasks, start)
        ended = prepare(turn, run, tasks.plan.kind(run.task_id))
        run = turn.run(run.execution_id, run.ordinal)
        if ended is not None and not directories.go_on(turn, run, ended):
            end(turn, run, ended)
            continue
        run = turn.run(run.execution_id, run.ordinal)
        if run.scope is not None:
            flowable_runs.append(run.ordinal)
    return flowable_runs


def _create(tasks: TaskList, start: Start) -> TaskRun:
    turn, iteration, value = tasks.turn, start.iteration, None
    turn.started += 1
    if iteration >= 0:
        value = flowables.value_at(turn, tasks.run, iteration)
    elif tasks.scope.rounds:
        iteration = tasks.scope.rounds - 1
    return task_runs.create(turn, tasks.execution_id, start.task.id, tasks.owner, value, iteration)


def _ask_again(tasks: TaskList) -> None:
    """Whether the owner's loop goes on is a worker's to say."""
    if not tasks.is_asking or tasks.run.scope is None:
        return
    failed = evaluations.ask(tasks.turn, tasks.run, evaluations.REPEAT)
    if failed is not None:
        evaluations.give_up(tasks.turn, tasks.run, failed)


def prepare(turn: Turn, run: TaskRun, kind: Kind) -> State | None:
    """-> the state in which it ends at once; None: it goes on, or waits for what is asked."""
    if kind is Kind.WORKING_DIRECTORY:
        task_runs.create_inside(turn, run)
    if evaluations.is_needed(turn, run):
        return evaluations.ask(turn, run, evaluations.BEGIN)
    return begin(turn, run, kind)


def begin(turn: Turn, run: TaskRun, kind: Kind) -> State | None:
    """-> the state in which it ends at once; None: it goes on."""
    ended = flowables.skip(turn, run)
    if ended is not None:
        return ended
    if kind.is_job:
        return task_runs.submit(turn, run)
    if kind in CALLS:
        return subflows.begin(turn, run)
    return flowables.begin(turn, run)


def end(turn: Turn, run: TaskRun, state: State) -> int:
    """End a task run, as its task allows. -> its parent, whose list has to go on."""
    task = turn.plan(turn.execution(run.execution_id)).task(run.task_id)
    if run.state is State.PAUSED:  # what it was to do meanwhile has stopped the execution
        flowables.resume(turn, run)
        run = turn.run(run.execution_id, run.ordinal)
    state = task.allowed(state)
    if run.scope is None:
        directories.settle(turn, run, state)
    history = transitions.enter(transitions.TASK_RUN, run.history, state, turn.at)
    flowables.drop_values(turn, run)
    if task.timeout is not None:
        timeouts.end(turn, run)
    turn.put_run(replace(run, history=history, due=0))
    TaskList.of(turn, run.execution_id, run.parent).let_go(run, state)
    return run.parent
