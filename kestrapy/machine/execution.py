"""The fold of ``executions``: ``step(state, command, at) -> changes and outputs``.

A pure function of what the partition's log says: no clock, no randomness, no I/O. Whoever folds the
same log gets the same states and puts out the same; that is what kestrapy's correctness rests on.

A command either fits the state that it meets and moves it, or has no effect: late and repeated
commands are normal. A claim is always answered. There is no third kind; an exception here is a bug
(``quarantine``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from kestrapy.machine import (
    beginnings,
    blocks,
    directories,
    endings,
    flowables,
    groups,
    slots,
    subflows,
    task_runs,
)
from kestrapy.machine.commands import (
    ChildReported,
    Claimed,
    Command,
    ExecutionCreated,
    ExecutionDue,
    FlowResolved,
    ForceRun,
    GroupLive,
    KillRequested,
    NoWorker,
    PublishAgain,
    Result,
    ResumeRequested,
    Returned,
    SettingChanged,
    SlotDenied,
    SlotGranted,
    TaskReport,
    TimerDue,
    Undeliverable,
    WorkerLost,
)
from kestrapy.machine.entities import (
    Ended,
    Entity,
    EntityMap,
    Execution,
    Holder,
    KillNote,
    TaskRun,
    execution_key,
    execution_of,
    holder_key,
    kill_note_key,
    run_key,
)
from kestrapy.machine.outputs import Output
from kestrapy.machine.turn import ContentMissing, Rules, Turn
from kestrapy.model.registry import CALLS
from kestrapy.model.state import State

DEAD_KEPT = 24 * 3600 * 1000
"""ms for which a lost worker is known: its lease was over long before."""
KILL_NOTE_KEPT = 24 * 3600 * 1000
"""ms for which a kill waits for its execution."""

replace = msgspec.structs.replace


class Step(NamedTuple):
    """changes: entities by key, None for those that are gone. outputs: in the order in which they
    go out.

    traces: of each output the traceparent of its execution, or none at all.
    """

    changes: Mapping[str, Entity | None]
    outputs: list[Output]
    traces: Sequence[str] = ()


def step(
    state: EntityMap, command: Command, at: int, offset: int, rules: Rules, version: int
) -> Step:
    """Fold one command. at: epoch ms, never less than before. offset: of the command in its
    partition. version: of the rules in force.
    """
    turn = Turn(state, at, offset, rules, version)
    handler = _HANDLERS.get(type(command))
    if handler is not None:
        handler(turn, command)
    _settle(turn)
    return Step(turn.changes, turn.outputs, turn.traces)


def _settle(turn: Turn) -> None:
    """Publish what there is room for, and tell what has changed."""
    groups.publish_waiting(turn, partial(_publish, turn))
    turn.finish()


def _publish(turn: Turn, run: TaskRun) -> None:
    """It may be of any execution: a bug that it meets harms that one, not whoever made room."""
    try:
        task_runs.publish(turn, run)
    except ContentMissing:
        raise
    except Exception as error:
        endings.break_off(turn, run.execution_id, f"{type(error).__name__}: {error}")


# Task runs


def _find(turn: Turn, task_run_id: str) -> TaskRun | None:
    """The task run of a live execution, if it is a job: no worker may speak for another one."""
    run = turn.get(run_key(task_run_id), TaskRun)
    return run if run is not None and run.scope is None and not run.inside else None


def _claimed(turn: Turn, command: Claimed) -> None:
    task_runs.claim(turn, _find(turn, command.task_run_id), command)


def _result(turn: Turn, command: Result) -> None:
    run = _find(turn, command.task_run_id)
    if run is None or not task_runs.is_owned_by(run, command.epoch, command.worker_id):
        return
    _go_on(turn, run, task_runs.accept(turn, run, command))


def _task_reported(turn: Turn, command: TaskReport) -> None:
    run = _find(turn, command.task_run_id)
    if run is not None and task_runs.is_owned_by(run, command.epoch, command.worker_id):
        directories.report(turn, run, command)


def _returned(turn: Turn, command: Returned) -> None:
    run = _find(turn, command.task_run_id)
    if run is None or not task_runs.is_owned_by(run, command.epoch, command.worker_id):
        return
    _go_on(turn, run, task_runs.take_back(turn, run))


def _find_waiting(turn: Turn, task_run_id: str, epoch: int) -> TaskRun | None:
    run = _find(turn, task_run_id)
    return run if run is not None and run.epoch == epoch and run.is_waiting else None


def _undeliverable(turn: Turn, command: Undeliverable) -> None:
    """Too large a job fails. One whose topic is missing waits for it, if its group is declared."""
    run = _find_waiting(turn, command.task_run_id, command.epoch)
    if run is None or run.place:
        return
    group = turn.group(run.group)
    if command.missing and group.revision and not group.deleted:
        turn.put_run(replace(run, due=turn.at + task_runs.MISSING_TOPIC_AGAIN))
        return
    turn.put_run(replace(groups.stop_waiting(turn, run), error=command.reason))
    _go_on(turn, run, State.FAILED)


def _no_worker(turn: Turn, command: NoWorker) -> None:
    run = _find_waiting(turn, command.task_run_id, command.epoch)
    if run is None:
        return
    group = turn.group(run.group)
    if group.workers and not group.settings.drained:
        return
    if run.fallback is not None and run.fallback.behavior == "CANCEL":
        return _kill(turn, KillRequested(run.execution_id))
    _go_on(turn, run, task_runs.fall_back(turn, run))


def _publish_again(turn: Turn, command: PublishAgain) -> None:
    run = _find(turn, command.task_run_id)
    if run is None or not run.is_waiting or run.place or run.due != command.due:
        return
    if command.partition < 0:
        task_runs.publish_again(turn, run)
    else:
        task_runs.publish_copy(turn, run, command.partition)


def _timer_due(turn: Turn, command: TimerDue) -> None:
    run = turn.get(run_key(command.task_run_id), TaskRun)
    if run is None or not run.due or run.due != command.due:
        return
    turn.at = max(turn.at, command.due)
    if run.scope is None:
        _go_on(turn, run, task_runs.ON_TIMER[run.state](turn, run))
    elif turn.plan(turn.execution(run.execution_id)).kind(run.task_id) in CALLS:
        _go_on(turn, run, ended := subflows.due(turn, run))
        if ended is None:
            endings.advance(turn, run.execution_id, run.ordinal)
    else:
        flowables.due(turn, run)
        endings.advance(turn, run.execution_id, run.ordinal)


def _resume(turn: Turn, command: ResumeRequested) -> None:
    run = turn.get(run_key(command.task_run_id), TaskRun)
    if run is not None and run.state is State.PAUSED:
        flowables.resume(turn, run)
        endings.advance(turn, run.execution_id, run.ordinal)


def _child_reported(turn: Turn, command: ChildReported) -> None:
    run = subflows.reported(turn, command)
    if run is not None:
        endings.advance(turn, run.execution_id, run.ordinal)


def _worker_lost(turn: Turn, command: WorkerLost) -> None:
    """From here on the worker is dead: what it held is handed out anew, what it claims is
    refused.
    """
    key = holder_key(command.worker_id)
    holder = turn.get(key, Holder) or Holder()
    if holder.dead:
        return
    turn.put(key, Holder(held=holder.held, dead=True, until=turn.at + DEAD_KEPT))
    for task_run_id in reversed(holder.held):  # each becomes the first of its line
        run = turn.need(run_key(task_run_id), TaskRun)
        _go_on(turn, run, task_runs.lose(turn, run))


def _go_on(turn: Turn, run: TaskRun, ended: State | None) -> None:
    """After a task run's epoch: the lists that wait for it move on."""
    turn.touch(run.execution_id)
    if ended is None:
        return
    run, owner = turn.run(run.execution_id, run.ordinal), run.ordinal
    if not directories.go_on(turn, run, ended):
        owner = blocks.end(turn, run, ended)
    endings.advance(turn, run.execution_id, owner)


# Ending


def _kill(turn: Turn, command: KillRequested) -> None:
    execution = turn.get(execution_key(command.execution_id), Entity)
    if isinstance(execution, Ended) and execution.until <= turn.at:
        execution = None  # forgotten, by this very command
    if execution is None:
        until = turn.at + KILL_NOTE_KEPT
        turn.put(kill_note_key(command.execution_id), KillNote(until))
    elif isinstance(execution, Execution) and execution.killing:
        turn.put_execution(endings.without_retry(execution))
    elif isinstance(execution, Execution) and execution.history.current is not State.KILLED:
        if execution.history.current in endings.NOT_BEGUN:
            return endings.end(turn, execution.id, State.KILLED)
        flowables.stop(turn, execution.id, State.KILLED)
        endings.kill_rest(turn, execution.id)


def quarantine(
    state: EntityMap,
    command: Command,
    reason: str,
    at: int,
    offset: int,
    rules: Rules,
    version: int,
) -> Step:
    """What follows a step that raised: its execution ends FAILED with the reason; its tasks are
    killed. One that could not even begin is shown as FAILED too, and lets its trigger go.
    """
    turn = Turn(state, at, offset, rules, version)
    execution_id = execution_named_by(command)
    execution = turn.get(execution_key(execution_id), Entity) if execution_id else None
    if execution is None and isinstance(command, ExecutionCreated):
        execution = beginnings.admit(turn, command)
    if isinstance(execution, Execution):
        endings.break_off(turn, execution.id, reason)
        _settle(turn)
    return Step(turn.changes, turn.outputs, turn.traces)


def execution_named_by(command: Command) -> str:
    """The execution that a command is about; empty where it is about several or none."""
    if isinstance(command, _OF_TASK_RUN):
        return execution_of(command.task_run_id)
    if isinstance(command, _OF_EXECUTION):
        return command.execution_id
    return ""


_OF_EXECUTION = (
    *(ExecutionCreated, FlowResolved, KillRequested, ExecutionDue),
    *(SlotGranted, SlotDenied, ForceRun),
)
_OF_TASK_RUN = (
    *(Claimed, Result, TaskReport, Returned, TimerDue, Undeliverable, NoWorker, PublishAgain),
    *(ResumeRequested, ChildReported),
)
_HANDLERS: dict[type, Callable[[Turn, Any], None]] = {
    ExecutionCreated: beginnings.created,
    FlowResolved: beginnings.resolved,
    Claimed: _claimed,
    Result: _result,
    TaskReport: _task_reported,
    Returned: _returned,
    Undeliverable: _undeliverable,
    NoWorker: _no_worker,
    PublishAgain: _publish_again,
    GroupLive: groups.live,
    SettingChanged: groups.changed,
    TimerDue: _timer_due,
    ExecutionDue: beginnings.due,
    ChildReported: _child_reported,
    SlotGranted: slots.granted,
    SlotDenied: slots.denied,
    ForceRun: slots.force,
    WorkerLost: _worker_lost,
    KillRequested: _kill,
    ResumeRequested: _resume,
}
