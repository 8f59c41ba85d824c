"""Who lives and what waits, read from a log in memory by a clock that is moved by hand."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.errors import TopicUnfit
from kestrapy.machine.commands import GroupReport, Heartbeat, Probe, WorkerGone
from kestrapy.ports.log import Message
from kestrapy.servers.router import Router
from kestrapy.servers.worker_board import REPORT_KEPT, GroupLoad, WorkerBoard
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue
from tests.small_cluster import START, HandClock

ROUTER = Router(Codec(), Catalogue("t.", shards=2))
LOST_AFTER = 30_000


def beat(worker: str, group: str = "gpu", **fields: Any) -> Heartbeat:
    return Heartbeat(worker, fields.pop("sequence", 1), worker_group=group, slots=4, **fields)


class Bench:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.log = MemoryLog(self.clock)
        self.log.topics().create(ROUTER.catalogue.specs(), 5)
        self.producer = self.log.producer()
        self.board = self.new_board()

    def new_board(self) -> WorkerBoard:
        parts = self.log, ROUTER.codec, ROUTER.catalogue, self.clock
        return WorkerBoard(*parts, heartbeat_interval=1_000, lost_after=LOST_AFTER)

    def send(self, *records: Any) -> None:
        for record in records:
            value, headers = ROUTER.codec.encode(record)
            shard = record.shard if isinstance(record, GroupReport) else None
            key = getattr(record, "worker_id", "").encode()
            self.producer.send(Message(ROUTER.catalogue.workers, value, key, shard, headers))
        self.board.poll()

    def pass_time(self, milliseconds: int, *records: Any) -> None:
        """Poll each second, and send these each second."""
        for _ in range(milliseconds // 1_000):
            self.clock.now += 1_000
            self.send(*records)

    def workers(self, group: str | None = None) -> list[str]:
        return [it.beat.worker_id for it in self.board.workers(group)]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.board.poll()
    return bench


def test_a_worker_is_shown_as_it_says_itself(bench: Bench) -> None:
    said = beat("w1", running=2, tags=["a100"], host="m1", version="1.2", started=START - 5)
    bench.clock.now = 70
    bench.send(said, beat("w0", "cpu"))
    found = bench.board.worker("w1")
    assert found is not None and (found.beat, found.last_seen) == (said, START + 70)
    assert bench.workers() == ["w0", "w1"]
    assert bench.workers("cpu") == ["w0"]
    assert bench.board.worker("w2") is None


def test_a_silent_worker_leaves_after_lost_after(bench: Bench) -> None:
    bench.send(beat("w1"), beat("w2"))
    bench.pass_time(LOST_AFTER - 1_000, beat("w2"))
    assert bench.workers() == ["w1", "w2"]
    bench.clock.now += 1_000
    assert bench.workers() == ["w2"]
    bench.send(beat("w2"))
    assert bench.workers() == ["w2"]


def test_a_gone_worker_leaves_at_once_and_stays_away(bench: Bench) -> None:
    bench.send(beat("w1"), WorkerGone("w1"))
    assert bench.workers() == []
    bench.send(beat("w1", sequence=2))
    assert bench.workers() == []


def test_executors_are_shown_with_the_rules_that_they_know(bench: Bench) -> None:
    bench.send(Heartbeat("e1", 1, kind="executor", logic_versions=[2, 3]), beat("w1"))
    (found,) = bench.board.executors()
    assert (found.beat.worker_id, found.beat.logic_versions) == ("e1", [2, 3])
    assert bench.workers() == ["w1"]


def test_a_group_is_the_sum_of_its_workers_and_shards(bench: Bench) -> None:
    bench.send(
        beat("w1", running=9),
        beat("w2"),
        beat("w3", state="DRAINED"),
        beat("w4", state="TERMINATING"),
        beat("w5", "cpu"),
        GroupReport(0, "gpu", 5, 1, oldest_at=70, by_namespace={"a": 5}),
        GroupReport(0, "gpu", 3, 2, oldest_at=80, by_namespace={"a": 2, "b": 1}),
        GroupReport(1, "gpu", 2, 1, oldest_at=60, by_namespace={"b": 2}),
        GroupReport(1, "cpu", 0, 1),
    )
    expected = GroupLoad("gpu", 2, 8, 5, 3, 60, {"a": 2, "b": 3})
    assert bench.board.group("gpu") == expected
    assert bench.board.groups() == {"cpu": GroupLoad("cpu", 1, 4, 0, 1, 0, {}), "gpu": expected}
    assert bench.board.group("none") == GroupLoad("none")


def test_a_report_that_is_not_repeated_is_dropped(bench: Bench) -> None:
    bench.send(GroupReport(0, "gpu", 5, 1), GroupReport(1, "gpu", 2, 0))
    bench.pass_time(REPORT_KEPT - 1_000, GroupReport(1, "gpu", 2, 0))
    assert bench.board.group("gpu").waiting == 7
    bench.clock.now += 1_000
    assert bench.board.group("gpu").waiting == 2


def test_a_new_board_begins_some_seconds_back(bench: Bench) -> None:
    bench.send(beat("old"), GroupReport(0, "gpu", 9, 0))
    bench.pass_time(REPORT_KEPT - 5_000)
    bench.send(beat("new"), GroupReport(1, "gpu", 1, 0))
    bench.clock.now += 6_000
    board = bench.new_board()
    assert board.poll() == 2
    assert [it.beat.worker_id for it in board.workers()] == ["new"]
    assert board.group("gpu").waiting == 1


def test_silence_counts_after_three_heartbeat_intervals_of_listening(bench: Bench) -> None:
    board = bench.new_board()
    assert not board.is_caught_up
    board.poll()
    assert board.is_caught_up and not board.is_settled
    for _ in range(3):
        assert not board.is_settled
        bench.clock.now += 1_000
        board.poll()
    assert board.is_settled


def test_a_break_in_listening_unsettles(bench: Bench) -> None:
    bench.pass_time(3_000, beat("w1"))
    assert bench.board.is_settled
    bench.clock.now += 3_001
    assert not bench.board.is_settled
    bench.board.poll()
    assert not bench.board.is_settled
    bench.pass_time(3_000)
    assert bench.board.is_settled


def test_a_worker_that_beat_during_a_break_lives(bench: Bench) -> None:
    bench.send(beat("w1"), beat("w2"))
    for _ in range(LOST_AFTER // 1_000):
        bench.clock.now += 1_000
        bench.producer.send(ROUTER.message(beat("w2")))
    assert bench.workers() == []
    bench.board.poll()
    assert bench.workers() == ["w2"]


def test_a_log_that_fails_unsettles(bench: Bench) -> None:
    bench.pass_time(3_000)
    topics = bench.log.topics()
    topics.delete([ROUTER.catalogue.workers], 5)
    with pytest.raises(TopicUnfit):
        bench.board.poll()
    assert not bench.board.is_settled
    topics.create(ROUTER.catalogue.specs(), 5)
    bench.send(beat("w1"))
    assert bench.workers() == ["w1"]


def test_what_else_stands_there_is_passed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.send(Probe("e1", 1))
    assert caplog.text == ""
    bench.producer.send(Message(ROUTER.catalogue.workers, b"junk", b"k", 0))
    bench.send(beat("w1"))
    assert bench.workers() == ["w1"]
    assert "t.workers[0]" in caplog.text
