"""The indexer over a log in memory and a real SQLite."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.schema import upgrade
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.adapters.system import SystemClock
from kestrapy.machine.outputs import DeadLetter, ExecutionEvent, ExecutionPurge, LogPurge
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.ports.log import Message, Partition
from kestrapy.ports.store import (
    Advance,
    ExecutionSearch,
    LogSearch,
    Row,
    RowsRefused,
    StoreUnavailable,
)
from kestrapy.servers.indexer import Indexer
from kestrapy.servers.metrics import DIVERGED, INDEXED
from kestrapy.servers.router import Router
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue
from tests.samples import line, of_execution, of_task_run

ROUTER = Router(Codec(), Catalogue("t.", shards=2))
TOPICS = ROUTER.catalogue
E1, E2 = (derive_execution_id(0, 1_000, name) for name in ("e1", "e2"))


class Bench:
    """A log, a database, and the indexers that a test makes."""

    def __init__(self, folder: Path):
        self.clock = SystemClock()
        self.log = MemoryLog(self.clock)
        self.log.topics().create(TOPICS.specs(), 5)
        self.url = f"sqlite:///{folder}/store.db"
        upgrade(self.url)
        self.queries = SqlQueries(self.url)
        self.producer = self.log.producer()
        self.writers: list[SqlIndexWriter] = []

    def writer(self) -> SqlIndexWriter:
        self.writers.append(SqlIndexWriter(self.url))
        return self.writers[-1]

    def indexer(self, writer: Any = None) -> Indexer:
        return Indexer(self.log, ROUTER, writer or self.writer(), self.clock)

    def send(self, *records: Any) -> None:
        for record in records:
            self.producer.send(ROUTER.message(record))

    def dead_letters(self) -> list[DeadLetter]:
        reader = self.log.reader()
        specs = {it.name: it for it in TOPICS.specs()}
        partitions = specs[TOPICS.dead_letter].partitions
        reader.assign({Partition(TOPICS.dead_letter, index): 0 for index in range(partitions)})
        return [ROUTER.codec.decode(it).record for it in reader.poll(100, 0)]

    def numbers(self, execution_id: str) -> list[int]:
        return [it.number for it in self.queries.events(execution_id, -1, 1000)]

    def close(self) -> None:
        self.queries.close()
        for writer in self.writers:
            writer.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def drain(indexer: Indexer, now: int = 0) -> None:
    for _ in range(5):
        assert indexer.tick(now) in (now, now + 1_000)


def created(execution_id: str, number: int, **changes: Any) -> ExecutionEvent:
    return of_execution(execution_id, number, State.CREATED, **changes)


class Ailing:
    """A writer that fails as it is told to, and else is the real one."""

    def __init__(self, writer: SqlIndexWriter):
        self._writer = writer
        self.away = False
        self.refused: Collection[str] = ()

    def positions(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        if self.away:
            raise StoreUnavailable("away")
        return self._writer.positions(partitions)

    def write(self, rows: Sequence[Row], advances: Sequence[Advance]) -> int:
        if self.away:
            raise StoreUnavailable("away")
        for row in rows:
            if getattr(row, "message", None) in self.refused:
                raise RowsRefused("no such line")
        return self._writer.write(rows, advances)

    def purge(self, most: int, now: int) -> bool:
        if self.away:
            raise StoreUnavailable("away")
        return self._writer.purge(most, now)

    def close(self) -> None:
        self._writer.close()


def test_records_of_all_topics_are_stored(bench: Bench) -> None:
    bench.send(created(E1, 1), of_task_run(E1, 2, 0, State.RUNNING), line(1, "hi", execution_id=E1))
    indexer = bench.indexer()
    drain(indexer)
    found = bench.queries.execution(E1)
    assert found is not None and [run.state for run in found.task_runs] == ["RUNNING"]
    assert bench.queries.logs(LogSearch(execution_id=E1)).total == 1
    assert indexer.trouble is None
    indexer.close()


def test_the_next_indexer_goes_on_where_the_database_stands(bench: Bench) -> None:
    first = bench.indexer()
    bench.send(created(E1, 1))
    drain(first)
    first.close()
    before = INDEXED.labels(TOPICS.execution_events)._value.get()
    bench.send(created(E2, 2))
    second = bench.indexer()
    drain(second)
    assert (bench.numbers(E1), bench.numbers(E2)) == ([1], [2])
    assert INDEXED.labels(TOPICS.execution_events)._value.get() == before + 1
    second.close()


def test_an_empty_database_is_filled_whatever_the_group_has_committed(
    bench: Bench, tmp_path: Path
) -> None:
    bench.send(created(E1, 1))
    first = bench.indexer()
    drain(first)
    first.close()
    url = f"sqlite:///{tmp_path}/new.db"
    upgrade(url)
    writer, queries = SqlIndexWriter(url), SqlQueries(url)
    second = bench.indexer(writer)
    drain(second)
    assert queries.execution(E1) is not None
    second.close()
    queries.close()
    writer.close()


def test_a_zombie_neither_doubles_nor_loses_rows(bench: Bench) -> None:
    """Both indexers own all partitions, and believe it."""
    rightful = bench.indexer()
    # A group of its own stands for an assignment that was lost without a word.
    zombie = Indexer(bench.log, Router(Codec(), TOPICS), bench.writer(), bench.clock)
    zombie._group = "t.zombies"
    for place in range(40):
        bench.send(created(E1, 2 * place), line(place, f"line {place}", execution_id=E1))
        one, other = (rightful, zombie) if place % 3 else (zombie, rightful)
        one.tick(0)
        bench.send(created(E1, 2 * place + 1))
        other.tick(0)
    drain(rightful)
    drain(zombie)
    assert bench.numbers(E1) == list(range(80))
    assert bench.queries.logs(LogSearch(execution_id=E1)).total == 40
    ends = {
        Partition(topic, 0): bench.log.high_watermark(Partition(topic, 0))
        for topic in (TOPICS.execution_events, TOPICS.logs)
    }
    assert bench.writer().positions(ends) == ends
    # Whichever was ahead, the other goes on when it is alone.
    for place, indexer in enumerate((zombie, rightful), start=80):
        bench.send(created(E1, place))
        drain(indexer)
        assert bench.numbers(E1)[-1] == place
        indexer.close()


def test_a_rebalance_hands_partitions_over_without_a_gap(bench: Bench) -> None:
    first, second = bench.indexer(), bench.indexer()
    for place in range(30):
        bench.send(*(created(it, place) for it in (E1, derive_execution_id(1, 1, "other"))))
        first.tick(0)
        if place >= 10:
            second.tick(0)
    first.close()
    drain(second)
    assert bench.numbers(E1) == bench.numbers(derive_execution_id(1, 1, "other")) == list(range(30))
    second.close()


class Interrupting(SystemClock):
    """Lets something happen when it is asked for the time: between two polls of a batch."""

    def __init__(self) -> None:
        self.then: Callable[[], object] = lambda: None

    def monotonic(self) -> int:
        then, self.then = self.then, lambda: None
        then()
        return super().monotonic()


def test_what_is_revoked_while_a_batch_is_gathered_is_left_to_its_next_owner(bench: Bench) -> None:
    other = derive_execution_id(1, 1, "other")
    clock = Interrupting()
    first = Indexer(bench.log, ROUTER, bench.writer(), clock)
    second = bench.indexer()
    drain(first)
    for place in range(5):
        bench.send(created(E1, place), created(other, place))
    clock.then = lambda: second.tick(0)
    first.tick(0, patience=10)
    for _ in range(10):
        first.tick(0)
        second.tick(0)
    assert bench.numbers(E1) == bench.numbers(other) == list(range(5))
    first.close()
    second.close()


def test_while_the_database_is_away_nothing_is_lost_and_pauses_grow(bench: Bench) -> None:
    writer = Ailing(bench.writer())
    indexer = bench.indexer(writer)
    drain(indexer)
    writer.away = True
    bench.send(created(E1, 1))
    now, pauses = 0, []
    for _ in range(12):
        again = indexer.tick(now)
        pauses.append(again - now)
        now = again
    assert indexer.trouble == "away"
    assert pauses[:4] == [100, 200, 400, 800]
    assert max(pauses) <= 1_000  # its place in the group has to be kept
    writer.away = False
    bench.send(created(E2, 2))
    now += 20_000
    drain(indexer, now)
    assert (bench.numbers(E1), bench.numbers(E2)) == ([1], [2])
    assert indexer.trouble is None
    indexer.close()


def test_partitions_that_come_while_the_database_is_away_are_taken_up_later(bench: Bench) -> None:
    writer = Ailing(bench.writer())
    writer.away = True
    indexer = bench.indexer(writer)
    bench.send(created(E1, 1))
    assert indexer.tick(0) == 100
    writer.away = False
    drain(indexer, 200)
    assert bench.numbers(E1) == [1]
    indexer.close()


def test_what_cannot_be_read_goes_to_the_dead_letters_and_stops_nothing(bench: Bench) -> None:
    bench.send(created(E1, 1))
    bench.producer.send(Message(TOPICS.execution_events, b"\x00junk", b"k", 0))
    misplaced, headers = ROUTER.codec.encode(line(1, "lost", execution_id=E1))
    bench.producer.send(Message(TOPICS.execution_events, misplaced, b"k", 0, headers))
    bench.send(created(E1, 2))
    indexer = bench.indexer()
    drain(indexer)
    assert bench.numbers(E1) == [1, 2]
    letters = sorted(bench.dead_letters(), key=lambda it: it.offset)
    assert [(it.topic, it.partition, it.offset) for it in letters] == [
        (TOPICS.execution_events, 0, 1),
        (TOPICS.execution_events, 0, 2),
    ]
    assert letters[0].value == b"\x00junk"
    assert letters[1].record_name == "LogEntry" and "ExecutionEvent" in letters[1].reason
    indexer.close()


def test_a_row_that_the_database_refuses_is_the_only_one_missing(bench: Bench) -> None:
    writer = Ailing(bench.writer())
    writer.refused = ["bad"]
    texts = ["a", "b", "bad", "c", "d", "bad", "e"]
    bench.send(*(line(place, text, execution_id=E1) for place, text in enumerate(texts)))
    indexer = bench.indexer(writer)
    drain(indexer)
    stored = bench.queries.logs(LogSearch(execution_id=E1)).results
    assert [it.message for it in stored] == ["a", "b", "c", "d", "e"]
    assert sorted(it.offset for it in bench.dead_letters()) == [2, 5]
    indexer.close()


def test_executions_that_diverge_are_counted(bench: Bench) -> None:
    before = DIVERGED._value.get()
    bench.send(created(E1, 1), created(E1, 1), created(E1, 1, chain="other"))
    indexer = bench.indexer()
    drain(indexer)
    assert DIVERGED._value.get() == before + 1
    assert bench.queries.executions(ExecutionSearch()).total == 1
    indexer.close()


def test_records_that_retention_took_are_skipped_once_the_log_says_so(bench: Bench) -> None:
    first = bench.indexer()
    bench.send(created(E1, 1))
    drain(first)
    first.close()
    bench.send(created(E1, 2), created(E1, 3))
    bench.log.delete_before(Partition(TOPICS.execution_events, 0), 2)
    second = bench.indexer()
    drain(second)
    assert bench.numbers(E1) == [1, 3]
    second.close()


def forget(execution_id: str, number: int) -> ExecutionPurge:
    at = SystemClock().wall()
    return ExecutionPurge(execution_id, number, at, execution=True, logs=True, metrics=True)


def ended(execution_id: str, number: int) -> ExecutionEvent:
    return of_execution(execution_id, number, State.CREATED, State.SUCCESS)


def purge_of_lines(shard: int) -> LogPurge:
    return LogPurge("p", shard, 9_000, "", "", "", [], None, 9_000)


def test_what_is_to_be_purged_is_deleted_in_the_order_of_the_log(bench: Bench) -> None:
    bench.send(ended(E1, 1), forget(E1, 1), ended(E2, 2), ended(E1, 1), forget(E2, 1))
    bench.send(line(0, "gone", execution_id=E2), purge_of_lines(0), purge_of_lines(1))
    indexer = bench.indexer()
    drain(indexer)
    bench.send(line(1, "stays", execution_id=E2), line(0, "late", execution_id=E1))
    bench.send(ended(E1, 1), created(E1, 3))
    drain(indexer)
    assert (bench.numbers(E1), bench.numbers(E2)) == ([], [2])
    lines = bench.queries.logs(LogSearch()).results
    assert [it.message for it in lines] == ["stays"]
    indexer.close()


def test_a_large_purge_is_done_between_others_rows_and_by_whoever_comes_next(bench: Bench) -> None:
    of_task = [line(it, "x" * 10, execution_id=E1) for it in range(9_000)]
    bench.writer().write([ended(E1, 1), *of_task], [])
    first = bench.indexer()
    drain(first)
    second = bench.indexer()
    for _ in range(5):
        first.tick(0)
        second.tick(0)
    bench.send(forget(E1, 1))
    while (left := bench.queries.logs(LogSearch(size=1)).total) == 9_000:
        for indexer in (first, second):
            indexer.tick(0)
    assert left > 0
    at_it, other = (first, second) if first._purges else (second, first)
    assert not other._purges
    at_it.close()
    bench.send(created(E2, 2))
    for _ in range(10):
        other.tick(0)
    assert bench.numbers(E2) == [2]
    assert bench.queries.logs(LogSearch(size=1)).total == 0
    other.close()
