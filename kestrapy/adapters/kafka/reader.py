"""``ports.log.Reader`` on Kafka: a consumer that assigns, and never joins a group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from kestrapy.adapters.kafka.configs import Cluster, log_error
from kestrapy.adapters.kafka.failures import (
    MISSING,
    MOVING,
    PARTITION_END,
    POSITION_GONE,
    unavailable,
)
from kestrapy.adapters.kafka.records import Raw, at, fetch, to_record
from kestrapy.errors import KestrapyError, LogUnavailable, TopicUnfit
from kestrapy.ports.log import Partition, Record


class KafkaReader:
    def __init__(self, cluster: Cluster):
        self._clock = cluster.clock
        # librdkafka wants a group's name even where there is no group.
        own = {"group.id": f"{cluster.client_id}-reader", "error_cb": self._on_error}
        self._consumer = cluster.client(confluent_kafka.Consumer, "reader", own)
        self._positions: dict[Partition, int] = {}
        self._unfit: dict[Partition, str] = {}
        self._error: KestrapyError | None = None

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Where there is no such partition, ``poll`` raises TopicUnfit some seconds later."""
        self.unassign(positions)
        try:
            self._consumer.incremental_assign([at(*item) for item in positions.items()])
        except KafkaException as error:
            raise unavailable(f"assign {_names(positions)}", error) from error
        self._positions.update(positions)

    def unassign(self, partitions: Iterable[Partition]) -> None:
        gone = [partition for partition in partitions if partition in self._positions]
        if gone:
            self._consumer.incremental_unassign([at(partition, -1) for partition in gone])
        for partition in gone:
            del self._positions[partition]
            self._unfit.pop(partition, None)

    def poll(self, limit: int, timeout: float) -> list[Record]:
        deadline = self._clock.monotonic() + round(timeout * 1000)
        while True:
            self._complain()
            records, passed = self._sort(fetch(self._consumer, limit, max(timeout, 0)))
            timeout = (deadline - self._clock.monotonic()) / 1000
            if records or passed:
                return records
            if timeout <= 0:
                self._complain()
                return []

    def position(self, partition: Partition) -> int:
        return self._positions[partition]

    def beginning_offset(self, partition: Partition, timeout: float) -> int:
        return self._offsets(partition, timeout)[0]

    def end_offset(self, partition: Partition, timeout: float) -> int:
        return self._offsets(partition, timeout)[1]

    def offset_at(self, partition: Partition, timestamp: int, timeout: float) -> int:
        (found,) = self._asked(
            partition,
            timeout,
            lambda left: self._consumer.offsets_for_times([at(partition, timestamp)], left),
        )
        if found.error is not None:
            raise unavailable(f"offsets of {_name(partition)}", KafkaException(found.error))
        # No record is that young: Kafka says -1.
        return found.offset if found.offset >= 0 else self.end_offset(partition, timeout)

    def close(self) -> None:
        self._consumer.close()

    def _sort(self, messages: list[Raw]) -> tuple[list[Record], bool]:
        """-> records, and whether an event moved a position. An error is kept for the next poll."""
        records: list[Record] = []
        positions = self._positions
        passed = False
        for message in messages:
            place = Partition(message.topic(), message.partition())
            if place not in positions:
                continue
            if (error := message.error()) is None:
                record = to_record(message)
                records.append(record)
                positions[place] = record.offset + 1
            elif error.code() == PARTITION_END:
                passed |= message.offset() > positions[place]
                positions[place] = max(positions[place], message.offset())
            else:
                self._meet(place, error)
        return records, passed

    def _meet(self, partition: Partition, error: KafkaError) -> None:
        name = _name(partition)
        if error.code() == POSITION_GONE:
            self._unfit[partition] = (
                f"{name} has no offset {self._positions[partition]}:"
                f" its records were deleted, or the topic was made anew ({error.str()})"
            )
        elif error.code() in MISSING:
            self._unfit[partition] = f"no partition {name}: create the topic ({error.str()})"
        else:
            self._error = LogUnavailable(f"read {name}: {error.str()}")

    def _complain(self) -> None:
        """Raise what was met: that a partition is unfit until it is unassigned, the rest once."""
        for text in self._unfit.values():
            raise TopicUnfit(text)
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _on_error(self, error: KafkaError) -> None:
        """That a topic is gone is said here, and not in place of a record."""
        if error.code() in MISSING:
            self._error = TopicUnfit(f"create the topic again: {error.str()}")
        else:
            log_error(error)

    def _offsets(self, partition: Partition, timeout: float) -> tuple[int, int]:
        # In read_committed the second one is the last stable offset.
        begin, end = self._asked(
            partition,
            timeout,
            lambda left: self._consumer.get_watermark_offsets(
                at(partition, -1), left, cached=False
            ),
        )
        return int(begin), int(end)

    def _asked(self, partition: Partition, timeout: float, ask: Callable[[float], Any]) -> Any:
        """The answer to a question about a partition, asked again while its leader changes.

        ask: is given the seconds that are left.
        """
        name = _name(partition)
        deadline = self._clock.monotonic() + round(timeout * 1000)
        while True:
            left = max(0.1, (deadline - self._clock.monotonic()) / 1000)
            try:
                answer = ask(left)
                break
            except KafkaException as error:
                if error.args[0].code() in MISSING:
                    raise TopicUnfit(f"no partition {name}: create the topic") from error
                passes = error.args[0].code() in MOVING
                if not passes or self._clock.monotonic() >= deadline:
                    raise unavailable(f"offsets of {name}", error) from error
                self._refresh(partition.topic, left)
        if answer is None:
            raise LogUnavailable(f"offsets of {name}: no answer within {timeout} s")
        return answer

    def _refresh(self, topic: str, timeout: float) -> None:
        """Ask who leads the topic's partitions now."""
        try:
            self._consumer.list_topics(topic, timeout)
        except KafkaException as error:
            raise unavailable(f"leaders of {topic}", error) from error


def _names(partitions: Iterable[Partition]) -> str:
    return ", ".join(map(_name, partitions))


def _name(partition: Partition) -> str:
    return f"{partition.topic}[{partition.index}]"
