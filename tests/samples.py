"""Events and log lines as tests need them, with as little said as possible."""

from __future__ import annotations

from typing import Any

from kestrapy.machine.outputs import (
    ExecutionEvent,
    ExecutionSnapshot,
    LogEntry,
    StateChange,
    TaskRunSnapshot,
)
from kestrapy.model.state import State


def snapshot(*states: State, labels: dict[str, str] | None = None, at: int = 1000) -> Any:
    return ExecutionSnapshot(
        state=states[-1],
        histories=[StateChange(state, at + place) for place, state in enumerate(states)],
        inputs='{"a": "\\u0000"}',
        outputs="{}",
        labels=labels or {},
        variables="{}",
        trigger=None,
        error="",
    )


def of_execution(execution_id: str, number: int, *states: State, **changes: Any) -> ExecutionEvent:
    labels, at = changes.pop("labels", None), changes.pop("at", 1000)
    fields = {"namespace": "company.team", "flow_id": "hello", "chain": f"c{number}"} | changes
    return ExecutionEvent(
        execution_id=execution_id,
        number=number,
        at=at + number,
        flow_revision=1,
        execution=snapshot(*states, labels=labels, at=at),
        **fields,
    )


def of_task_run(execution_id: str, number: int, ordinal: int, state: State) -> ExecutionEvent:
    run = TaskRunSnapshot(
        id=f"{execution_id}-{ordinal}",
        task_id=f"task{ordinal}",
        parent_id="",
        value=None,
        iteration=-1,
        ordinal=ordinal,
        state=state,
        histories=[StateChange(state, number)],
        attempts=[],
        outputs="{}",
        error="",
        worker_group="",
        worker_id="",
        epoch=1,
    )
    return ExecutionEvent(
        execution_id=execution_id,
        number=number,
        at=number,
        namespace="company.team",
        flow_id="hello",
        flow_revision=1,
        task_run=run,
        chain=f"c{number}",
    )


def line(sequence: int, message: str, level: str = "INFO", execution_id: str = "e1") -> LogEntry:
    return LogEntry(
        execution_id=execution_id,
        task_run_id=f"{execution_id}-0",
        epoch=1,
        attempt=1,
        sequence=sequence,
        at=5000 + sequence,
        level=level,
        message=message,
        namespace="company.team",
        flow_id="hello",
        task_id="task0",
    )
