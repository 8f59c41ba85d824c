"""Settings of Kafka clients: what users may set, and who gets it."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.adapters.kafka.configs import GAPLESS, Cluster
from kestrapy.adapters.kafka.log import KafkaLog
from kestrapy.adapters.system import SystemClock
from kestrapy.errors import SettingsRefused


def settings(kind: str, **extra: str) -> dict[str, Any]:
    named = {name.replace("_", "."): value for name, value in extra.items()}
    return Cluster("k:9092", "c", SystemClock(), named).client(dict, kind, {})


def test_what_the_contract_rests_on_is_not_for_users_to_set() -> None:
    for name in ("isolation.level", "consumer.isolation.level", "acks", "producer.partitioner"):
        with pytest.raises(SettingsRefused, match=name):
            KafkaLog("k:9092", extra={name: "x"})


def test_a_prefix_names_the_family_that_gets_a_setting() -> None:
    extra = {"linger_ms": "7", "producer_linger_ms": "9"}
    assert settings("producer", **extra)["linger.ms"] == "9"
    assert settings("transactions", **extra)["linger.ms"] == "9"
    assert settings("member", **extra)["linger.ms"] == "7"
    assert "producer.linger.ms" not in settings("producer", **extra)


def test_a_setting_that_kafka_does_not_know_is_refused() -> None:
    with pytest.raises(SettingsRefused, match=r"no\.such\.setting"):
        KafkaLog("127.0.0.1:1", extra={"no.such.setting": "1"}).producer()


@pytest.mark.parametrize("kind", ["reader", "member"])
def test_consumers_see_committed_records_only_and_skip_none(kind: str) -> None:
    found = settings(kind)
    assert found["isolation.level"] == "read_committed"
    assert found["auto.offset.reset"] == "error"
    assert found["enable.auto.commit"] is False


@pytest.mark.parametrize("kind", ["producer", "transactions"])
def test_producers_append_once_and_where_java_would(kind: str) -> None:
    found = settings(kind)
    assert (found["enable.idempotence"], found["acks"]) == (True, "all")
    assert found["partitioner"] == "murmur2_random"


def test_a_gapless_producer_waits_for_ever_whatever_is_set() -> None:
    """A message that times out leaves a gap, behind which a fold's outputs would be dropped."""
    for name in ("delivery.timeout.ms", "message.timeout.ms"):
        made = Cluster("k:9092", "c", SystemClock(), {name: "5"}).client(dict, "producer", GAPLESS)
        assert {made["delivery.timeout.ms"], made["message.timeout.ms"]} == {0}
