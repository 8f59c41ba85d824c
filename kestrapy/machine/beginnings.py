"""How an execution begins: it is admitted, its revision found, its date awaited, its inputs typed.

Then it runs, or asks for a slot first (``slots``).
"""

from __future__ import annotations

from typing import Any

import msgspec

from kestrapy.errors import ExpressionError, FlowRefused, InputRefused
from kestrapy.language.checks import failed_checks, most_severe
from kestrapy.language.inputs import hide_secrets, resolve_inputs, undeclared
from kestrapy.language.reads import Reads
from kestrapy.language.values import offending_label
from kestrapy.machine import endings, flowables, halts, reports, slas, slots
from kestrapy.machine.commands import (
    ExecutionCreated,
    ExecutionDue,
    FlowResolved,
)
from kestrapy.machine.entities import (
    Content,
    Entity,
    Execution,
    KillNote,
    content_key,
    execution_key,
    kill_note_key,
)
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.log_lines import say
from kestrapy.machine.outputs import Refusal
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.flow import CORRELATION_ID, Flow
from kestrapy.model.state import State, begin

FIRST_CHECK = 100
"""The sequence of the first check's line in the log of an execution."""
LEVELS = {"ERROR": "ERROR", "WARNING": "WARN"}
"""Of a check's line, by its style; INFO where none is here."""
LEFT_OUT_TOLD = 20
"""Lines, at most, about inputs that a flow does not declare."""

replace = msgspec.structs.replace


def created(turn: Turn, command: ExecutionCreated) -> None:
    if turn.get(execution_key(command.execution_id), Entity) is not None:
        return
    execution = admit(turn, command)
    if turn.get(kill_note_key(execution.id), KillNote) is not None:
        turn.drop(kill_note_key(execution.id))
        endings.end(turn, execution.id, State.KILLED)
    elif execution.awaits:
        turn.touch(execution.id)
    else:
        begin_in_time(turn, execution.id)


def admit(turn: Turn, command: ExecutionCreated) -> Execution:
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


def resolved(turn: Turn, command: FlowResolved) -> None:
    execution = turn.get(execution_key(command.execution_id), Entity)
    if not isinstance(execution, Execution) or execution.awaits != "flow":
        return
    turn.put_execution(replace(execution, awaits="", revision=command.revision))
    if command.reason:
        _refuse(turn, execution.id, command.reason)
    else:
        begin_in_time(turn, execution.id)


def begin_in_time(turn: Turn, execution_id: str) -> None:
    """Start it, unless it is to wait for its date, or to be left alone."""
    execution = turn.execution(execution_id)
    if execution.due > turn.at:
        turn.put_execution(replace(execution, awaits="date"))
        turn.touch(execution_id)
        reports.tell_started(turn, execution_id)
        return
    turn.put_execution(replace(execution, awaits="", due=0))
    if halts.is_ignored(turn, execution):
        turn.touch(execution_id)
        halts.look_again(turn, execution_id)
    else:
        _start(turn, execution_id)


def due(turn: Turn, command: ExecutionDue) -> None:
    execution = turn.get(execution_key(command.execution_id), Entity)
    if not isinstance(execution, Execution) or not execution.due or execution.due != command.due:
        return
    turn.at = max(turn.at, command.due)
    if execution.awaits == "date":
        turn.put_execution(replace(execution, awaits=""))
        begin_in_time(turn, execution.id)
    elif execution.killing:  # it ends anyhow
        turn.put_execution(replace(execution, due=0))
    else:
        _slas_due(turn, execution.id)


def _slas_due(turn: Turn, execution_id: str) -> None:
    ended = slas.due(turn, execution_id)
    if ended is None:
        return
    if turn.execution(execution_id).history.current in endings.NOT_BEGUN:
        return endings.end(turn, execution_id, ended)
    flowables.stop(turn, execution_id, ended)
    endings.kill_rest(turn, execution_id)


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
    slas.start(turn, execution_id)
    if flow.checks and not _pass_checks(turn, execution_id):
        return
    if flow.concurrency is not None:
        slots.ask(turn, execution_id)
    else:
        slots.run(turn, execution_id)


def _pass_checks(turn: Turn, execution_id: str) -> bool:
    """Whether it may run. Who asked for it was told already, where there was somebody to tell."""
    execution = turn.execution(execution_id)
    plan = turn.plan(execution)
    variables = variables_of(turn, execution, plan, plan.check_reads, None)
    failed = failed_checks(plan.flow, variables, FoldWorld(turn.at, execution_id))
    for number, check in enumerate(failed):
        level = LEVELS.get(check.style, "INFO")
        say(turn, execution, FIRST_CHECK + number, level, f"check failed: {check.message}")
    if most_severe(failed) in ("", "CREATE_EXECUTION"):
        return True
    reason = "; ".join(check.message for check in failed)
    _refuse(turn, execution_id, f"checks failed: {reason}")
    return False


def _typed_inputs(turn: Turn, execution: Execution, content: Content, flow: Flow) -> str:
    given = msgspec.json.decode(content.inputs)
    if not isinstance(given, dict):
        raise msgspec.DecodeError(f"inputs must be a JSON object, not {content.inputs[:100]}")
    if content.inline or not (given or flow.inputs):
        return content.inputs
    reads = Reads((("flow",), ("execution",), ("labels",), ("vars",), ("trigger",)))
    variables = variables_of(turn, execution, turn.plan(execution), reads, None)
    world = FoldWorld(turn.at, execution.id)
    typed = msgspec.json.encode(resolve_inputs(flow, given, variables, world)).decode()
    for number, problem in enumerate(undeclared(flow, given)[:LEFT_OUT_TOLD]):
        say(turn, execution, number, "WARN", f"{problem.message}: it is left out")
    return typed


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
