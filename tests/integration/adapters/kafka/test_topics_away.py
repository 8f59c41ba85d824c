"""What is said when no broker answers."""

from __future__ import annotations

import pytest

from kestrapy.adapters.kafka.broker import free_ports
from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.errors import LogUnavailable
from kestrapy.ports.log import TopicSpec


def test_the_error_names_the_servers_and_the_setting() -> None:
    (port,) = free_ports("127.0.0.1", 1)
    topics = KafkaLog(f"127.0.0.1:{port}").topics()
    with pytest.raises(LogUnavailable, match=rf"127.0.0.1:{port}.*kafka.bootstrapServers"):
        topics.create([TopicSpec("t", 1, {})], 0.5)
