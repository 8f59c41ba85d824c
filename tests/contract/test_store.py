"""The contract of ``ports.store``, over SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from kestrapy.adapters.sql.engine import open_engine
from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.schema import upgrade
from kestrapy.adapters.sql.tables import METADATA
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.errors import SettingsRefused
from kestrapy.machine.outputs import (
    FlowRevision,
    MetricEntry,
    TriggerEvent,
)
from kestrapy.model.state import State
from kestrapy.ports.log import Partition
from kestrapy.ports.store import (
    Advance,
    CountSearch,
    ExecutionSearch,
    LogSearch,
    Order,
    PositionMoved,
    StoreUnavailable,
    TriggerSearch,
)
from tests.samples import line, of_execution, of_task_run

EVENTS = Partition("events", 0)
LOGS = Partition("logs", 3)


def states(queries: SqlQueries, execution_id: str) -> tuple[str, list[str]]:
    found = queries.execution(execution_id)
    assert found is not None
    return found.snapshot.state, [run.state for run in found.task_runs]


def test_the_migrated_schema_is_the_tables_schema(url: str) -> None:
    upgrade(url)
    engine = open_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_servers_that_start_at_once_migrate_once(url: str) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        try:
            upgrade(url)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_schema_of_a_newer_build_is_refused(url: str) -> None:
    upgrade(url)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SettingsRefused, match="newer build"):
        upgrade(url)


def test_rows_and_positions_come_together(writer: SqlIndexWriter, queries: SqlQueries) -> None:
    rows = [
        of_execution("e1", 1, State.CREATED),
        of_task_run("e1", 2, 1, State.CREATED),
        of_task_run("e1", 3, 0, State.RUNNING),
        of_execution("e1", 4, State.CREATED, State.RUNNING),
    ]
    assert writer.write(rows, [Advance(EVENTS, None, 4), Advance(LOGS, None, 0)]) == 0
    assert states(queries, "e1") == ("RUNNING", ["RUNNING", "CREATED"])
    assert queries.newest_number("e1") == 4
    assert writer.positions([EVENTS, Partition("events", 1)]) == {EVENTS: 4}


def test_a_batch_from_elsewhere_than_the_position_changes_nothing(
    writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    writer.write([], [Advance(EVENTS, None, 4)])
    for stands in (None, 3, 5):
        with pytest.raises(PositionMoved):
            writer.write(
                [of_execution("e1", 1, State.CREATED)],
                [Advance(LOGS, None, 9), Advance(EVENTS, stands, 8)],
            )
    assert queries.execution("e1") is None
    assert writer.positions([EVENTS, LOGS]) == {EVENTS: 4}


def test_duplicates_and_older_events_change_nothing(
    writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    ended = of_execution("e1", 7, State.CREATED, State.SUCCESS, labels={"new": "1"})
    writer.write([ended, of_task_run("e1", 6, 0, State.SUCCESS)], [])
    older = of_execution("e1", 3, State.CREATED, State.RUNNING, labels={"old": "1"})
    assert writer.write([older, of_task_run("e1", 2, 0, State.RUNNING), ended, ended], []) == 0
    assert states(queries, "e1") == ("SUCCESS", ["SUCCESS"])
    assert queries.executions(ExecutionSearch(labels=[("old", "1")])).total == 0
    assert queries.executions(ExecutionSearch(labels=[("new", "1")])).total == 1


def test_an_execution_that_was_restarted_runs_again_without_what_was_taken_out(
    writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    """Its row goes back from a terminal state; ordinals that were given are not given again."""
    failed = of_execution("e1", 10, State.CREATED, State.FAILED)
    gone = of_task_run("e1", 30, 1, State.FAILED)
    assert gone.task_run is not None
    removed = msgspec.structs.replace(gone.task_run, removed=True)
    writer.write([failed, of_task_run("e1", 8, 0, State.FAILED)], [])
    writer.write([of_task_run("e1", 9, 1, State.FAILED)], [])
    writer.write(
        [
            of_execution("e1", 29, State.CREATED, State.FAILED, State.RESTARTED),
            msgspec.structs.replace(gone, task_run=removed),
        ],
        [],
    )
    found = queries.execution("e1")
    assert found is not None and found.snapshot.state is State.RESTARTED
    assert [run.ordinal for run in found.task_runs] == [0]
    assert (found.count, found.number) == (2, 30)
    before = queries.execution("e1", 10)
    assert before is not None and len(before.task_runs) == 2
    (searched,) = queries.executions(ExecutionSearch(states=["RESTARTED"])).results
    assert len(searched.task_runs) == 1


def test_an_event_that_came_with_another_chain_has_diverged(writer: SqlIndexWriter) -> None:
    first = of_execution("e1", 1, State.CREATED)
    other = of_execution("e1", 1, State.CREATED, chain="other")
    assert writer.write([first], []) == 0
    assert writer.write([other, other], []) == 1
    fresh = of_execution("e2", 1, State.CREATED)
    assert writer.write([fresh, of_execution("e2", 1, State.CREATED, chain="other")], []) == 1


def test_the_log_tells_all_past_states(writer: SqlIndexWriter, queries: SqlQueries) -> None:
    events = [
        of_execution("e1", 10, State.CREATED),
        of_task_run("e1", 20, 0, State.RUNNING),
        of_task_run("e1", 30, 0, State.SUCCESS),
        of_execution("e1", 40, State.CREATED, State.SUCCESS),
    ]
    writer.write(events, [])
    past = queries.execution("e1", number=25)
    assert past is not None
    assert (past.number, past.snapshot.state) == (20, "CREATED")
    assert [run.state for run in past.task_runs] == ["RUNNING"]
    assert queries.execution("e1", number=9) is None
    assert queries.events("e1", above=0, size=10) == events
    assert queries.events("e1", above=20, size=1) == events[2:3]


def test_executions_are_found(writer: SqlIndexWriter, queries: SqlQueries) -> None:
    writer.write(
        [
            of_execution("e1", 1, State.RUNNING, labels={"team": "a", "x": "1"}, at=100),
            of_execution("e2", 2, State.SUCCESS, labels={"team": "a"}, at=200),
            of_execution("e3", 3, State.FAILED, labels={"team": "b"}, at=300, namespace="company"),
            of_execution("e4", 4, State.FAILED, at=400, namespace="companyx", flow_id="other"),
        ],
        [],
    )

    def found(**search: Any) -> list[str]:
        return [it.execution_id for it in queries.executions(ExecutionSearch(**search)).results]

    assert found() == ["e4", "e3", "e2", "e1"]
    assert found(namespace="company") == ["e3", "e2", "e1"]
    assert found(namespace="compan_") == []
    assert found(flow_id="other") == ["e4"]
    assert found(states=["RUNNING", "SUCCESS"]) == ["e2", "e1"]
    assert found(labels=[("team", "a")]) == ["e2", "e1"]
    assert found(labels=[("team", "a"), ("x", "1")]) == ["e1"]
    assert found(start=200, end=400) == ["e3", "e2"]
    assert found(size=2, page=2) == ["e2", "e1"]
    assert found(order=Order("state")) == ["e3", "e4", "e1", "e2"]
    assert queries.executions(ExecutionSearch(size=1)).total == 4
    with pytest.raises(ValueError, match="can't be sorted by"):
        queries.executions(ExecutionSearch(order=Order("snapshot; DROP TABLE executions")))


def test_executions_are_counted_by_flow(writer: SqlIndexWriter, queries: SqlQueries) -> None:
    writer.write(
        [
            of_execution("e1", 1, State.RUNNING, at=100),
            of_execution("e2", 2, State.RUNNING, State.SUCCESS, at=200),
            of_execution("e3", 3, State.RUNNING, State.FAILED, at=300),
            of_execution("e4", 4, State.RUNNING, State.FAILED, at=400, flow_id="other"),
            of_execution("e5", 5, State.RUNNING, State.FAILED, at=500, namespace="company.team.x"),
        ],
        [],
    )
    team, hello, other = "company.team", ("company.team", "hello"), ("company.team", "other")

    def counted(**search: Any) -> dict[tuple[str, str], int]:
        return {it[:2]: it.executions for it in queries.counts(CountSearch(**search))}

    assert counted() == {}
    assert counted(flows=[hello, ("company", "team.hello"), hello]) == {hello: 3}
    assert counted(namespaces=[team]) == {hello: 3, other: 1}
    assert counted(namespaces=[team], flows=[hello]) == {hello: 3, other: 1}
    assert counted(flows=[hello], states=["FAILED", "RUNNING"]) == {hello: 2}
    assert counted(flows=[hello], start=200) == {hello: 2}
    assert counted(flows=[hello], end=301) == {hello: 2}  # one of three has not ended
    assert counted(flows=[hello], end=300) == {hello: 1}
    many = [(team, f"flow{it}") for it in range(1_500)]
    assert counted(flows=[*many, hello], namespaces=[f"n{it}" for it in range(1_500)]) == {hello: 3}


def test_log_lines_are_kept_once_and_found(writer: SqlIndexWriter, queries: SqlQueries) -> None:
    lines = [line(2, "second\0 50%", "WARN"), line(1, "first"), line(1, "elsewhere", "INFO", "e2")]
    writer.write(lines, [])
    writer.write(lines, [])
    page = queries.logs(LogSearch(execution_id="e1"))
    assert [it.message for it in page.results] == ["first", "second\ufffd 50%"]
    assert page.total == 2
    assert queries.logs(LogSearch(levels=["WARN"])).total == 1
    assert queries.logs(LogSearch(text="50%")).total == 1
    assert queries.logs(LogSearch(text="5_%")).total == 0
    assert queries.logs(LogSearch(namespace="company", task_id="task0", start=5002)).total == 1
    assert [it.sequence for it in queries.log_lines(LogSearch(execution_id="e1", size=1))] == [1, 2]


def test_metrics_flows_and_triggers_are_kept(writer: SqlIndexWriter, queries: SqlQueries) -> None:
    metric = MetricEntry(
        execution_id="e1",
        task_run_id="e1-0",
        epoch=1,
        sequence=1,
        at=1,
        name="rows",
        kind="counter",
        value=3.5,
        tags={"a": "b"},
        namespace="n",
        flow_id="f",
        task_id="t",
    )
    flow = FlowRevision(namespace="n", flow_id="f", revision=1, source="id: f", at=1)
    trigger = TriggerEvent(
        uid="n.f.daily",
        number=5,
        at=1,
        namespace="n",
        flow_id="f",
        flow_revision=1,
        trigger_id="daily",
        type="Schedule",
        disabled=False,
        deleted=False,
        next_date=99,
        last_date=None,
        execution_id=None,
    )
    writer.write([metric, flow, trigger, flow], [])
    assert queries.metrics("e1", size=10, page=1).results == [metric]
    assert queries.triggers(TriggerSearch(namespace="n", text="daily")).results == [trigger]
    gone = TriggerEvent(**{name: getattr(trigger, name) for name in trigger.__struct_fields__})
    writer.write([_changed(gone, number=4, deleted=True)], [])
    assert queries.triggers(TriggerSearch()).total == 1
    writer.write([_changed(gone, number=6, deleted=True)], [])
    assert queries.triggers(TriggerSearch()).total == 0


def test_a_trigger_is_found_by_its_uid(writer: SqlIndexWriter, queries: SqlQueries) -> None:
    event = TriggerEvent("n/f/t", 1, 5, "n", "f", 1, "t", "schedule", False, False, 9, None, None)
    writer.write([event], [])
    assert queries.trigger("n/f/t") == event
    assert queries.trigger("n/f/other") is None
    writer.write([_changed(event, number=2, deleted=True)], [])
    assert queries.trigger("n/f/t") is None


def _changed(event: TriggerEvent, **fields: Any) -> TriggerEvent:
    current = {name: getattr(event, name) for name in event.__struct_fields__}
    return TriggerEvent(**(current | fields))


def test_two_writers_at_the_same_position_are_one_too_many(
    url: str, writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    """Both believe that they own the partition; for each batch exactly one of them is right."""
    zombie = SqlIndexWriter(url)
    won: list[int] = []
    barrier = threading.Barrier(2)

    def run(own: SqlIndexWriter, number: int) -> None:
        for place in range(20):
            barrier.wait()
            stands = place if place else None
            event = of_execution(f"e{place}", number, State.CREATED, flow_id=f"by{number}")
            try:
                own.write([event], [Advance(EVENTS, stands, place + 1)])
                won.append(place)
            except PositionMoved:
                pass

    threads = [
        threading.Thread(target=run, args=(own, number + 1))
        for number, own in enumerate((writer, zombie))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    zombie.close()
    assert sorted(won) == list(range(20))
    assert queries.executions(ExecutionSearch()).total == 20
    assert all(len(queries.events(f"e{place}", 0, 10)) == 1 for place in range(20))


def test_a_database_that_is_away_is_said_to_be(tmp_path: Any) -> None:
    nowhere = SqlQueries(f"sqlite:///{tmp_path}/missing/store.db")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        nowhere.ping()
    with pytest.raises(StoreUnavailable):
        SqlIndexWriter("postgresql://nobody@127.0.0.1:1/none").positions([EVENTS])


def test_an_unknown_database_is_refused() -> None:
    for url in ("mysql://u@h/d", "sqlite://", "nonsense"):
        with pytest.raises(SettingsRefused):
            SqlQueries(url)


def test_heads_of_executions_go_by_id_without_their_task_runs(
    writer: SqlIndexWriter, queries: SqlQueries
) -> None:
    rows = [of_execution(f"e{n}", n + 1, State.RUNNING, namespace="company") for n in range(5)]
    writer.write([*rows, of_execution("e9", 9, State.RUNNING, namespace="other")], [])

    def ids(above: str, size: int, **search: Any) -> list[str]:
        return [it.execution_id for it in queries.heads(ExecutionSearch(**search), above, size)]

    assert ids("", 2, namespace="company") == ["e0", "e1"]
    assert ids("e1", 9, namespace="company") == ["e2", "e3", "e4"]
    assert ids("e4", 9) == ["e9"] and ids("e9", 9) == []
    assert ids("", 9, states=["SUCCESS"]) == []
    assert {it.execution_id for it in queries.heads_of(["e9", "e2", "none"])} == {"e2", "e9"}
