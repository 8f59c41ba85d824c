"""``ports.log.ShareMember`` on Kafka: the ``ShareConsumer`` of confluent-kafka, a preview.

The group's own settings live in the broker and are written by each member when it is made.
"""

from __future__ import annotations

import confluent_kafka
from confluent_kafka import IllegalStateException, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, but not to mypy
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from kestrapy.adapters.kafka.configs import Cluster, logger
from kestrapy.adapters.kafka.failures import FATAL, unavailable
from kestrapy.adapters.kafka.records import to_record
from kestrapy.errors import InvariantViolated, MemberBroken
from kestrapy.ports.log import Record

SECONDS = 10.0

GROUP_SETTINGS = {
    # The default, latest, skips what was published before the first member came.
    "share.auto.offset.reset": "earliest",
    # By default jobs of aborted transactions are delivered.
    "share.isolation.level": "read_committed",
    # The least that default brokers allow: for how long a dead member's records are nobody's.
    "share.record.lock.duration.ms": "15000",
}


class KafkaShareMember:
    """Reads nothing for some seconds after it was made: members hear of their partitions with a
    heartbeat, each 5 s.

    A group's members share a partition only where there are at least as many of them as partitions:
    Kafka gives each partition to as few members as it can.
    """

    def __init__(self, cluster: Cluster, group: str, topic: str):
        self._group = group
        self._open: set[tuple[int, int]] = set()
        self._broken = ""
        _configure(cluster, group)
        self._consumer = cluster.client(confluent_kafka.ShareConsumer, "share", {"group.id": group})
        self._consumer.subscribe([topic])
        self._closed = False

    def poll(self, timeout: float) -> list[Record]:
        if self._broken:
            raise MemberBroken(self._broken)
        if self._open:
            raise InvariantViolated(f"{len(self._open)} records of the last poll are not accepted")
        records = []
        for message in self._consumer.poll(timeout):
            if (error := message.error()) is None:
                records.append(to_record(message))
            elif error.code() in FATAL or error.fatal():
                self._broken = f"membership of {self._group}: {error.str()}"
            else:
                logger.warning("share group %s: %s", self._group, error.str())
        self._open = {(record.partition, record.offset) for record in records}
        return records

    def accept(self, record: Record) -> None:
        self._open.discard((record.partition, record.offset))
        try:
            self._consumer.acknowledge_offset(record.topic, record.partition, record.offset)
        except (KafkaException, IllegalStateException) as error:
            # The lock is over: the record is delivered again, which does no harm.
            logger.info("share group %s: %s", self._group, error)

    def commit(self) -> None:
        try:
            self._consumer.commit_async()
        except KafkaException as error:
            logger.info("share group %s: %s", self._group, error)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._consumer.close()
        except KafkaException as error:
            logger.info("share group %s: %s", self._group, error)


def _configure(cluster: Cluster, group: str) -> None:
    """Raises LogUnavailable."""
    admin = cluster.client(AdminClient, "admin", {})
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in GROUP_SETTINGS.items()
    ]
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=entries)
    asked = admin.incremental_alter_configs([resource], request_timeout=SECONDS)
    for future in asked.values():
        try:
            future.result(SECONDS)
        except KafkaException as error:
            raise unavailable(
                f"settings of share group {group} (share groups need Kafka 4.2 or later)", error
            ) from error
