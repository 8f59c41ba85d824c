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
        """Whether each broker says that all are there, and every replica is in sync. One alone may
        not have heard of a death yet."""
        return all(map(self._sees_all, self.servers.split(",")))

    def _sees_all(self, server: str) -> bool:
        # A new client each time, for one that knows the others would ask any of them.
        admin = AdminClient({"bootstrap.servers": server, "log_level": 0})
        try:
            found = admin.list_topics(timeout=_TRY_S)
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
