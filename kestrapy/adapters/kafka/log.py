"""``ports.log.Log`` on a Kafka cluster. ``configs`` has the clients' settings and their reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from kestrapy.adapters.kafka.configs import Cluster
from kestrapy.adapters.kafka.member import KafkaMember, Seat
from kestrapy.adapters.kafka.producer import KafkaProducer
from kestrapy.adapters.kafka.reader import KafkaReader
from kestrapy.adapters.kafka.share import KafkaShareMember
from kestrapy.adapters.kafka.topics import KafkaTopics
from kestrapy.adapters.kafka.transactions import KafkaTransactions
from kestrapy.adapters.system import SystemClock
from kestrapy.ports.clock import Clock
from kestrapy.ports.log import RebalanceListener


class KafkaLog:
    """Connects when its clients do, not before. Needs Kafka 2.5 or later.

    bootstrap_servers: ``host:port``, several with commas between. client_id: shown by the brokers.
    extra, replication_factor: see ``configs.Cluster``. Raises SettingsRefused.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        client_id: str = "kestrapy",
        extra: Mapping[str, str] = MappingProxyType({}),
        *,
        replication_factor: int = -1,
        clock: Clock | None = None,
    ):
        self._cluster = Cluster(
            bootstrap_servers, client_id, clock or SystemClock(), extra, replication_factor
        )

    def producer(self, *, gapless: bool = False) -> KafkaProducer:
        return KafkaProducer(self._cluster, gapless)

    def reader(self) -> KafkaReader:
        return KafkaReader(self._cluster)

    def member(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        instance_id: str = "",
        aside: str = "",
    ) -> KafkaMember:
        seat = Seat(group, tuple(topics), instance_id, aside)
        return KafkaMember(self._cluster, seat, listener)

    def share_member(self, group: str, topic: str) -> KafkaShareMember:
        return KafkaShareMember(self._cluster, group, topic)

    def transactions(self, transactional_id: str) -> KafkaTransactions:
        return KafkaTransactions(self._cluster, transactional_id)

    def topics(self) -> KafkaTopics:
        return KafkaTopics(self._cluster)
