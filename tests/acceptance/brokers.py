"""Three brokers of one Kafka, and what may happen to one of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kestrapy.adapters.kafka.broker import EmbeddedBroker

COUNT = 3
KAFKA = {"replicationFactor": COUNT}
"""Settings of servers that make their topics on these brokers."""
_TRY_S = 0.5


class Brokers:
    """Replication 3, two in sync. Start and harm them in a thread that goes on: they end with it.

    Leaving it ends them all.
    """

    def __init__(self, folder: Path):
        self._broker = EmbeddedBroker(folder, brokers=COUNT)

    def __enter__(self) -> Self:
        self.servers = self._broker.start()
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.resume_all()
        self._broker.kill()

    def are_in_sync(self) -> bool:
        """Whether all brokers are there, and every partition has all of its replicas in sync."""
        try:
            found = self._admin.list_topics(timeout=_TRY_S)
        except KafkaException:
            return False
        partitions = [it for topic in found.topics.values() for it in topic.partitions.values()]
        return len(found.brokers) == COUNT and all(
            len(it.isrs) == len(it.replicas) for it in partitions
        )

    def kill(self, number: int) -> Callable[[], None]:
        """Number: from 0 on. -> what starts it again, on what its disk has."""
        node = self._broker.nodes[number]
        node.kill()
        return node.start

    def pause(self, number: int) -> Callable[[], None]:
        """-> what lets it go on."""
        node = self._broker.nodes[number]
        node.pause()
        return node.resume

    def resume_all(self) -> None:
        for node in self._broker.nodes:
            node.resume()

    def leader_of(self, topic: str, partition: int) -> int:
        """The number of the broker that leads a partition, -1 for none."""
        found = self._admin.list_topics(topic, timeout=10 * _TRY_S)
        return found.topics[topic].partitions[partition].leader - 1
