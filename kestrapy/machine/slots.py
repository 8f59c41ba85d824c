"""Executions of a flow with a concurrency limit: they ask ``admission`` for a slot, and wait.

::

    CREATED ── SlotWanted ─▶ admission ── SlotGranted ─▶ RUNNING … end ── SlotReleased ─▶ admission
                                      └── SlotDenied ──▶ QUEUED ── SlotGranted ─▶ RUNNING
                                                         or CANCELLED, or FAILED

An execution that has asked says at its end that it is over, whether it ever ran or not. A restarted
one asks before its task runs come back: where it gets no slot, they stay in storage as they were.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine import endings, reports, transitions
from kestrapy.machine.commands import (
    ForceRun,
    RestoringContinued,
    SlotDenied,
    SlotGranted,
    SlotReleased,
    SlotWanted,
)
from kestrapy.machine.entities import Entity, Execution, execution_key
from kestrapy.machine.lists import ROOT
from kestrapy.machine.restored import Restoring, restoring_key
from kestrapy.machine.turn import Turn
from kestrapy.model.state import State

AWAITS = "slot"
replace = msgspec.structs.replace


def run(turn: Turn, execution_id: str) -> None:
    """From here on it runs."""
    execution = turn.execution(execution_id)
    if execution.restoring:
        return _come_back(turn, execution)
    history = transitions.enter(transitions.EXECUTION, execution.history, State.RUNNING, turn.at)
    turn.put_execution(replace(execution, history=history, awaits="", waits_for=""))
    if execution.history.current is State.CREATED:
        reports.tell_started(turn, execution_id)
    return endings.advance(turn, execution_id, ROOT)


def _come_back(turn: Turn, execution: Execution) -> None:
    """A restarted one: its task runs are unpacked from here on."""
    turn.put_execution(replace(execution, awaits="", waits_for=""))
    restoring = turn.need(restoring_key(execution.id), Restoring)
    following = RestoringContinued(execution.id, restoring.restoring, restoring.step)
    turn.emit(following, execution.id)


def ask(turn: Turn, execution_id: str) -> None:
    """It runs as soon as it is granted a slot."""
    execution = turn.execution(execution_id)
    turn.put_execution(replace(execution, awaits=AWAITS, limited=True))
    turn.emit(_wanted(turn, execution), execution_id)


def _wanted(turn: Turn, execution: Execution, *, forced: bool = False) -> SlotWanted:
    concurrency = turn.plan(execution).flow.concurrency
    return SlotWanted(
        execution.namespace,
        execution.flow_id,
        execution.id,
        execution.revision,
        limit=0 if concurrency is None else concurrency.limit,
        waits=concurrency is None or concurrency.behavior == "QUEUE",
        forced=forced,
        restarts=execution.restarts,
    )


def granted(turn: Turn, command: SlotGranted) -> None:
    """Whoever does not want its slot any more gives it back: it may not be kept from others."""
    execution = turn.get(execution_key(command.execution_id), Entity)
    if not isinstance(execution, Execution) or (execution.limited, execution.restarts) != (
        True,
        command.restarts,
    ):
        said = (command.namespace, command.flow_id, command.execution_id, command.restarts)
        return turn.emit(SlotReleased(*said))
    if execution.awaits != AWAITS:
        return None
    if command.more:
        turn.emit(_wanted(turn, execution), execution.id)
    return run(turn, execution.id)


def denied(turn: Turn, command: SlotDenied) -> None:
    """It waits in line, or ends, as its flow says."""
    execution = turn.get(execution_key(command.execution_id), Entity)
    if not isinstance(execution, Execution) or execution.awaits != AWAITS:
        return
    if execution.restarts != command.restarts:
        return
    concurrency = turn.plan(execution).flow.concurrency
    behavior = "QUEUE" if concurrency is None else concurrency.behavior
    reason = (
        f"{command.holding} executions of flow {execution.namespace}.{execution.flow_id} run,"
        f" and its concurrency limit is {command.limit}"
    )
    if behavior == "QUEUE":
        if execution.history.current in (State.CREATED, State.RESTARTED):
            _queue(turn, execution, f"{reason}; {command.ahead} wait before this one")
        return
    turn.put_execution(replace(execution, error=f"{reason}, with behavior {behavior}"))
    endings.end(turn, execution.id, State.CANCELLED if behavior == "CANCEL" else State.FAILED)


def _queue(turn: Turn, execution: Execution, reason: str) -> None:
    history = transitions.enter(transitions.EXECUTION, execution.history, State.QUEUED, turn.at)
    turn.put_execution(replace(execution, history=history, waits_for=reason))
    if not execution.restoring:
        reports.tell_started(turn, execution.id)
    turn.touch(execution.id)


def force(turn: Turn, command: ForceRun) -> None:
    """It asks once more, for a slot beyond the limit."""
    execution = turn.get(execution_key(command.execution_id), Entity)
    if isinstance(execution, Execution) and execution.history.current is State.QUEUED:
        turn.emit(_wanted(turn, execution, forced=True))  # nothing of it has changed yet
