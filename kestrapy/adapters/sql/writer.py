"""Rows and positions, written together: what makes the indexer's work exactly once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from kestrapy.adapters.sql.engine import open_engine, transaction
from kestrapy.adapters.sql.purges import fitting, noting, purge_rows, purge_some, purged
from kestrapy.adapters.sql.rows import (
    Values,
    event_row,
    execution_row,
    flow_row,
    label_rows,
    log_row,
    metric_row,
    task_run_row,
    trigger_row,
)
from kestrapy.adapters.sql.tables import (
    EXECUTION_EVENTS,
    EXECUTIONS,
    FLOWS,
    LABELS,
    LOGS,
    METRICS,
    OFFSETS,
    PURGES,
    TASK_RUNS,
    TRIGGERS,
)
from kestrapy.machine.outputs import (
    ExecutionEvent,
    ExecutionPurge,
    FlowRevision,
    LogEntry,
    LogPurge,
    MetricEntry,
    TriggerEvent,
)
from kestrapy.model.ids import SHARD_LENGTH
from kestrapy.ports.log import Partition
from kestrapy.ports.store import Advance, PositionMoved, Purge, Row

_KEYS_PER_QUERY = 400
"""Keys of two columns that are asked for at once: a statement's parameters are limited."""


class SqlIndexWriter:
    """An ``IndexWriter`` on a migrated database.

    Its statements are built once: SQLAlchemy takes longer to build one than SQLite to run it.
    """

    def __init__(self, url: str):
        self._engine: Engine = open_engine(url)
        insert: Any = sqlite_insert if self._engine.dialect.name == "sqlite" else postgres_insert
        self._inserts = {it: insert(it).on_conflict_do_nothing() for it in _INSERTED}
        self._upserts = {it: _upsert(insert(it), it) for it in _REPLACED}
        self._noting = noting(insert(PURGES))
        self._first = self._inserts[OFFSETS].returning(OFFSETS.c.next)

    def positions(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        wanted = set(partitions)
        with transaction(self._engine) as connection:
            rows = connection.execute(select(OFFSETS)).all()
        stored = {Partition(row.topic, row.partition): row.next for row in rows}
        return {partition: stored[partition] for partition in wanted & stored.keys()}

    def write(self, rows: Sequence[Row], advances: Sequence[Advance]) -> int:
        with transaction(self._engine, writes=True) as connection:
            # First of all: this locks the positions, so that what follows has no rival.
            self._advance(connection, advances)
            rows = _without_purged(connection, rows)
            diverged = self._write_events(
                connection, [row for row in rows if isinstance(row, ExecutionEvent)]
            )
            for record, table, values in _APPENDED:
                found = [values(row) for row in rows if isinstance(row, record)]
                self._append(connection, table, found)
            self._write_purges(connection, rows)
            triggers = [trigger_row(row) for row in rows if isinstance(row, TriggerEvent)]
            self._replace(connection, TRIGGERS, _newest(triggers, "uid"))
            return diverged

    def purge(self, most: int, now: int) -> bool:
        with transaction(self._engine, writes=True) as connection:
            return purge_some(connection, most, now)

    def close(self) -> None:
        self._engine.dispose()

    def _advance(self, connection: Connection, advances: Sequence[Advance]) -> None:
        """In one order, so that two indexers can't wait for each other."""
        moves = []
        for advance in sorted(advances, key=lambda it: it.partition):
            (topic, partition), stands, goes = advance.partition, advance.stands, advance.goes
            if stands is not None:
                moves.append({"of": topic, "at": partition, "stands": stands, "goes": goes})
                continue
            row = {"topic": topic, "partition": partition, "next": goes}
            if connection.execute(self._first, row).first() is None:
                raise PositionMoved(f"{topic}[{partition}] has a position by now")
        if moves and connection.execute(_MOVE, moves).rowcount != len(moves):
            raise PositionMoved(f"one of {_places(moves)} is no longer there")

    def _write_events(self, connection: Connection, events: list[ExecutionEvent]) -> int:
        """-> how many executions diverged. What is there already is written nowhere again."""
        chains = self._known_chains(connection, events)
        diverged = set()
        fresh = []
        for event in events:
            key = (event.execution_id, event.number)
            if key not in chains:
                chains[key] = event.chain
                fresh.append(event)
            elif chains[key] != event.chain:
                diverged.add(event.execution_id)
        self._append(connection, EXECUTION_EVENTS, [event_row(event) for event in fresh])
        executions = _newest(
            [execution_row(it, it.execution) for it in fresh if it.execution], "id"
        )
        self._replace(connection, EXECUTIONS, _newest(executions, "id"))
        labels = [label for event in fresh for label in label_rows(event)]
        self._replace(connection, LABELS, _newest(labels, "execution_id", "key"))
        runs = [task_run_row(it, it.task_run) for it in fresh if it.task_run]
        self._replace(connection, TASK_RUNS, _newest(runs, "execution_id", "id"))
        return len(diverged)

    def _write_purges(self, connection: Connection, rows: Sequence[Row]) -> None:
        """After all else: so what stands before them in a batch is deleted too."""
        of_executions = [row for row in rows if isinstance(row, ExecutionPurge)]
        purges: list[Purge] = [
            *(row for row in rows if isinstance(row, LogPurge)),
            *fitting(connection, of_executions),
        ]
        if purges:
            connection.execute(self._noting, purge_rows(purges))

    def _known_chains(
        self, connection: Connection, events: Sequence[ExecutionEvent]
    ) -> dict[tuple[str, int], str]:
        """Of the events that are there already. Looked up by execution and from the batch's lowest
        number on, for each shard by itself, whose numbers rise: the index has little to show where
        all is new. (A row of two values IN a list is a scan of the whole table to SQLite.)
        """
        chains: dict[tuple[str, int], str] = {}
        for numbers in _by_shard(events):
            lowest, ids = min(numbers.values()), list(numbers)
            for start in range(0, len(ids), _KEYS_PER_QUERY):
                some = {"ids": ids[start : start + _KEYS_PER_QUERY], "lowest": lowest}
                chains.update({(it[0], it[1]): it[2] for it in connection.execute(_KNOWN, some)})
        return chains

    def _append(self, connection: Connection, table: Table, rows: list[Values]) -> None:
        if rows:
            connection.execute(self._inserts[table], rows)

    def _replace(self, connection: Connection, table: Table, rows: list[Values]) -> None:
        """Upsert, where the row that is there has a lower number."""
        if rows:
            connection.execute(self._upserts[table], rows)


def _upsert(insert: Any, table: Table) -> Any:
    keys = [column.name for column in table.primary_key]
    return insert.on_conflict_do_update(
        index_elements=keys,
        set_={it.name: insert.excluded[it.name] for it in table.c if it.name not in keys},
        where=insert.excluded.number > table.c.number,
    )


def _places(moves: Iterable[Values]) -> str:
    return ", ".join(f"{it['of']}[{it['at']}] at {it['stands']}" for it in moves)


def _without_purged(connection: Connection, rows: Sequence[Row]) -> Sequence[Row]:
    """Without what comes late of executions that were purged."""
    ids = [row.execution_id for row in rows if isinstance(row, _OF_EXECUTIONS)]
    gone = purged(connection, ids)
    return [row for row in rows if not _is_gone(row, gone)] if gone else rows


def _is_gone(row: Row, gone: Mapping[str, ExecutionPurge]) -> bool:
    purge = gone.get(row.execution_id) if isinstance(row, _OF_EXECUTIONS) else None
    if purge is None:
        return False
    if isinstance(row, ExecutionEvent):
        return purge.execution
    return purge.logs if isinstance(row, LogEntry) else purge.metrics


def _by_shard(events: Sequence[ExecutionEvent]) -> list[dict[str, int]]:
    """For each shard the lowest number of each of its executions."""
    shards: dict[str, dict[str, int]] = {}
    for event in events:
        numbers = shards.setdefault(event.execution_id[:SHARD_LENGTH], {})
        known = numbers.get(event.execution_id, event.number)
        numbers[event.execution_id] = min(event.number, known)
    return list(shards.values())


def _newest(rows: Iterable[Values], *keys: str) -> list[Values]:
    """The row of the highest number of each key: a batch touches each row once."""
    found: dict[tuple[Any, ...], Values] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        if key not in found or found[key]["number"] < row["number"]:
            found[key] = row
    return list(found.values())


_OF_EXECUTIONS = (ExecutionEvent, LogEntry, MetricEntry)
_APPENDED: tuple[tuple[type[Any], Table, Callable[[Any], Values]], ...] = (
    (LogEntry, LOGS, log_row),
    (MetricEntry, METRICS, metric_row),
    (FlowRevision, FLOWS, flow_row),
)
_INSERTED = (OFFSETS, EXECUTION_EVENTS, *(table for _, table, _ in _APPENDED))
_REPLACED = (EXECUTIONS, LABELS, TASK_RUNS, TRIGGERS)
_MOVE = (
    update(OFFSETS)
    .where(
        OFFSETS.c.topic == bindparam("of"),
        OFFSETS.c.partition == bindparam("at"),
        OFFSETS.c.next == bindparam("stands"),
    )
    .values(next=bindparam("goes"))
)
_KNOWN = select(
    EXECUTION_EVENTS.c.execution_id, EXECUTION_EVENTS.c.number, EXECUTION_EVENTS.c.chain
).where(
    EXECUTION_EVENTS.c.execution_id.in_(bindparam("ids", expanding=True)),
    EXECUTION_EVENTS.c.number >= bindparam("lowest"),
)
