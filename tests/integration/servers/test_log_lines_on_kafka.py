"""Log lines read back, on a real Kafka."""

from __future__ import annotations

from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.adapters.system import SystemClock
from kestrapy.machine.outputs import LogEntry
from kestrapy.model.ids import derive_execution_id
from kestrapy.servers.router import Router
from kestrapy.servers.worker.log_lines import LogLines
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

SECONDS = 20.0


def entry(execution_id: str, number: int, at: int) -> LogEntry:
    return LogEntry(
        execution_id=execution_id,
        task_run_id=f"{execution_id}-0",
        epoch=1,
        attempt=1,
        sequence=number,
        at=at,
        level="INFO",
        message=str(number),
        namespace="n",
        flow_id="f",
        task_id="t",
    )


def test_lines_of_one_execution_among_those_of_others(kafka: str, topic_prefix: str) -> None:
    log, codec = KafkaLog(kafka, "log-lines"), Codec()
    topics = Catalogue(topic_prefix, shards=2, job_partitions=1)
    log.topics().create(topics.specs(), SECONDS)
    router, now = Router(codec, topics), SystemClock().wall()
    mine, other, none = (derive_execution_id(1, now, it) for it in ("mine", "other", "none"))
    producer = log.producer()
    for number in range(1_200):  # more than one batch
        producer.send(router.message(entry(other if number % 3 else mine, number, now)))
    assert producer.flush(SECONDS) == 0
    producer.close()
    lines = LogLines(log, codec, topics)
    assert [int(it.message) for it in lines.of(mine, lambda: False)] == list(range(0, 1_200, 3))
    assert list(lines.of(none, lambda: False)) == []
    assert list(lines.of(mine, lambda: True)) == []
    assert list(lines.of(derive_execution_id(0, now, "empty"), lambda: False)) == []
