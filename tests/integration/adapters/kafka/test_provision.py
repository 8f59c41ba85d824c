"""The Kafka and the PostgreSQL of the other tests are there, and real."""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from kestrapy.adapters.containers import images_at_hand
from kestrapy.adapters.kafka.provision import BOOTSTRAP_SERVERS, provide_kafka
from kestrapy.errors import LogUnavailable
from tests.provided_postgres import connect

pytestmark = pytest.mark.external


def test_what_is_produced_in_a_transaction_is_read(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}numbers"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, num_partitions=1)])[topic].result(10)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(10)
    for value, end in (
        (b"aborted", producer.abort_transaction),
        (b"committed", producer.commit_transaction),
    ):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(10)
        end(10)
    reader = Consumer(
        {"bootstrap.servers": kafka, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    reader.subscribe([topic])
    record = reader.poll(20)
    reader.close()
    assert record is not None
    assert record.value() == b"committed"


def test_topics_are_not_made_by_writing_to_them(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}none"
    accepted = []
    producer = Producer({"bootstrap.servers": kafka, "message.timeout.ms": 1000})
    producer.produce(topic, b"", on_delivery=lambda error, _: accepted.append(error is None))
    assert producer.flush(20) == 0
    assert accepted == [False]
    assert topic not in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics


def test_an_existing_kafka_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(BOOTSTRAP_SERVERS, "127.0.0.1:1")
    monkeypatch.setattr("kestrapy.adapters.kafka.provision.EXISTING_TIMEOUT_S", 0.5)
    with (
        pytest.raises(LogUnavailable, match=f"127.0.0.1:1 .*unset {BOOTSTRAP_SERVERS}"),
        provide_kafka(),
    ):
        pass


def test_a_docker_engine_that_is_not_there_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert not images_at_hand("apache/kafka:1")


def test_databases_are_separate(postgres_server: str, postgres_url: str) -> None:
    assert postgres_url.startswith("postgresql+psycopg://")
    with connect(postgres_url) as database:
        database.execute("CREATE TABLE only_here (id int)")
    with connect(postgres_server) as server, pytest.raises(psycopg.errors.UndefinedTable):
        server.execute("SELECT * FROM only_here")
