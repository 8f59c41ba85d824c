"""The embedded Kafka: starts, keeps its records, fails with a reason, and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kestrapy.adapters.kafka.broker import EmbeddedBroker, PortTaken
from kestrapy.errors import OperatorError

pytestmark = pytest.mark.external

COMMAND = "import sys, pathlib as p; from kestrapy.adapters.kafka.broker import run_broker as run;"


def test_records_outlive_a_restart_on_other_ports(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path) as broker:
        create(broker.bootstrap_servers, replicas=1)
        write(broker.bootstrap_servers, b"before")
    with EmbeddedBroker(tmp_path) as broker:
        write(broker.bootstrap_servers, b"after")
        assert read(broker.bootstrap_servers, 2) == [b"before", b"after"]


def test_three_brokers_go_on_when_one_is_killed(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path, brokers=3) as broker:
        servers = broker.bootstrap_servers
        create(servers, replicas=3)
        write(servers, b"all")
        broker.nodes[0].kill()
        with pytest.raises(OperatorError, match="Kafka ended"):
            broker.check()
        write(servers, b"two")
        broker.nodes[0].start()
        assert read(servers, 2) == [b"all", b"two"]


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        broker = EmbeddedBroker(tmp_path, port=other.getsockname()[1])
        with pytest.raises(PortTaken, match=r"server\.log"):
            broker.start()


def test_the_command_stops_in_good_order_when_told(tmp_path: Path) -> None:
    with command(tmp_path) as (process, java):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert ended(java)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such request")
def test_no_java_outlives_a_killed_command(tmp_path: Path) -> None:
    with command(tmp_path) as (process, java):
        process.kill()
        assert ended(java)


@contextmanager
def command(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that runs ``run_broker`` and has told its servers, and a descriptor of its Java."""
    argv = [sys.executable, "-c", f"{COMMAND} run(p.Path(sys.argv[1]), 0)", str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert b"127.0.0.1:" in process.stdout.readline()
            (child,) = psutil.Process(process.pid).children()
            assert child.name() == "java"
            java = os.pidfd_open(child.pid)
            yield process, java
            os.close(java)
        finally:
            process.kill()


def ended(process: int) -> bool:
    """Wait for the end of the process behind the descriptor."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(10_000))


def create(servers: str, replicas: int) -> None:
    topic = NewTopic("numbers", num_partitions=1, replication_factor=replicas)
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([topic])["numbers"].result(10)


def write(servers: str, value: bytes) -> None:
    accepted = []
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "log_level": 0})
    producer.produce("numbers", value, on_delivery=lambda error, _: accepted.append(error is None))
    assert producer.flush(30) == 0
    assert accepted == [True]


def read(servers: str, count: int) -> list[bytes | None]:
    reader = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "none",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    reader.assign([TopicPartition("numbers", 0, 0)])
    records = reader.consume(count, 30)
    reader.close()
    return [record.value() for record in records]
