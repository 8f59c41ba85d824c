"""Records as rows, and rows as records again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping

from kestrapy.adapters.sql.tables import LABEL_KEY_LENGTH, LABEL_VALUE_LENGTH
from kestrapy.machine.outputs import (
    ExecutionEvent,
    ExecutionSnapshot,
    FlowRevision,
    LogEntry,
    MetricEntry,
    StateChange,
    TaskRunSnapshot,
    TriggerEvent,
)

Values = dict[str, Any]


def _text(value: str) -> str:
    """PostgreSQL keeps no NUL; what a task writes may have one, and must not stop a partition."""
    return value.replace("\0", "\ufffd")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def event_row(event: ExecutionEvent) -> Values:
    return {
        "execution_id": event.execution_id,
        "number": event.number,
        "at": event.at,
        "chain": event.chain,
        "task_run_id": event.task_run.id if event.task_run else None,
        "namespace": event.namespace,
        "flow_id": event.flow_id,
        "flow_revision": event.flow_revision,
        "snapshot": _json(event.task_run or event.execution),
    }


def execution_row(event: ExecutionEvent, snapshot: ExecutionSnapshot) -> Values:
    return {
        "id": event.execution_id,
        "number": event.number,
        "namespace": event.namespace,
        "flow_id": event.flow_id,
        "flow_revision": event.flow_revision,
        "state": snapshot.state,
        "start_at": snapshot.histories[0].at if snapshot.histories else event.at,
        "end_at": _end(snapshot.histories),
        "snapshot": _json(snapshot),
    }


def _end(histories: Sequence[StateChange]) -> int | None:
    return histories[-1].at if histories and histories[-1].state.is_terminal else None


def label_rows(event: ExecutionEvent) -> list[Values]:
    labels = event.execution.labels if event.execution else {}
    return [
        {
            "execution_id": event.execution_id,
            "key": _text(key)[:LABEL_KEY_LENGTH],
            "value": _text(value)[:LABEL_VALUE_LENGTH],
            "number": event.number,
        }
        for key, value in labels.items()
    ]


def task_run_row(event: ExecutionEvent, run: TaskRunSnapshot) -> Values:
    return {
        "execution_id": event.execution_id,
        "id": run.id,
        "number": event.number,
        "ordinal": run.ordinal,
        "task_id": run.task_id,
        "state": run.state,
        "snapshot": _json(run),
    }


def log_row(entry: LogEntry) -> Values:
    row = msgspec.structs.asdict(entry)
    return row | {"message": _text(entry.message)}


def metric_row(entry: MetricEntry) -> Values:
    row = msgspec.structs.asdict(entry)
    value = entry.value if math.isfinite(entry.value) else None
    return row | {"tags": _json(entry.tags), "value": value, "name": _text(entry.name)}


def flow_row(revision: FlowRevision) -> Values:
    return msgspec.structs.asdict(revision)


def trigger_row(event: TriggerEvent) -> Values:
    return {
        "uid": event.uid,
        "number": event.number,
        "namespace": event.namespace,
        "flow_id": event.flow_id,
        "trigger_id": event.trigger_id,
        "deleted": event.deleted,
        "next_at": event.next_date,
        "snapshot": _json(event),
    }


def event_of(row: RowMapping) -> ExecutionEvent:
    of_task_run = row["task_run_id"] is not None
    return ExecutionEvent(
        execution_id=row["execution_id"],
        number=row["number"],
        at=row["at"],
        namespace=row["namespace"],
        flow_id=row["flow_id"],
        flow_revision=row["flow_revision"],
        execution=None if of_task_run else execution_snapshot_of(row),
        task_run=task_run_snapshot_of(row) if of_task_run else None,
        chain=row["chain"],
    )


def execution_snapshot_of(row: RowMapping) -> ExecutionSnapshot:
    return msgspec.json.decode(row["snapshot"], type=ExecutionSnapshot)


def task_run_snapshot_of(row: RowMapping) -> TaskRunSnapshot:
    return msgspec.json.decode(row["snapshot"], type=TaskRunSnapshot)


def log_of(row: RowMapping) -> LogEntry:
    return LogEntry(**row)


def metric_of(row: RowMapping) -> MetricEntry:
    value = math.nan if row["value"] is None else row["value"]
    tags = msgspec.json.decode(row["tags"], type=dict[str, str])
    return MetricEntry(**{**row, "tags": tags, "value": value})


def trigger_of(row: RowMapping) -> TriggerEvent:
    return msgspec.json.decode(row["snapshot"], type=TriggerEvent)
