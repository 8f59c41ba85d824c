"""Topics on three brokers whose own defaults would lose what one of them acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kestrapy.adapters.kafka import node
from kestrapy.adapters.kafka.broker import EmbeddedBroker
from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.wire.fitness import unfit
from kestrapy.wire.topics import Catalogue

pytestmark = pytest.mark.external

TIMEOUT = 30.0
SPECS = Catalogue("").specs()[:2]


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Three brokers with the defaults of a stock Kafka: one replica, one in sync."""
    safe = node.settings

    def stock(place: node.Place, data: Path) -> dict[str, str]:
        return safe(place, data) | {"default.replication.factor": "1", "min.insync.replicas": "1"}

    monkeypatch.setattr(node, "settings", stock)
    with EmbeddedBroker(tmp_path, brokers=3) as broker:
        yield broker.bootstrap_servers


def test_topics_that_are_made_are_fit_and_others_are_told(servers: str) -> None:
    safe = KafkaLog(servers, "test").topics()
    safe.create(SPECS[:1], TIMEOUT)
    lonely = KafkaLog(servers, "test", replication_factor=1).topics()
    lonely.create(SPECS[1:], TIMEOUT)
    made = safe.describe([SPECS[0].name], TIMEOUT)[SPECS[0].name]
    other = lonely.describe([SPECS[1].name], TIMEOUT)[SPECS[1].name]
    assert (made.replication_factor, made.configs["min.insync.replicas"]) == (3, "2")
    assert unfit(SPECS[0], made) == []
    (problem,) = unfit(SPECS[1], other)
    assert "has 1 of 3 replicas on 3 brokers" in problem
