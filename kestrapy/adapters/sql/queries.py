"""What webserver and tasks ask. Every value is a parameter; sorting is by fields that are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, and_, func, or_, select, text
from sqlalchemy.sql.elements import ColumnElement

from kestrapy.adapters.sql.engine import open_engine, transaction
from kestrapy.adapters.sql.purges import line_conditions, within
from kestrapy.adapters.sql.rows import (
    event_of,
    execution_snapshot_of,
    log_of,
    metric_of,
    task_run_snapshot_of,
    trigger_of,
)
from kestrapy.adapters.sql.tables import (
    EXECUTION_EVENTS,
    EXECUTIONS,
    LABEL_KEY_LENGTH,
    LABEL_VALUE_LENGTH,
    LABELS,
    LOGS,
    METRICS,
    TASK_RUNS,
    TRIGGERS,
)
from kestrapy.machine.outputs import (
    ExecutionEvent,
    LogEntry,
    LogPurge,
    MetricEntry,
    TaskRunSnapshot,
    TriggerEvent,
)
from kestrapy.model.state import TERMINAL
from kestrapy.ports.store import (
    Amounts,
    CountSearch,
    EndedSearch,
    ExecutionSearch,
    FlowCount,
    LogSearch,
    Order,
    Page,
    StoredExecution,
    TriggerSearch,
)

_LINES_PER_FETCH = 1000
_FLOWS_PER_QUERY = 200

_EXECUTION_FIELDS: dict[str, ColumnElement[Any]] = {
    "id": EXECUTIONS.c.id,
    "namespace": EXECUTIONS.c.namespace,
    "flowId": EXECUTIONS.c.flow_id,
    "state": EXECUTIONS.c.state,
    "startDate": EXECUTIONS.c.start_at,
    "endDate": EXECUTIONS.c.end_at,
    "duration": EXECUTIONS.c.end_at - EXECUTIONS.c.start_at,
}

Condition = ColumnElement[bool]


class SqlQueries:
    """``Queries`` on a migrated database."""

    def __init__(self, url: str):
        self._engine = open_engine(url)

    def execution(self, execution_id: str, number: int | None = None) -> StoredExecution | None:
        with transaction(self._engine) as connection:
            if number is not None:
                return _execution_at(connection, execution_id, number)
            query = select(EXECUTIONS).where(EXECUTIONS.c.id == execution_id)
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            return _executions(connection, [row])[0]

    def newest_number(self, execution_id: str) -> int | None:
        columns = EXECUTION_EVENTS.c
        query = (
            select(columns.number)
            .where(columns.execution_id == execution_id)
            .order_by(columns.number.desc())
            .limit(1)
        )
        with transaction(self._engine) as connection:
            return connection.execute(query).scalar_one_or_none()

    def events(self, execution_id: str, above: int, size: int) -> list[ExecutionEvent]:
        columns = EXECUTION_EVENTS.c
        query = (
            select(EXECUTION_EVENTS)
            .where(columns.execution_id == execution_id, columns.number > above)
            .order_by(columns.number)
            .limit(size)
        )
        with transaction(self._engine) as connection:
            return [event_of(row) for row in connection.execute(query).mappings()]

    def executions(self, search: ExecutionSearch) -> Page[StoredExecution]:
        conditions = _execution_conditions(search)
        query = select(EXECUTIONS).where(*conditions).order_by(*_sorted(search.order))
        with transaction(self._engine) as connection:
            rows = connection.execute(_page(query, search.size, search.page)).mappings().all()
            total = _count(connection, EXECUTIONS, conditions)
            return Page(_executions(connection, rows), total)

    def heads(self, search: ExecutionSearch, above: str, size: int) -> list[StoredExecution]:
        conditions = [*_execution_conditions(search), EXECUTIONS.c.id > above]
        query = select(EXECUTIONS).where(*conditions).order_by(EXECUTIONS.c.id).limit(size)
        return self._heads(query)

    def heads_of(self, ids: Sequence[str]) -> list[StoredExecution]:
        return self._heads(select(EXECUTIONS).where(EXECUTIONS.c.id.in_(ids)))

    def _heads(self, query: Select[Any]) -> list[StoredExecution]:
        with transaction(self._engine) as connection:
            rows = connection.execute(query).mappings()
            return [_stored(row["id"], row, row["number"], ()) for row in rows]

    def counts(self, search: CountSearch) -> list[FlowCount]:
        columns = EXECUTIONS.c
        conditions = _count_conditions(search)
        found: dict[FlowCount, None] = {}
        with transaction(self._engine) as connection:
            for of in _flow_conditions(search):
                query = (
                    select(columns.namespace, columns.flow_id, func.count())
                    .where(of, *conditions)
                    .group_by(columns.namespace, columns.flow_id)
                )
                found |= dict.fromkeys(FlowCount(*row) for row in connection.execute(query))
        return sorted(found)

    def ended(self, search: EndedSearch, above: str, size: int) -> list[StoredExecution]:
        columns = EXECUTIONS.c
        conditions = [
            columns.id > above,
            columns.state.in_(search.states or sorted(TERMINAL)),
            columns.end_at < search.end,
        ]
        if search.start is not None:
            conditions.append(columns.start_at >= search.start)
        if search.namespace:
            conditions.append(within(EXECUTIONS, search.namespace, search.flow_id))
        if search.flow_id:
            conditions.append(columns.flow_id == search.flow_id)
        return self._heads(select(EXECUTIONS).where(*conditions).order_by(columns.id).limit(size))

    def amounts(self, ids: Sequence[str]) -> Amounts:
        with transaction(self._engine) as connection:
            return Amounts(
                *(
                    _count(connection, table, [table.c.execution_id.in_(ids)])
                    for table in (LOGS, METRICS)
                )
            )

    def lines_to_purge(self, purge: LogPurge) -> int:
        with transaction(self._engine) as connection:
            return _count(connection, LOGS, line_conditions(purge))

    def logs(self, search: LogSearch) -> Page[LogEntry]:
        conditions = _log_conditions(search)
        with transaction(self._engine) as connection:
            query = _page(_log_query(conditions), search.size, search.page)
            found = [log_of(row) for row in connection.execute(query).mappings()]
            return Page(found, _count(connection, LOGS, conditions))

    def log_lines(self, search: LogSearch) -> Iterable[LogEntry]:
        query = _log_query(_log_conditions(search))
        return self._stream(query)

    def _stream(self, query: Select[Any]) -> Iterator[LogEntry]:
        with transaction(self._engine) as connection:
            options = {"yield_per": _LINES_PER_FETCH}
            found = connection.execution_options(**options).execute(query)
            for row in found.mappings():
                yield log_of(row)

    def metrics(self, execution_id: str, size: int, page: int) -> Page[MetricEntry]:
        columns = METRICS.c
        conditions = [columns.execution_id == execution_id]
        query = (
            select(METRICS)
            .where(*conditions)
            .order_by(columns.at, columns.task_run_id, columns.epoch, columns.sequence)
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(_page(query, size, page)).mappings()
            found = [metric_of(row) for row in rows]
            return Page(found, _count(connection, METRICS, conditions))

    def triggers(self, search: TriggerSearch) -> Page[TriggerEvent]:
        columns = TRIGGERS.c
        conditions: list[Condition] = [columns.deleted.is_(False)]
        conditions += _below(TRIGGERS, search.namespace)
        if search.flow_id:
            conditions.append(columns.flow_id == search.flow_id)
        if search.text:
            conditions.append(columns.uid.contains(search.text, autoescape=True))
        query = (
            select(TRIGGERS.c.snapshot)
            .where(*conditions)
            .order_by(columns.namespace, columns.flow_id, columns.trigger_id)
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(_page(query, search.size, search.page)).mappings()
            found = [trigger_of(row) for row in rows]
            return Page(found, _count(connection, TRIGGERS, conditions))

    def trigger(self, uid: str) -> TriggerEvent | None:
        columns = TRIGGERS.c
        query = select(columns.snapshot).where(columns.uid == uid, columns.deleted.is_(False))
        with transaction(self._engine) as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else trigger_of(row)

    def ping(self) -> None:
        with transaction(self._engine) as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._engine.dispose()


def _page(query: Select[Any], size: int, page: int) -> Select[Any]:
    return query.limit(size).offset(size * (page - 1))


def _count(connection: Connection, table: Table, conditions: Sequence[Condition]) -> int:
    query = select(func.count()).select_from(table).where(*conditions)
    return connection.execute(query).scalar_one()


def _sorted(order: Order) -> list[ColumnElement[Any]]:
    field = _EXECUTION_FIELDS.get(order.field)
    if field is None:
        known = ", ".join(_EXECUTION_FIELDS)
        raise ValueError(f"executions can't be sorted by {order.field!r}: expected one of {known}")
    # The id as well, so that pages neither repeat nor miss an execution.
    by = (field, EXECUTIONS.c.id)
    return [it.desc() if order.descending else it.asc() for it in by]


def _below(table: Table, namespace: str) -> list[Condition]:
    """In this namespace, or one below it."""
    if not namespace:
        return []
    column = table.c.namespace
    return [or_(column == namespace, column.startswith(namespace + ".", autoescape=True))]


def _execution_conditions(search: ExecutionSearch) -> list[Condition]:
    columns = EXECUTIONS.c
    conditions = _below(EXECUTIONS, search.namespace)
    if search.flow_id:
        conditions.append(columns.flow_id == search.flow_id)
    if search.states:
        conditions.append(columns.state.in_(search.states))
    if search.start is not None:
        conditions.append(columns.start_at >= search.start)
    if search.end is not None:
        conditions.append(columns.start_at < search.end)
    return conditions + [_has_label(key, value) for key, value in search.labels]


def _count_conditions(search: CountSearch) -> list[Condition]:
    columns = EXECUTIONS.c
    conditions: list[Condition] = []
    if search.states:
        conditions.append(columns.state.in_(search.states))
    if search.start is not None:
        conditions.append(columns.start_at >= search.start)
    if search.end is not None:
        conditions.append(columns.end_at <= search.end)
    return conditions


def _flow_conditions(search: CountSearch) -> Iterator[Condition]:
    """Some of the flows and namespaces at a time: a statement's parameters are limited."""
    columns = EXECUTIONS.c
    flows, namespaces = list(dict.fromkeys(search.flows)), list(dict.fromkeys(search.namespaces))
    for start in range(0, len(flows), _FLOWS_PER_QUERY):
        some = flows[start : start + _FLOWS_PER_QUERY]
        yield or_(*(and_(columns.namespace == of, columns.flow_id == it) for of, it in some))
    for start in range(0, len(namespaces), _FLOWS_PER_QUERY):
        yield columns.namespace.in_(namespaces[start : start + _FLOWS_PER_QUERY])


def _has_label(key: str, value: str) -> Condition:
    labelled = and_(
        LABELS.c.execution_id == EXECUTIONS.c.id,
        LABELS.c.number == EXECUTIONS.c.number,
        LABELS.c.key == key[:LABEL_KEY_LENGTH],
        LABELS.c.value == value[:LABEL_VALUE_LENGTH],
    )
    return select(LABELS.c.key).where(labelled).exists()


def _log_conditions(search: LogSearch) -> list[Condition]:
    columns = LOGS.c
    conditions = _below(LOGS, search.namespace)
    for column, wanted in (
        (columns.execution_id, search.execution_id),
        (columns.task_run_id, search.task_run_id),
        (columns.task_id, search.task_id),
        (columns.flow_id, search.flow_id),
    ):
        if wanted:
            conditions.append(column == wanted)
    if search.levels:
        conditions.append(columns.level.in_(search.levels))
    if search.text:
        conditions.append(columns.message.contains(search.text, autoescape=True))
    if search.start is not None:
        conditions.append(columns.at >= search.start)
    if search.end is not None:
        conditions.append(columns.at < search.end)
    return conditions


def _log_query(conditions: Sequence[Condition]) -> Select[Any]:
    columns = LOGS.c
    return (
        select(LOGS)
        .where(*conditions)
        .order_by(columns.at, columns.task_run_id, columns.epoch, columns.sequence)
    )


def _executions(connection: Connection, rows: Sequence[RowMapping]) -> list[StoredExecution]:
    runs: dict[str, list[TaskRunSnapshot]] = {row["id"]: [] for row in rows}
    numbers: dict[str, int] = {row["id"]: row["number"] for row in rows}
    query = (
        select(TASK_RUNS)
        .where(TASK_RUNS.c.execution_id.in_(runs))
        .order_by(TASK_RUNS.c.execution_id, TASK_RUNS.c.ordinal)
    )
    for row in connection.execute(query).mappings():
        execution_id = row["execution_id"]
        numbers[execution_id] = max(numbers[execution_id], row["number"])
        runs[execution_id].append(task_run_snapshot_of(row))
    return [_stored(row["id"], row, numbers[row["id"]], runs[row["id"]]) for row in rows]


def _execution_at(connection: Connection, execution_id: str, number: int) -> StoredExecution | None:
    """From the events up to ``number``: the execution's last one, and each task run's."""
    columns = EXECUTION_EVENTS.c
    newest = (
        select(func.max(columns.number))
        .where(columns.execution_id == execution_id, columns.number <= number)
        .group_by(columns.task_run_id)
    )
    query = select(EXECUTION_EVENTS).where(
        columns.execution_id == execution_id, columns.number.in_(newest)
    )
    rows = connection.execute(query).mappings().all()
    execution = next((row for row in rows if row["task_run_id"] is None), None)
    if execution is None:
        return None
    runs = [task_run_snapshot_of(row) for row in rows if row["task_run_id"] is not None]
    runs.sort(key=lambda run: run.ordinal)
    return _stored(execution_id, execution, max(row["number"] for row in rows), runs)


def _stored(
    execution_id: str, row: RowMapping, number: int, runs: Sequence[TaskRunSnapshot]
) -> StoredExecution:
    return StoredExecution(
        execution_id=execution_id,
        namespace=row["namespace"],
        flow_id=row["flow_id"],
        flow_revision=row["flow_revision"],
        number=number,
        snapshot=execution_snapshot_of(row),
        task_runs=tuple(run for run in runs if not run.removed),
        count=runs[-1].ordinal + 1 if runs else 0,
    )
