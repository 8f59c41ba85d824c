"""The tasks of a WorkingDirectory: one job runs them all, one after the other, in one folder.

    executor ── Job(run of the WorkingDirectory, epoch) ──▶ worker
    worker   ── TaskReport(child, state) ──▶ fold          as each of its tasks begins and ends
    worker   ── Result ──▶ fold                             then errors and finally, task by task

A task of it has a task run of its own, *inside* the directory's: made with it, told once it has
begun, and moved by reports alone. These count only from the owner of the directory's epoch. A new
epoch begins with the first task again: what an earlier one had come to is submitted anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kestrapy.machine import transitions
from kestrapy.machine.commands import TaskReport
from kestrapy.machine.entities import Attempt, Scope, TaskRun
from kestrapy.machine.turn import Turn
from kestrapy.model.registry import Kind
from kestrapy.model.state import State, StateHistory, begin

TASKS = "tasks"
replace = msgspec.structs.replace
_decode_outputs = msgspec.json.Decoder(dict[str, Any]).decode

_REPORTED = frozenset(
    {
        *(State.RUNNING, State.RETRYING, State.SKIPPED),
        *(State.SUCCESS, State.WARNING, State.FAILED, State.KILLED),
    }
)
"""States that a worker may report; another one has no effect."""


def is_directory(turn: Turn, run: TaskRun) -> bool:
    kind = turn.plan(turn.execution(run.execution_id)).kind(run.task_id)
    return kind is Kind.WORKING_DIRECTORY


def report(turn: Turn, run: TaskRun, command: TaskReport) -> None:
    """Take what the owner of a directory's epoch says of one of its tasks."""
    if not is_directory(turn, run) or command.state not in _REPORTED:
        return
    tasks = turn.plan(turn.execution(run.execution_id)).tasks(run.task_id, TASKS)
    if not 0 <= command.child < len(tasks):
        return
    child = turn.run(run.execution_id, run.ordinal + 1 + command.child)
    if child.epoch != run.epoch:
        child = _begin(turn, run, child)
    elif child.state.is_terminal:
        return
    if not _is_news(child, command):
        return
    state, outputs, error = _judged(turn, child, command)
    child = _moved(turn, child, state, command.log_file)
    turn.put_run(replace(child, outputs=outputs, error=error))
    turn.touch(run.execution_id)


def _judged(turn: Turn, child: TaskRun, command: TaskReport) -> tuple[State, str, str]:
    """What counts of a report: outputs must be readable, and a failure may be allowed."""
    state, outputs, error = command.state, command.outputs, command.error
    try:
        _decode_outputs(outputs)
    except (msgspec.DecodeError, RecursionError) as problem:
        message = f"the outputs of the task must be a JSON object: {problem}"
        state, outputs, error = State.FAILED, "{}", error or message
    task = turn.plan(turn.execution(child.execution_id)).task(child.task_id)
    return task.allowed(state), outputs, error


def _begin(turn: Turn, run: TaskRun, child: TaskRun) -> TaskRun:
    """The first word of an epoch about a child. One that never began has no past to show."""
    history = child.history if child.epoch else begin(State.CREATED, turn.at)
    return replace(child, epoch=run.epoch, group=run.group, history=history, outputs="{}", error="")


def _moved(turn: Turn, child: TaskRun, state: State, log_file: str) -> TaskRun:
    """state entered, and its attempt with it: RUNNING begins one, anything else ends the last."""
    if state is State.RUNNING:
        return _running(turn, child)
    if state is not State.SKIPPED and not _is_open(child):  # what began it went unheard
        child = _running(turn, child)
    if _is_open(child):
        ended = State.FAILED if state is State.RETRYING else state
        child = _close_attempt(turn, child, ended, log_file)
    return replace(child, history=_enter(turn, child, state))


def _is_news(child: TaskRun, command: TaskReport) -> bool:
    """Whether it is about the attempt that runs, or a later one. What has begun is not skipped."""
    known = sum(it.epoch == child.epoch for it in child.attempts)
    if command.state is State.SKIPPED and known:
        return False
    if command.attempt == known:
        return _is_open(child) and command.state is not State.RUNNING
    return command.attempt > known


def _running(turn: Turn, child: TaskRun) -> TaskRun:
    if _is_open(child):
        return child
    attempt = Attempt(child.epoch, _owner(turn, child), begin(State.RUNNING, turn.at))
    history = _enter(turn, child, State.RUNNING)
    return replace(child, history=history, attempts=(*child.attempts, attempt))


def _owner(turn: Turn, child: TaskRun) -> str:
    return turn.run(child.execution_id, child.parent).worker_id


def _is_open(child: TaskRun) -> bool:
    """Whether an attempt of the current epoch runs."""
    last = child.attempts[-1] if child.attempts else None
    return last is not None and not last.history.current.is_terminal


def _close_attempt(turn: Turn, child: TaskRun, state: State, log_file: str = "") -> TaskRun:
    *earlier, last = child.attempts
    history = transitions.enter(transitions.ATTEMPT, last.history, state, turn.at)
    last = replace(last, history=history, log_file=log_file)
    return replace(child, attempts=(*earlier, last))


def _enter(turn: Turn, child: TaskRun, state: State) -> StateHistory:
    return transitions.enter(transitions.INSIDE, child.history, state, turn.at)


# Epochs and ends of the directory


def children(turn: Turn, run: TaskRun) -> Iterator[TaskRun]:
    """Those of a directory's runs that have begun, in order; none without an epoch."""
    tasks = turn.plan(turn.execution(run.execution_id)).tasks(run.task_id, TASKS)
    for place in range(len(tasks) if run.epoch else 0):
        child = turn.run(run.execution_id, run.ordinal + 1 + place)
        if child.epoch:
            yield child


def reopen(turn: Turn, run: TaskRun) -> None:
    """The directory is handed out anew: whatever its tasks have come to, they run again."""
    if not is_directory(turn, run):
        return
    for child in children(turn, run):
        if _is_open(child):
            child = _close_attempt(turn, child, State.RESUBMITTED)
        if child.state is not State.SUBMITTED:
            history = _enter(turn, child, State.SUBMITTED)
            turn.put_run(replace(child, history=history, outputs="{}", error=""))


def settle(turn: Turn, run: TaskRun, state: State) -> None:
    """The directory's job has ended: nothing of it runs any more, whatever was said last."""
    if not is_directory(turn, run):
        return
    ended = State.FAILED if state is State.FAILED else State.KILLED
    for child in children(turn, run):
        if not child.state.is_terminal:
            if _is_open(child):
                child = _close_attempt(turn, child, ended)
            turn.put_run(replace(child, history=_enter(turn, child, ended)))


def go_on(turn: Turn, run: TaskRun, ended: State) -> bool:
    """After the directory's job: what handles its errors, and cleans up, are tasks as others are.

    -> whether it is their list that ends the run.
    """
    if ended in (State.KILLED, State.SKIPPED) or not is_directory(turn, run):
        return False
    settle(turn, run, ended)
    plan = turn.plan(turn.execution(run.execution_id))
    states = {ended, *(it.state for it in children(turn, run))}
    failed = State.FAILED in states  # whatever the worker made of its tasks' ends
    scope = Scope(
        cursor=len(plan.tasks(run.task_id, TASKS)),
        failed=failed,
        block_failed=failed,
        warned=State.WARNING in states,
    )
    history = run.history
    if history.current is not State.RUNNING:
        history = transitions.enter(transitions.TASK_RUN, history, State.RUNNING, turn.at)
    turn.put_run(replace(run, history=history, scope=scope, worker_id="", due=0, asks=""))
    return True
