"""Deleting what is to be purged, some rows at a time, and remembering which executions were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    any_,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)

from kestrapy.adapters.sql.tables import (
    EXECUTION_EVENTS,
    EXECUTIONS,
    LABELS,
    LOGS,
    METRICS,
    PURGES,
    TASK_RUNS,
)
from kestrapy.machine.outputs import ExecutionPurge, LogPurge
from kestrapy.model.ids import prefix_of
from kestrapy.model.state import TERMINAL
from kestrapy.ports.store import Purge

EXECUTION, LINES = "execution", "logs"
"""Kinds of purges."""
_REMEMBERED_MS = 7 * 86_400_000
"""As long as the topics keep what could come late of an execution."""
_KEYS_PER_QUERY = 400

Condition = ColumnElement[bool]


def line_conditions(purge: LogPurge) -> list[Condition]:
    """Of the lines that it deletes, on all shards."""
    columns = LOGS.c
    conditions: list[Condition] = [columns.at < purge.end]
    if purge.start is not None:
        conditions.append(columns.at >= purge.start)
    if purge.namespace:
        conditions.append(within(LOGS, purge.namespace, purge.flow_id))
    if purge.flow_id:
        conditions.append(columns.flow_id == purge.flow_id)
    if purge.execution_id:
        conditions.append(columns.execution_id == purge.execution_id)
    if purge.levels:
        conditions.append(columns.level.in_(purge.levels))
    return conditions


def within(table: Table, namespace: str, flow_id: str) -> Condition:
    """In this namespace; where no flow is named, in those below it too."""
    column = table.c.namespace
    if flow_id:
        return column == namespace
    return or_(column == namespace, column.startswith(namespace + ".", autoescape=True))


def purged(connection: Connection, ids: Iterable[str]) -> dict[str, ExecutionPurge]:
    """Those of these executions that are no more; one of which only lines were purged goes on."""
    found: dict[str, ExecutionPurge] = {}
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), _KEYS_PER_QUERY):
        some = wanted[start : start + _KEYS_PER_QUERY]
        for row in connection.execute(_PURGED, {"ids": some}):
            purge = msgspec.json.decode(row[1], type=ExecutionPurge)
            if purge.execution:
                found[row[0]] = purge
    return found


_PURGED = select(PURGES.c.id, PURGES.c.content).where(
    PURGES.c.kind == EXECUTION, PURGES.c.id.in_(bindparam("ids", expanding=True))
)


def noting(insert: Any) -> Any:
    """An insert into ``PURGES``; of an execution that has one already, the newer purge holds."""
    again = {name: insert.excluded[name] for name in ("at", "done", "content")}
    return insert.on_conflict_do_update(index_elements=["kind", "id"], set_=again)


def fitting(connection: Connection, purges: Sequence[ExecutionPurge]) -> list[ExecutionPurge]:
    """Those whose execution has ended, and has not moved since the purge was asked for. Of what
    they delete of an execution its row goes at once: nobody finds it any more.
    """
    columns, found = EXECUTIONS.c, []
    for purge in purges:
        is_there = (columns.id == purge.execution_id, columns.number == purge.number)
        query = select(columns.id).where(*is_there, columns.state.in_(sorted(TERMINAL)))
        if connection.execute(query).first() is not None:
            found.append(purge)
            if purge.execution:
                connection.execute(delete(EXECUTIONS).where(*is_there))
    return found


def purge_rows(purges: Iterable[Purge]) -> list[dict[str, Any]]:
    """Rows of ``PURGES``, each once."""
    rows = {}
    for it in purges:
        if isinstance(it, LogPurge):
            key = (LINES, f"{it.id}/{it.shard}")
        else:
            key = (EXECUTION, it.execution_id)
        content = msgspec.json.encode(it).decode()
        rows[key] = {"kind": key[0], "id": key[1], "at": it.at, "done": False, "content": content}
    return list(rows.values())


def purge_some(connection: Connection, most: int, now: int) -> bool:
    """Of the oldest purge that is not done and that nobody else works at. -> whether there was
    one.
    """
    columns = PURGES.c
    query = select(PURGES).where(columns.done.is_(False)).order_by(columns.at, columns.id).limit(1)
    row = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
    if row is None:
        horizon = now - _REMEMBERED_MS
        connection.execute(delete(PURGES).where(columns.done.is_(True), columns.at < horizon))
        return False
    this = (columns.kind == row["kind"], columns.id == row["id"])
    if row["kind"] == LINES:
        lines = msgspec.json.decode(row["content"], type=LogPurge)
        is_done, stays = _purge_lines(connection, lines, most), False
    else:
        purge = msgspec.json.decode(row["content"], type=ExecutionPurge)
        is_done, stays = _forget(connection, purge, most), purge.execution
    if is_done and stays:
        connection.execute(update(PURGES).where(*this).values(done=True))
    elif is_done:
        connection.execute(delete(PURGES).where(*this))
    return True


def _purge_lines(connection: Connection, purge: LogPurge, most: int) -> bool:
    """-> whether none is left."""
    of_shard = LOGS.c.execution_id.startswith(prefix_of(purge.shard))
    conditions = [*line_conditions(purge), of_shard]
    return _delete(connection, LOGS, conditions, most) < most


def _forget(connection: Connection, purge: ExecutionPurge, most: int) -> bool:
    """-> whether nothing is left."""
    tables = [
        *((EXECUTION_EVENTS, TASK_RUNS, LABELS) if purge.execution else ()),
        *((LOGS,) if purge.logs else ()),
        *((METRICS,) if purge.metrics else ()),
    ]
    for table in tables:
        conditions: list[Condition] = [table.c.execution_id == purge.execution_id]
        if not purge.execution:  # it may be restarted, and say more
            conditions.append(table.c.at < purge.at)
        most -= _delete(connection, table, conditions, most)
        if most <= 0:
            return False
    return True


def _delete(
    connection: Connection, table: Table, conditions: Sequence[Condition], most: int
) -> int:
    """-> how many rows. The oldest lines first: their index leads to them."""
    is_sqlite = connection.dialect.name == "sqlite"
    place: ColumnElement[Any] = literal_column("rowid" if is_sqlite else "ctid")
    chosen = select(place).select_from(table).where(*conditions).limit(most)
    if table is LOGS:
        chosen = chosen.order_by(table.c.at)
    # PostgreSQL goes straight to an array of places; a list of them it would join to all rows.
    found = chosen.scalar_subquery()
    here = place.in_(chosen) if is_sqlite else place == any_(func.array(found))
    return connection.execute(delete(table).where(here)).rowcount
