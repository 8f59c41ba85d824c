"""What a member makes of errors that a real Kafka gives too rarely to wait for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError

from kestrapy.adapters.kafka.configs import Cluster
from kestrapy.adapters.kafka.member import KafkaMember, Seat
from kestrapy.errors import MemberBroken
from kestrapy.ports.log import Partition


class Event:
    """In place of a message: an error."""

    def __init__(self, code: int):
        self._error = KafkaError(code)

    def error(self) -> KafkaError:
        return self._error

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0


class Scripted:
    """A consumer, and the cluster that makes it, who gives these events."""

    def __init__(self, *codes: int):
        self._events = [Event(code) for code in codes]

    def client(self, make: Callable[..., Any], kind: str, own: Mapping[str, Any]) -> Scripted:
        return self

    def subscribe(self, topics: Sequence[str], **callbacks: Any) -> None: ...

    def consume(self, limit: int, timeout: float) -> list[Event]:
        events, self._events = self._events[:limit], self._events[limit:]
        return events


class Deaf:
    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return {}

    def revoked(self, partitions: Sequence[Partition]) -> None: ...

    def lost(self, partitions: Sequence[Partition]) -> None: ...


def member(*codes: int) -> KafkaMember:
    return KafkaMember(cast(Cluster, Scripted(*codes)), Seat("g", ("t",)), Deaf())


@pytest.mark.parametrize(
    "code", [KafkaError.NOT_COORDINATOR, KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL]
)
def test_a_member_that_met_an_error_of_its_group_is_broken_for_good(code: int) -> None:
    """After NOT_COORDINATOR to a fetch of committed offsets, librdkafka reads nothing any more."""
    broken = member(code)
    for _ in range(2):
        with pytest.raises(MemberBroken, match="membership of g"):
            broken.poll(10, 0)


def test_a_topic_that_is_still_missing_breaks_nothing() -> None:
    assert member(KafkaError.UNKNOWN_TOPIC_OR_PART).poll(10, 0) == []
