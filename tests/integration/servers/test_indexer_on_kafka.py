"""The indexer in a real consumer group, over a real Kafka and a real PostgreSQL."""

from __future__ import annotations

import pytest

from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.schema import upgrade
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.adapters.system import SystemClock
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.servers.indexer import Indexer
from kestrapy.servers.router import Router
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue
from tests.samples import of_execution

pytestmark = pytest.mark.external


def test_two_indexers_share_the_work_and_one_takes_over(
    kafka: str, topic_prefix: str, postgres_url: str
) -> None:
    log, clock = KafkaLog(kafka), SystemClock()
    router = Router(Codec(), Catalogue(topic_prefix, shards=4))
    log.topics().create(router.catalogue.specs(), 30)
    upgrade(postgres_url)
    queries = SqlQueries(postgres_url)
    writers = [SqlIndexWriter(postgres_url) for _ in range(2)]
    first, second = (Indexer(log, router, it, clock) for it in writers)
    producer = log.producer()
    ids = [derive_execution_id(shard, 1_000, "it") for shard in range(4)]

    def send(number: int) -> None:
        for execution_id in ids:
            event = of_execution(execution_id, number, State.CREATED)
            producer.send(router.message(event))
        assert producer.flush(30) == 0

    def stored() -> list[list[int]]:
        return [[it.number for it in queries.events(each, -1, 1000)] for each in ids]

    def until_stored(count: int, *indexers: Indexer) -> None:
        deadline = clock.monotonic() + 60_000
        while stored() != [list(range(count))] * 4:
            assert clock.monotonic() < deadline, stored()
            for indexer in indexers:
                indexer.tick(clock.monotonic(), patience=100)

    send(0)
    until_stored(1, first)
    for number in range(1, 6):
        send(number)
        until_stored(number + 1, first, second)
    first.close()
    send(6)
    until_stored(7, second)
    second.close()
    producer.close()
    queries.close()
    for writer in writers:
        writer.close()
