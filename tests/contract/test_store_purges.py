"""The contract of ``ports.store`` on what is purged, over SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from kestrapy.adapters.sql.engine import open_engine
from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.tables import METADATA
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.machine.outputs import ExecutionPurge, LogPurge, MetricEntry
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.ports.store import Amounts, EndedSearch, ExecutionSearch, LogSearch
from tests.samples import line, of_execution, of_task_run

NOW = 1_000_000
DAY = 86_400_000
E1, E2 = (derive_execution_id(0, 1_000, name) for name in ("e1", "e2"))
FAR = derive_execution_id(1, 1_000, "e3")


def lines_purge(shard: int = 0, **changes: Any) -> LogPurge:
    return msgspec.structs.replace(LogPurge("p1", shard, NOW, "", "", "", [], None, NOW), **changes)


def forget(execution_id: str, number: int, **changes: Any) -> ExecutionPurge:
    purge = ExecutionPurge(execution_id, number, NOW, execution=True, logs=True, metrics=True)
    return msgspec.structs.replace(purge, **changes)


def finish(writer: SqlIndexWriter, most: int = 100, now: int = NOW) -> int:
    """-> in how many pieces."""
    pieces = 0
    while writer.purge(most, now):
        pieces += 1
    return pieces


def messages(queries: SqlQueries) -> list[str]:
    return sorted(it.message for it in queries.log_lines(LogSearch()))


def metric(execution_id: str) -> MetricEntry:
    of = {"namespace": "company.team", "flow_id": "hello", "task_id": "task0"}
    return MetricEntry(
        execution_id, f"{execution_id}-0", 1, 0, 5_000, "m", "counter", 1.0, {}, **of
    )


def whole(execution_id: str, number: int) -> list[Any]:
    """All that there is of an execution that succeeded, told by the events from number on."""
    return [
        of_execution(execution_id, number, State.CREATED, State.RUNNING, labels={"a": "b"}),
        of_task_run(execution_id, number + 1, 0, State.SUCCESS),
        of_execution(
            execution_id,
            number + 2,
            State.CREATED,
            State.RUNNING,
            State.SUCCESS,
            labels={"a": "b"},
        ),
        line(0, f"of {number}", execution_id=execution_id),
        metric(execution_id),
    ]


def rows_of(url: str, execution_id: str) -> dict[str, int]:
    """How many rows each table has of an execution, where it has any."""
    found = {}
    engine = open_engine(url)
    with engine.connect() as connection:
        for table in METADATA.sorted_tables:
            key = table.c.get("execution_id", table.c.get("id"))
            if key is not None:
                query = select(func.count()).select_from(table).where(key == execution_id)
                found[table.name] = connection.execute(query).scalar_one()
    engine.dispose()
    return {name: count for name, count in found.items() if count}


def test_lines_that_a_purge_names_are_deleted_in_pieces(
    writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    said = [line(it, f"{it}", "WARN" if it % 2 else "INFO", E1) for it in range(9)]
    writer.write([*said, line(0, "far", "WARN", FAR)], [])
    assert finish(writer) == 0
    purge = lines_purge(levels=["WARN"], start=5_003)
    assert queries.lines_to_purge(purge) == 3
    writer.write([purge], [])
    assert finish(writer, most=2) == 2
    assert messages(queries) == ["0", "1", "2", "4", "6", "8", "far"]
    writer.write([line(1, "late", "WARN", E1)], [])
    assert finish(writer) == 0 and "far" in messages(queries)
    writer.write([lines_purge(1), line(2, "before", execution_id=FAR)], [])
    finish(writer)
    assert messages(queries) == ["0", "1", "2", "4", "6", "8"]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"namespace": "company"}, ["x"]),
        ({"namespace": "compan_"}, ["a", "b", "x"]),
        ({"namespace": "company", "flow_id": "hello"}, ["a", "b", "x"]),
        ({"namespace": "company.team", "flow_id": "hello"}, ["x"]),
        ({"execution_id": E2}, ["a", "x"]),
        ({"end": 5_001}, ["b"]),
        ({}, []),
    ],
)
def test_whose_lines_are_deleted(
    writer: SqlIndexWriter, queries: SqlQueries, changes: dict[str, Any], kept: list[str]
) -> None:
    other = msgspec.structs.replace(line(0, "x", execution_id=E1), sequence=3, namespace="companyx")
    writer.write([line(0, "a", execution_id=E1), line(1, "b", execution_id=E2), other], [])
    purge = lines_purge(**changes)
    assert queries.lines_to_purge(purge) == 3 - len(kept)
    writer.write([purge], [])
    finish(writer)
    assert messages(queries) == kept


def test_ended_executions_are_found_by_id(writer: SqlIndexWriter, queries: SqlQueries) -> None:
    writer.write(
        [
            of_execution("e1", 1, State.RUNNING, at=100),
            of_execution("e2", 2, State.RUNNING, State.SUCCESS, at=200),
            of_execution("e3", 3, State.RUNNING, State.FAILED, at=300, namespace="company"),
            of_execution("e4", 4, State.RUNNING, State.FAILED, at=400, flow_id="other"),
            of_execution("e5", 5, State.RUNNING, State.PAUSED, at=500),
        ],
        [],
    )

    def found(above: str = "", size: int = 10, end: int = 1_000, **search: Any) -> list[str]:
        some = queries.ended(EndedSearch(end, **search), above, size)
        return [it.execution_id for it in some]

    assert found() == ["e2", "e3", "e4"]
    assert found(size=1, above="e2") == ["e3"]
    assert found(states=["FAILED"]) == ["e3", "e4"]
    assert found(namespace="company") == ["e2", "e3", "e4"]
    assert found(namespace="company", flow_id="hello") == ["e3"]
    assert found(end=401, start=300) == ["e3"]


def test_nothing_is_left_of_an_execution(
    url: str, writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    writer.write([*whole(E1, 10), *whole(E2, 20)], [])
    assert queries.amounts([E1, E2, FAR]) == Amounts(2, 2)
    writer.write([forget(E1, 12)], [])
    assert queries.execution(E1) is None
    assert [it.execution_id for it in queries.executions(ExecutionSearch()).results] == [E2]
    assert finish(writer, most=2) == 4  # six rows are left: 3 of events, 1 of each other
    assert rows_of(url, E1) == {"purges": 1}
    assert set(rows_of(url, E2)) == {
        "executions", "execution_events", "task_runs", "labels", "logs", "metrics"
    }  # fmt: skip


def test_it_does_not_come_back_in_part(
    url: str, writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    """Neither by what a former owner repeats, nor by what is said of it later, for a week."""
    writer.write([*whole(E1, 10), forget(E1, 12)], [])
    writer.write(whole(E1, 10), [])
    finish(writer)
    assert writer.write([*whole(E1, 10), *whole(E1, 40), *whole(E2, 60)], []) == 0
    assert rows_of(url, E1) == {"purges": 1}
    assert queries.execution(E2) is not None
    finish(writer, now=NOW + 7 * DAY)
    assert rows_of(url, E1) == {"purges": 1}
    finish(writer, now=NOW + 7 * DAY + 1)
    assert rows_of(url, E1) == {}


@pytest.mark.parametrize("number", [10, 11, 13])
def test_one_that_moved_since_stays(
    writer: SqlIndexWriter, queries: SqlQueries, number: int
) -> None:
    writer.write(whole(E1, 10), [])
    writer.write([forget(E1, number)], [])
    assert finish(writer) == 0
    assert queries.execution(E1) is not None and messages(queries) == ["of 10"]


def test_one_that_runs_stays(url: str, writer: SqlIndexWriter, queries: SqlQueries) -> None:
    """Also where it was restarted in the batch that has the purge."""
    writer.write([of_execution(E1, 1, State.RUNNING), forget(E1, 1), forget(FAR, 1)], [])
    restarted = of_execution(E2, 25, State.RUNNING, State.SUCCESS, State.RESTARTED)
    writer.write([*whole(E2, 20), forget(E2, 22), restarted], [])
    assert finish(writer) == 0
    assert queries.execution(E1) is not None
    assert queries.execution(E2) is not None and len(queries.events(E2, 0, 10)) == 4
    assert rows_of(url, FAR) == {}


def test_only_lines_or_metrics_are_deleted_of_one_that_may_go_on(
    writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    writer.write([*whole(E1, 10), forget(E1, 12, execution=False, metrics=False)], [])
    later = msgspec.structs.replace(line(1, "later", execution_id=E1), at=NOW)
    writer.write([later], [])
    finish(writer)
    assert queries.execution(E1) is not None
    assert messages(queries) == ["later"]
    assert queries.amounts([E1]) == Amounts(1, 1)
    writer.write([line(2, "even later", execution_id=E1), forget(E1, 12, logs=False)], [])
    finish(writer)
    assert queries.execution(E1) is None
    assert queries.amounts([E1]) == Amounts(2, 0)
