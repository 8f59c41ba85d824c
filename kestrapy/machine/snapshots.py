"""Entities as readers of ``execution-events`` see them."""

from __future__ import annotations

from typing import Any

import msgspec

from kestrapy.machine.entities import Attempt, Content, Execution, TaskRun
from kestrapy.machine.outputs import (
    AttemptSnapshot,
    ExecutionSnapshot,
    StateChange,
    TaskRunSnapshot,
)
from kestrapy.model.state import State, StateHistory


def _changes(history: StateHistory) -> list[StateChange]:
    return [StateChange(change.state, change.at) for change in history.histories]


def execution_snapshot(execution: Execution, content: Content, variables: str) -> ExecutionSnapshot:
    """variables: JSON object."""
    trigger = content.trigger
    return ExecutionSnapshot(
        state=execution.history.current,
        histories=_changes(execution.history),
        inputs=content.inputs,
        outputs=execution.outputs,
        labels=content.labels,
        variables=variables,
        trigger=None
        if trigger is None
        else _trigger_text(trigger.id, trigger.type, trigger.variables),
        error=execution.error,
        **_lineage(content),
        schedule_date=content.schedule_date or None,
        waits_for=execution.waits_for,
    )


def _lineage(content: Content) -> dict[str, Any]:
    if content.lineage is None:
        return {}
    given: dict[str, Any] = msgspec.structs.asdict(content.lineage)
    return given


def _trigger_text(trigger_id: str, trigger_type: str, variables: str) -> str:
    return msgspec.json.encode(
        {"id": trigger_id, "type": trigger_type, "variables": msgspec.Raw(variables.encode())}
    ).decode()


def _attempt(attempt: Attempt) -> AttemptSnapshot:
    return AttemptSnapshot(
        epoch=attempt.epoch,
        worker_id=attempt.worker_id,
        histories=_changes(attempt.history),
        log_file=attempt.log_file,
    )


def _attempts(run: TaskRun) -> list[AttemptSnapshot]:
    """Those of workers. A run that none had to do with has one of its own, of epoch 0."""
    if run.attempts or (run.epoch and run.scope is None):
        return [_attempt(attempt) for attempt in run.attempts]
    if run.state is State.CREATED:
        return []
    return [AttemptSnapshot(epoch=0, worker_id="", histories=_changes(run.history))]


def task_run_snapshot(run: TaskRun, *, removed: bool = False) -> TaskRunSnapshot:
    return TaskRunSnapshot(
        id=run.id,
        task_id=run.task_id,
        parent_id="" if run.parent < 0 else f"{run.execution_id}-{run.parent}",
        value=run.value,
        iteration=run.iteration,
        ordinal=run.ordinal,
        state=run.state,
        histories=_changes(run.history),
        attempts=_attempts(run),
        outputs=run.outputs,
        error=run.error,
        worker_group=run.group,
        worker_id=run.worker_id,
        epoch=run.epoch,
        removed=removed,
    )
