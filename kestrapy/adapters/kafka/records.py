"""Fetching from a consumer of confluent-kafka, and what comes out of it."""

from __future__ import annotations

from typing import Any, TypeAlias

import confluent_kafka

from kestrapy.ports.log import Partition, Record

Raw: TypeAlias = Any
"""``confluent_kafka.Message``: typed, everything of it could be None, which only events have."""


def to_record(message: Raw) -> Record:
    """message: one without an error."""
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )


def fetch(consumer: confluent_kafka.Consumer, limit: int, timeout: float) -> list[Raw]:
    """What is there, at most limit; waits up to timeout seconds for the first one.

    Records and events, in the order in which they came.
    """
    # One call for all would wait the whole timeout until it has the limit.
    first: list[Raw] = consumer.consume(1, timeout)
    return first + consumer.consume(limit - 1, 0) if first and limit > 1 else first


def at(partition: Partition, offset: int) -> confluent_kafka.TopicPartition:
    return confluent_kafka.TopicPartition(partition.topic, partition.index, offset)
