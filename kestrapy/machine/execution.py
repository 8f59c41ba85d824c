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

from kestrapy.errors import ExpressionError, FlowRefused, InputRefused
from kestrapy.language.inputs import hide_secrets, resolve_inputs, undeclared
from kestrapy.language.reads import Reads
from kestrapy.language.values import offending_label
from kestrapy.machine import (
    blocks,
    directories,
    endings,
    flowables,
    groups,
    reports,
    subflows,
    task_runs,
    transitions,
)
from kestrapy.machine.commands import (
    ChildReported,
    Claimed,
    Command,
    ExecutionCreated,
    ExecutionDue,
    FlowResolved,
    GroupLive,
    KillRequested,
    NoWorker,
    PublishAgain,
    Result,
    ResumeRequested,
    Returned,
    SettingChanged,
    TaskReport,
    TimerDue,
    Undeliverable,
    WorkerLost,
)
from kestrapy.machine.entities import (
    Content,
    Ended,
    Entity,
    EntityMap,
    Execution,
    Holder,
    KillNote,
    TaskRun,
    content_key,
    execution_key,
    execution_of,
    holder_key,
    kill_note_key,
    run_key,
)
from kestrapy.machine.lists import ROOT
from kestrapy.machine.outputs import LogEntry, Output, Refusal
from kestrapy.machine.turn import ContentMissing, Rules, Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.flow import CORRELATION_ID, Flow
from kestrapy.model.registry import CALLS
from kestrapy.model.state import State, begin

LEFT_OUT_TOLD = 20
"""Lines, at most, about inputs that a flow does not declare."""
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


# Beginning


def _created(turn: Turn, command: ExecutionCreated) -> None:
    if turn.get(execution_key(command.execution_id), Entity) is not None:
        return
    execution = _admit(turn, command)
    if turn.get(kill_note_key(execution.id), KillNote) is not None:
        turn.drop(kill_note_key(execution.id))
        endings.end(turn, execution.id, State.KILLED)
    elif execution.awaits:
        turn.touch(execution.id)
    else:
        _begin(turn, execution.id)


def _admit(turn: Turn, command: ExecutionCreated) -> Execution:
    turn.put(
        content_key(command.execution_id),
        Content(
            inputs=command.inputs,
            labels={**command.labels, CORRELATION_ID: _correlation(command)},
            trigger=command.trigger,
            inline=command.inline,
            requested=command.requested,
            job_requested=command.job_requested,
            redrives=command.redrives,
            lineage=command.lineage,
            schedule_date=command.not_before,
            parent=command.parent,
        ),
    )
    return turn.put_execution(
        Execution(
            id=command.execution_id,
            namespace=command.namespace,
            flow_id=command.flow_id,
            revision=command.revision,
            history=begin(State.CREATED, turn.at),
            awaits="" if command.revision else "flow",
            traceparent=command.traceparent,
            due=command.not_before,
        )
    )


def _correlation(command: ExecutionCreated) -> str:
    return command.labels.get(CORRELATION_ID) or command.execution_id


def _resolved(turn: Turn, command: FlowResolved) -> None:
    execution = turn.get(execution_key(command.execution_id), Entity)
    if not isinstance(execution, Execution) or execution.awaits != "flow":
        return
    turn.put_execution(replace(execution, awaits="", revision=command.revision))
    if command.reason:
        _refuse(turn, execution.id, command.reason)
    else:
        _begin(turn, execution.id)


def _begin(turn: Turn, execution_id: str) -> None:
    """Start it, unless it is to wait for its date."""
    execution = turn.execution(execution_id)
    if execution.due > turn.at:
        turn.put_execution(replace(execution, awaits="date"))
        turn.touch(execution_id)
        reports.tell_started(turn, execution_id)
    else:
        turn.put_execution(replace(execution, awaits="", due=0))
        _start(turn, execution_id)


def _execution_due(turn: Turn, command: ExecutionDue) -> None:
    execution = turn.get(execution_key(command.execution_id), Entity)
    if not isinstance(execution, Execution) or not execution.due or execution.due != command.due:
        return
    turn.at = max(turn.at, command.due)
    if execution.awaits == "date":
        turn.put_execution(replace(execution, awaits=""))
        _begin(turn, execution.id)


def _start(turn: Turn, execution_id: str) -> None:
    """Type the inputs and begin with the first tasks; or refuse, visibly."""
    execution, content = turn.execution(execution_id), turn.content(execution_id)
    try:
        flow = turn.plan(execution).flow
        if flow.disabled:
            _hide_secrets(turn, execution, content)
            return _refuse(turn, execution_id, f"flow {flow.namespace}.{flow.id} is disabled")
        offender = offending_label(content.labels)
        if offender and content.requested is not None:
            _hide_secrets(turn, execution, content)
            problem = f"System labels can only be set by Kestra itself, offending label: {offender}"
            return _refuse(turn, execution_id, problem)
        inputs = _typed_inputs(turn, execution, content, flow)
    except InputRefused as error:
        _hide_secrets(turn, execution, content)
        return _refuse(turn, execution_id, str(error))
    except (FlowRefused, ExpressionError, msgspec.DecodeError) as error:
        return _refuse(turn, execution_id, str(error))
    inherited = content.parent.labels if content.parent is not None else {}
    labels = {**inherited, **flow.labels, **content.labels}
    turn.put(
        content_key(execution_id),
        replace(content, inputs=inputs, labels=labels, requested=None, job_requested=None),
    )
    history = transitions.enter(transitions.EXECUTION, execution.history, State.RUNNING, turn.at)
    turn.put_execution(replace(execution, history=history))
    reports.tell_started(turn, execution_id)
    endings.advance(turn, execution_id, ROOT)


def _typed_inputs(turn: Turn, execution: Execution, content: Content, flow: Flow) -> str:
    given = msgspec.json.decode(content.inputs)
    if not isinstance(given, dict):
        raise msgspec.DecodeError(f"inputs must be a JSON object, not {content.inputs[:100]}")
    if content.inline:
        return content.inputs
    reads = Reads((("flow",), ("execution",), ("labels",), ("vars",), ("trigger",)))
    variables = variables_of(turn, execution, turn.plan(execution), reads, None)
    typed = msgspec.json.encode(resolve_inputs(flow, given, variables)).decode()
    for number, problem in enumerate(undeclared(flow, given)[:LEFT_OUT_TOLD]):
        _warn(turn, execution, number, f"{problem.message}: it is left out")
    return typed


def _warn(turn: Turn, execution: Execution, sequence: int, message: str) -> None:
    """A log line of the execution, of none of its task runs."""
    entry = LogEntry(
        execution_id=execution.id,
        task_run_id="",
        epoch=0,
        attempt=0,
        sequence=sequence,
        at=turn.at,
        level="WARN",
        message=message,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        task_id="",
    )
    turn.emit(entry, execution.id)


def _hide_secrets(turn: Turn, execution: Execution, content: Content) -> None:
    """Whoever sent them let them be read in one topic: events and database need not show them."""
    try:
        given = msgspec.json.decode(content.inputs, type=dict[str, Any])
    except msgspec.DecodeError:
        return
    shown = msgspec.json.encode(hide_secrets(turn.plan(execution).flow, given)).decode()
    turn.put(content_key(execution.id), replace(content, inputs=shown))


def _refuse(turn: Turn, execution_id: str, reason: str) -> None:
    """A request that can't be run: a visible FAILED execution, and the request in the dead
    letter.
    """
    execution, content = turn.execution(execution_id), turn.content(execution_id)
    turn.put_execution(replace(execution, error=reason))
    record = content.requested or content.job_requested
    if record is not None:
        turn.emit(Refusal(record, reason, content.redrives), execution_id)
    endings.end(turn, execution_id, State.FAILED)


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
        if execution.history.current is State.CREATED:
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
        execution = _admit(turn, command)
    if isinstance(execution, Execution):
        endings.break_off(turn, execution.id, reason)
        _settle(turn)
    return Step(turn.changes, turn.outputs, turn.traces)


def execution_named_by(command: Command) -> str:
    """The execution that a command is about; empty where it is about several or none."""
    if isinstance(command, _OF_TASK_RUN):
        return execution_of(command.task_run_id)
    if isinstance(command, ExecutionCreated | FlowResolved | KillRequested | ExecutionDue):
        return command.execution_id
    return ""


_OF_TASK_RUN = (
    *(Claimed, Result, TaskReport, Returned, TimerDue, Undeliverable, NoWorker, PublishAgain),
    *(ResumeRequested, ChildReported),
)
_HANDLERS: dict[type, Callable[[Turn, Any], None]] = {
    ExecutionCreated: _created,
    FlowResolved: _resolved,
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
    ExecutionDue: _execution_due,
    ChildReported: _child_reported,
    WorkerLost: _worker_lost,
    KillRequested: _kill,
    ResumeRequested: _resume,
}
