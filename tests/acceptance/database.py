"""The database against the events: nothing missing, nothing twice, nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.assembly.parts import Parts
from kestrapy.machine.outputs import ExecutionEvent, ExecutionSnapshot, TaskRunSnapshot
from kestrapy.ports.store import ExecutionSearch, LogSearch, Order, Page, StoredExecution
from tests.acceptance.evidence import TIMEOUT, Seen, partitions_of

_PAGE = 1_000


def is_indexed(parts: Parts, store_url: str) -> bool:
    """Whether the database has come to the end of events and logs."""
    topics = (parts.catalogue.execution_events, parts.catalogue.logs)
    places = [place for topic in topics for place in partitions_of(parts, topic)]
    reader, writer = parts.log.reader(), SqlIndexWriter(store_url)
    try:
        ends = {it: reader.end_offset(it, TIMEOUT) for it in places}
        stored = writer.positions(places)
    finally:
        reader.close()
        writer.close()
    return all(stored.get(it, 0) >= end for it, end in ends.items())


def problems(store_url: str, events: list[Seen], logs: list[Seen]) -> list[str]:
    queries = SqlQueries(store_url)
    try:
        stored = {it.execution_id: it for it in _all_executions(queries)}
        wrong = [f"execution {it} is not stored" for it in _ids(events) - stored.keys()]
        wrong += [f"execution {it} is made up" for it in stored.keys() - _ids(events)]
        expected = _by_execution(events)
        for execution_id in sorted(stored.keys() & expected.keys()):
            found = queries.events(execution_id, -1, 10_000)
            wrong += _differences(stored[execution_id], found, expected[execution_id])
        lines = {_line(it.content): it.content for it in logs}
        rows = [_line(it) for it in queries.log_lines(LogSearch())]
        if len(rows) != len(set(rows)) or set(rows) != lines.keys():
            wrong.append(f"{len(rows)} log lines are stored, {len(lines)} were written")
        return wrong
    finally:
        queries.close()


def _differences(
    stored: StoredExecution, rows: list[ExecutionEvent], events: dict[int, ExecutionEvent]
) -> list[str]:
    wrong = []
    ordered = [events[number] for number in sorted(events)]
    if rows != ordered:
        wrong.append(f"{stored.execution_id}: {len(rows)} events stored, {len(ordered)} written")
    last: ExecutionSnapshot | None = None
    runs: dict[str, TaskRunSnapshot] = {}
    for event in ordered:
        last = event.execution or last
        if event.task_run is not None:
            runs[event.task_run.id] = event.task_run
    if stored.snapshot != last:
        wrong.append(f"{stored.execution_id} is stored as {stored.snapshot}, it is {last}")
    if {it.id: it for it in stored.task_runs} != runs:
        wrong.append(f"{stored.execution_id}: its task runs are stored wrongly")
    return wrong


def _all_executions(queries: SqlQueries) -> Iterator[StoredExecution]:
    page = 1
    while True:
        search = ExecutionSearch(order=Order("id"), size=_PAGE, page=page)
        found: Page[StoredExecution] = queries.executions(search)
        yield from found.results
        if len(found.results) < _PAGE:
            return
        page += 1


def _by_execution(events: list[Seen]) -> dict[str, dict[int, ExecutionEvent]]:
    found: dict[str, dict[int, ExecutionEvent]] = {}
    for seen in events:
        found.setdefault(seen.content.execution_id, {})[seen.content.number] = seen.content
    return found


def _ids(events: list[Seen]) -> set[str]:
    return {it.content.execution_id for it in events}


def _line(entry: object) -> tuple[object, ...]:
    return tuple(getattr(entry, it) for it in ("execution_id", "task_run_id", "epoch", "sequence"))
