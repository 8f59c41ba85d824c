"""What servers read into memory, on a real Kafka: declared groups, who lives, what waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.adapters.system import SystemClock
from kestrapy.machine.commands import GroupReport, Heartbeat, WorkerGone
from kestrapy.machine.outputs import SettingRevision
from kestrapy.model.worker_group import GROUP, GroupSettings, encode
from kestrapy.ports.log import Log, Message
from kestrapy.servers.router import Router
from kestrapy.servers.settings_catalogue import SettingsCatalogue
from kestrapy.servers.worker_board import WorkerBoard
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

SECONDS = 20.0
GPU = GroupSettings(key="gpu", min_workers=2)


class Bench:
    def __init__(self, log: Log, prefix: str):
        self.log = log
        self.router = Router(Codec(), Catalogue(prefix, shards=3, job_partitions=1))
        self.clock = SystemClock()
        log.topics().create(self.router.catalogue.specs(), SECONDS)
        self._producer = log.producer()

    def send(self, *records: object) -> None:
        for record in records:
            if isinstance(record, GroupReport):
                value, headers = self.router.codec.encode(record)
                topic = self.router.catalogue.workers
                self._producer.send(Message(topic, value, b"", record.shard, headers))
            else:
                self._producer.send(self.router.message(record))
        assert self._producer.flush(SECONDS) == 0

    def board(self) -> WorkerBoard:
        parts = self.log, self.router.codec, self.router.catalogue, self.clock
        return WorkerBoard(*parts, heartbeat_interval=100, lost_after=30_000)

    def settings(self) -> SettingsCatalogue:
        return SettingsCatalogue(self.log, self.router.codec, self.router.catalogue)

    def poll(self, board: WorkerBoard, holds: Callable[[], bool]) -> None:
        deadline = self.clock.monotonic() + SECONDS * 1000
        while not holds():
            assert self.clock.monotonic() < deadline
            board.poll(0.05)


@pytest.fixture
def bench(kafka: str, topic_prefix: str) -> Iterator[Bench]:
    bench = Bench(KafkaLog(kafka, "views"), topic_prefix)
    yield bench
    topics = [spec.name for spec in bench.router.catalogue.specs()]
    bench.log.topics().delete(topics, SECONDS)


def test_a_thread_reads_what_is_declared(bench: Bench) -> None:
    settings = bench.settings()
    settings.start()
    try:
        assert list(settings.groups()) == ["default"]
        bench.send(SettingRevision(GROUP, "gpu", 1, encode(GPU), at=1))
        assert settings.wait_for(lambda: settings.groups().get("gpu") == GPU, SECONDS)
        bench.send(SettingRevision(GROUP, "gpu", 2, "", at=2))
        assert settings.wait_for(lambda: list(settings.groups()) == ["default"], SECONDS)
    finally:
        settings.close()


def test_a_board_knows_what_was_said_before_and_since(bench: Bench) -> None:
    bench.send(
        Heartbeat("w1", 1, worker_group="gpu", slots=2),
        Heartbeat("w2", 1, worker_group="gpu", slots=3),
        GroupReport(2, "gpu", 4, 1, oldest_at=9),
    )
    board = bench.board()
    try:
        bench.poll(board, lambda: board.is_caught_up)
        found = board.group("gpu")
        assert (found.workers, found.slots, found.waiting, found.oldest_at) == (2, 5, 4, 9)
        bench.poll(board, lambda: board.is_settled)
        bench.send(WorkerGone("w1"), Heartbeat("w3", 1, worker_group="cpu", slots=1))
        bench.poll(board, lambda: [it.beat.worker_id for it in board.workers()] == ["w2", "w3"])
    finally:
        board.close()


def test_a_board_that_begins_late_passes_what_is_old(bench: Bench) -> None:
    """Only the newest seconds: ``workers`` keeps a day of heartbeats."""

    class Later(SystemClock):
        def wall(self) -> int:
            return super().wall() + 60_000

    bench.send(Heartbeat("w1", 1, worker_group="gpu"))
    bench.clock = Later()
    board = bench.board()
    try:
        bench.poll(board, lambda: board.is_settled)
        assert board.workers() == []
        bench.send(Heartbeat("w1", 2, worker_group="gpu"))
        bench.poll(board, lambda: len(board.workers()) == 1)
    finally:
        board.close()
