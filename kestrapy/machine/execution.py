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
    endings,
    epochs,
    flowables,
    groups,
    halts,
    reports,
    restoring,
    slots,
    subflows,
    sweeps,
    task_runs,
    timeouts,
    waking,
)
from kestrapy.machine.commands import (
    ChildReported,
    ChildWanted,
    Claimed,
    Command,
    ExecutionCreated,
    ExecutionDue,
    ExecutionRestored,
    FlowResolved,
    ForceRun,
    GroupLive,
    KillRequested,
    NoWorker,
    PauseRequested,
    PublishAgain,
    RestoringContinued,
    Result,
    ResumeAnswered,
    ResumeAsked,
    ResumeRequested,
    Returned,
    SettingChanged,
    SlotDenied,
    SlotGranted,
    SweepDue,
    TaskReport,
    TaskRunMarked,
    TimerDue,
    Undeliverable,
    WorkerLost,
)
from kestrapy.machine.entities import (
    Ended,
    Entity,
    EntityMap,
    Execution,
    KillNote,
    TaskRun,
    execution_key,
    execution_of,
    kill_note_key,
)
from kestrapy.machine.outputs import Output
from kestrapy.machine.turn import ContentMissing, Rules, Turn
from kestrapy.model.state import State
from kestrapy.model.worker_group import IGNORED

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
    if handler is not None and not _is_void(turn, command):
        handler(turn, command)
    _settle(turn)
    return Step(turn.changes, turn.outputs, turn.traces)


def _is_void(turn: Turn, command: Command) -> bool:
    """Whether it is about an execution that the rules failed upon, or a task run of one that has
    ended. A claim is answered all the same, and so is a parent.
    """
    execution_id = execution_named_by(command)
    if isinstance(command, SweepDue):
        return False
    known = turn.get(execution_key(execution_id), Entity) if execution_id else None
    has_ended = isinstance(known, Ended) and isinstance(command, _OF_TASK_RUN)
    if not (has_ended or sweeps.is_breaking(turn, execution_id)):
        return False
    if isinstance(command, Claimed):
        task_runs.claim(turn, None, command)
    elif isinstance(command, ChildWanted):
        reports.tell_missing(turn, command)
    return True


def _settle(turn: Turn) -> None:
    """Publish what there is room for, and tell what has changed."""
    groups.publish_waiting(turn, partial(_publish, turn))
    turn.finish()


def _publish(turn: Turn, run: TaskRun) -> None:
    """It may be of any execution: a bug that it meets harms that one, not whoever made room."""
    execution_id = run.execution_id
    if sweeps.is_breaking(turn, execution_id) or timeouts.is_stopped(turn, run):
        return  # a walk will meet it in a moment, and it has a place until then
    try:
        task_runs.publish(turn, run)
    except ContentMissing:
        raise
    except Exception as error:
        endings.break_off(turn, run.execution_id, f"{type(error).__name__}: {error}")


# Task runs


def _no_worker(turn: Turn, command: NoWorker) -> None:
    run = epochs.find_waiting(turn, command.task_run_id, command.epoch)
    if run is None:
        return
    if epochs.is_killed(turn, run):
        return epochs.go_on(turn, run, sweeps.kill_run(turn, run))
    group = turn.group(run.group)
    if group.workers and not group.settings.drained:
        return
    if run.fallback is not None and run.fallback.behavior == "CANCEL":
        return _kill(turn, KillRequested(run.execution_id))
    epochs.go_on(turn, run, task_runs.fall_back(turn, run))


def _child_reported(turn: Turn, command: ChildReported) -> None:
    run = subflows.reported(turn, command)
    if run is not None:
        endings.advance(turn, run.execution_id, run.ordinal)


def _setting_changed(turn: Turn, command: SettingChanged) -> None:
    if command.kind == IGNORED:
        halts.changed(turn, command)
    else:
        groups.changed(turn, command)


# Ending


def _kill(turn: Turn, command: KillRequested) -> None:
    restoring.kill(turn, command.execution_id)
    execution = turn.get(execution_key(command.execution_id), Entity)
    if isinstance(execution, Ended) and execution.until <= turn.at:
        execution = None  # forgotten, by this very command
    if execution is None:
        until = turn.at + KILL_NOTE_KEPT
        turn.put(kill_note_key(command.execution_id), KillNote(until))
    elif isinstance(execution, Execution) and execution.restoring and not execution.awaits:
        flowables.stop(turn, execution.id, State.KILLED)
    elif isinstance(execution, Execution) and execution.killing:
        turn.put_execution(endings.without_retry(execution))
    elif isinstance(execution, Execution) and execution.history.current is not State.KILLED:
        if execution.history.current in endings.NOT_BEGUN or execution.restoring:
            return endings.end(turn, execution.id, State.KILLED)
        turn.put_execution(replace(execution, spares=not command.cascade))
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
    elif isinstance(command, ChildWanted):
        reports.tell_missing(turn, command)
    elif isinstance(command, SweepDue):
        sweeps.stop(turn, execution_id)
        restoring.give_up(turn, execution_id)
    return Step(turn.changes, turn.outputs, turn.traces)


def execution_named_by(command: Command) -> str:
    """The execution that a command is about; empty where it is about several or none."""
    if isinstance(command, ResumeRequested):
        return command.execution_id or execution_of(command.task_run_id)
    if isinstance(command, _OF_TASK_RUN):
        return execution_of(command.task_run_id)
    if isinstance(command, _OF_EXECUTION):
        return command.execution_id
    return ""


_OF_EXECUTION = (
    *(ExecutionCreated, FlowResolved, KillRequested, ExecutionDue, SweepDue),
    *(PauseRequested, ResumeAsked),
    *(SlotGranted, SlotDenied, ForceRun),
    *(ExecutionRestored, RestoringContinued, ChildWanted),
)
_OF_TASK_RUN = (
    *(Claimed, Result, TaskReport, Returned, TimerDue, Undeliverable, NoWorker, PublishAgain),
    *(ResumeAnswered, ChildReported, TaskRunMarked),
)
_HANDLERS: dict[type, Callable[[Turn, Any], None]] = {
    ExecutionCreated: beginnings.created,
    FlowResolved: beginnings.resolved,
    Claimed: epochs.claimed,
    Result: epochs.result,
    TaskReport: epochs.task_reported,
    Returned: epochs.returned,
    Undeliverable: epochs.undeliverable,
    NoWorker: _no_worker,
    PublishAgain: epochs.publish_again,
    GroupLive: groups.live,
    SettingChanged: _setting_changed,
    TimerDue: waking.timer_due,
    ExecutionDue: beginnings.due,
    ChildReported: _child_reported,
    SlotGranted: slots.granted,
    SlotDenied: slots.denied,
    ForceRun: slots.force,
    SweepDue: restoring.sweep_due,
    WorkerLost: epochs.worker_lost,
    KillRequested: _kill,
    PauseRequested: waking.pause,
    ResumeRequested: waking.resume,
    ResumeAsked: waking.asked,
    ResumeAnswered: waking.answered,
    TaskRunMarked: waking.marked,
    ChildWanted: restoring.wanted,
    ExecutionRestored: restoring.take,
    RestoringContinued: restoring.go_on,
}
