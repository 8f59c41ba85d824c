"""Lists of tasks: an execution's own, and those of flowable task runs.

A list's owner is an ordinal: that of a flowable task run, or ROOT for the execution. Its ``Scope``
counts how far it has come, so that a child's end costs the same however many children there are.
"""

from __future__ import annotations

from collections import deque

import msgspec

from kestrapy.language.plan import Plan
from kestrapy.machine import task_runs, transitions
from kestrapy.machine.entities import Execution, Scope, TaskRun
from kestrapy.machine.turn import Turn
from kestrapy.model.flow import Flow, Task
from kestrapy.model.registry import Kind
from kestrapy.model.state import State

ROOT = -1
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
        owners.extend(_start(turn, execution_id, owner))
        ended = _end_of(turn, execution_id, owner)
        if ended is None:
            continue
        if owner == ROOT:
            return ended
        owners.append(end(turn, turn.run(execution_id, owner), ended))
    return None


def _start(turn: Turn, execution_id: str, owner: int) -> list[int]:
    """Start tasks of the list. -> the flowable ones among them, whose lists begin now."""
    execution = turn.execution(execution_id)
    plan = turn.plan(execution)
    flowables: list[int] = []
    while not turn.execution(execution_id).killing:
        task = _next_task(plan, turn, execution_id, owner)
        if task is None:
            break
        scope = _scope(turn, execution_id, owner)  # now of the block that the task is in
        disabled = task.disabled
        _put_scope(
            turn,
            execution_id,
            owner,
            replace(scope, cursor=scope.cursor + 1, open=scope.open + (not disabled)),
        )
        if disabled:
            continue
        run = task_runs.create(turn, execution_id, task.id, owner)
        if plan.kind(task.id) is Kind.RUNNABLE:
            ended = task_runs.submit(turn, run)
            if ended is not None:
                end(turn, turn.run(execution_id, run.ordinal), ended)
        else:
            history = transitions.enter(transitions.TASK_RUN, run.history, State.RUNNING, turn.at)
            turn.put_run(replace(run, history=history, scope=Scope()))
            flowables.append(run.ordinal)
    return flowables


def _next_task(plan: Plan, turn: Turn, execution_id: str, owner: int) -> Task | None:
    """The next task of the list when it may start now, else None. Enters the next block when one
    is over.
    """
    scope = _scope(turn, execution_id, owner)
    while scope.open == 0 and _is_over(plan, turn, execution_id, owner, scope):
        following = _next_block(plan, turn, execution_id, owner, scope)
        if following is None:
            return None
        scope = replace(scope, block=following, cursor=0, block_failed=False)
        _put_scope(turn, execution_id, owner, scope)
    tasks = _tasks(_node(plan, turn, execution_id, owner), scope.block)
    if scope.cursor >= len(tasks) or scope.open >= _limit(plan, turn, execution_id, owner, scope):
        return None
    return None if _stopped(plan, turn, execution_id, owner, scope) else tasks[scope.cursor]


def _limit(plan: Plan, turn: Turn, execution_id: str, owner: int, scope: Scope) -> float:
    """How many of the list may run at once. What handles errors, or cleans up, runs in sequence."""
    if scope.block != "tasks" or not _is_parallel(plan, turn, execution_id, owner):
        return 1
    task = plan.task(turn.run(execution_id, owner).task_id)
    return task.concurrent or float("inf")


def _is_parallel(plan: Plan, turn: Turn, execution_id: str, owner: int) -> bool:
    return owner != ROOT and plan.kind(turn.run(execution_id, owner).task_id) is Kind.PARALLEL


def _stopped(plan: Plan, turn: Turn, execution_id: str, owner: int, scope: Scope) -> bool:
    """A failure ends a sequence; the tasks of a Parallel do not mind each other's."""
    parallel = scope.block == "tasks" and _is_parallel(plan, turn, execution_id, owner)
    return scope.block_failed and not parallel


def _is_over(plan: Plan, turn: Turn, execution_id: str, owner: int, scope: Scope) -> bool:
    tasks = _tasks(_node(plan, turn, execution_id, owner), scope.block)
    return scope.cursor >= len(tasks) or _stopped(plan, turn, execution_id, owner, scope)


def _next_block(plan: Plan, turn: Turn, execution_id: str, owner: int, scope: Scope) -> str | None:
    node = _node(plan, turn, execution_id, owner)
    if scope.block == "tasks" and scope.failed and node.errors:
        return "errors"
    if scope.block != "finally" and node.finally_:
        return "finally"
    return None


def _end_of(turn: Turn, execution_id: str, owner: int) -> State | None:
    """The state in which the list's owner ends; None while something of it is open or still to
    start.
    """
    execution = turn.execution(execution_id)
    scope = _scope(turn, execution_id, owner)
    if scope.open:
        return None
    if execution.killing:
        return State.KILLED
    plan = turn.plan(execution)
    over = _is_over(plan, turn, execution_id, owner, scope)
    if not over or _next_block(plan, turn, execution_id, owner, scope) is not None:
        return None
    if scope.killed:
        return State.KILLED
    return State.FAILED if scope.failed else State.WARNING if scope.warned else State.SUCCESS


def end(turn: Turn, run: TaskRun, state: State) -> int:
    """End a task run, as its task allows. -> its parent, whose list has to go on."""
    task = turn.plan(turn.execution(run.execution_id)).task(run.task_id)
    if state is State.FAILED and task.allow_failure:
        state = State.SUCCESS if task.allow_warning else State.WARNING
    elif state is State.WARNING and task.allow_warning:
        state = State.SUCCESS
    history = transitions.enter(transitions.TASK_RUN, run.history, state, turn.at)
    turn.put_run(replace(run, history=history, due=0))
    scope = _scope(turn, run.execution_id, run.parent)
    scope = replace(
        scope,
        open=scope.open - 1,
        failed=scope.failed or state is State.FAILED,
        block_failed=scope.block_failed or state is State.FAILED,
        warned=scope.warned or state is State.WARNING,
        killed=scope.killed or state is State.KILLED,
    )
    _put_scope(turn, run.execution_id, run.parent, scope)
    return run.parent


def _node(plan: Plan, turn: Turn, execution_id: str, owner: int) -> Flow | Task:
    return plan.flow if owner == ROOT else plan.task(turn.run(execution_id, owner).task_id)


def _tasks(node: Flow | Task, block: str) -> tuple[Task, ...]:
    if block == "tasks":
        return node.tasks
    return node.errors if block == "errors" else node.finally_


def _scope(turn: Turn, execution_id: str, owner: int) -> Scope:
    holder: Execution | TaskRun
    holder = turn.execution(execution_id) if owner == ROOT else turn.run(execution_id, owner)
    return holder.scope or Scope()


def _put_scope(turn: Turn, execution_id: str, owner: int, scope: Scope) -> None:
    if owner == ROOT:
        turn.put_execution(replace(turn.execution(execution_id), scope=scope))
    else:
        turn.put_run(replace(turn.run(execution_id, owner), scope=scope))
