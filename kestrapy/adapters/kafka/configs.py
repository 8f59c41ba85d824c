"""Every setting of our Kafka clients, each with its reason."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from kestrapy.errors import SettingsRefused
from kestrapy.ports.clock import Clock

logger = logging.getLogger("kestrapy.kafka")

Settings = dict[str, Any]
Client = TypeVar("Client")

_CLIENT: Settings = {
    "log_level": 4,  # warnings
    # Brokers close idle connections; that is no news.
    "log.connection.close": False,
    "socket.keepalive.enable": True,
    "socket.nagle.disable": True,
    # The default waits up to 10 s after a broker is back.
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,
    # A topic that was made meanwhile is found by those who subscribed to it within this time.
    "topic.metadata.refresh.interval.ms": 5000,
    # For how long a topic that nobody knows is held to be just new. The default, 30 s, is how
    # long a job for a group without a topic would wait for its failure.
    "topic.metadata.propagation.max.ms": 2000,
}

_PRODUCER: Settings = {
    # Acked once means in the log once, in the order of sending: what a fold's outputs rest on.
    "enable.idempotence": True,
    "acks": "all",
    # Java's default, so that a key has the same partition for clients of every language.
    "partitioner": "murmur2_random",
    # Below a topic's default: a record that is too large is refused before it is sent. One that
    # only the broker refuses takes those of its batch with it.
    "message.max.bytes": 1_000_000,
    # A record goes out at once; under load batches form while five requests are under way.
    "linger.ms": 0,
    # A broker that hangs is given up before the records it was sent are.
    "request.timeout.ms": 10_000,
    "delivery.timeout.ms": 30_000,
}

GAPLESS: Settings = {
    # For ever. A message that its time ends is left out, and those behind it are sent all the same.
    # Two names of one setting: a user may have given the other one.
    "delivery.timeout.ms": 0,
    "message.timeout.ms": 0,
}

_TRANSACTIONAL: Settings = {
    **_PRODUCER,
    # The next transaction asks again until the coordinator has ended the last one: with the
    # default, 100 ms, each transaction takes that long.
    "retry.backoff.ms": 1,
    # What a dead owner left open blocks readers no longer than this, even when nobody takes over.
    "transaction.timeout.ms": 30_000,
}

_CONSUMER: Settings = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    # A position that is gone is an error: whether it may be skipped is for the reader to say.
    "auto.offset.reset": "error",
    # The broker answers at once when it has a record; the rest of the time it may hold a request.
    "fetch.wait.max.ms": 100,
    "fetch.min.bytes": 1,
    # The default, 1 s, is seen as a gap whenever the local queue was full for a moment.
    "fetch.queue.backoff.ms": 20,
    "allow.auto.create.topics": False,
}

_READER: Settings = {
    **_CONSUMER,
    # The event says how far a partition was passed where aborted or control records stand last.
    "enable.partition.eof": True,
}

_MEMBER: Settings = {
    **_CONSUMER,
    # The newer protocol's sessions can't be shorter than 45 s on default brokers.
    "group.protocol": "classic",
    # Partitions that stay are read on during a rebalance.
    "partition.assignment.strategy": "cooperative-sticky",
    # The least that default brokers allow: how long a dead member's partitions stand still.
    "session.timeout.ms": 6000,
    # A rebalance is noticed with a heartbeat, and a cooperative one has two rounds.
    "heartbeat.interval.ms": 500,
    # A member that is stuck between two polls gives its partitions to the others.
    "max.poll.interval.ms": 30_000,
}

_SHARE: Settings = {
    "share.acknowledgement.mode": "explicit",
    # As few as there may be. Kafka gives whole batches of a producer all the same.
    "max.poll.records": 1,
    "fetch.wait.max.ms": 100,
    "fetch.min.bytes": 1,
    # A member that is full does not poll: a poll takes jobs. So for a day nobody minds.
    "max.poll.interval.ms": 86_400_000,
}

_KINDS: Mapping[str, Settings] = {
    "admin": {},
    "producer": _PRODUCER,
    "transactions": _TRANSACTIONAL,
    "reader": _READER,
    "member": _MEMBER,
    "share": _SHARE,
}
_NOT_OF_SHARES = frozenset({"heartbeat.interval.ms", "session.timeout.ms"})
"""Set for members of consumer groups; of share groups the broker decides, and refuses others."""
_FAMILY = {
    "transactions": "producer",
    "reader": "consumer",
    "member": "consumer",
    "share": "consumer",
}

_FIXED = {
    "bootstrap.servers",
    "client.id",
    "group.id",
    "group.instance.id",
    "transactional.id",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "partitioner",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "isolation.level",
    "auto.offset.reset",
    "enable.partition.eof",
    "group.protocol",
    "share.acknowledgement.mode",
    "partition.assignment.strategy",
}
"""What the log's contract rests on: nobody may set these otherwise."""


@dataclass(frozen=True)
class Cluster:
    """A Kafka cluster, and how its clients are made.

    extra: settings of librdkafka that win over ours, such as those for TLS and SASL; with the
    prefix ``producer.``, ``consumer.`` or ``admin.`` for clients of that family only.
    replication_factor: of topics that are created; -1 for three on three brokers or more, else the
    brokers' default.
    Raises SettingsRefused where extra would break the log's contract.
    """

    bootstrap_servers: str
    client_id: str
    clock: Clock
    extra: Mapping[str, str] = field(default_factory=dict)
    replication_factor: int = -1

    def __post_init__(self) -> None:
        for name in self.extra:
            if _bare(name) in _FIXED:
                raise SettingsRefused(f"kafka setting {name} is not for you to choose: remove it")

    def client(self, make: Callable[[Settings], Client], kind: str, own: Settings) -> Client:
        """Make a client of a kind: admin, producer, transactions, reader or member.

        own: settings of this one. Raises SettingsRefused.
        """
        try:
            return make({**self._settings(kind), **own})
        except KafkaException as error:
            raise SettingsRefused(f"kafka settings of a {kind}: {error.args[0].str()}") from error

    def _settings(self, kind: str) -> Settings:
        family = _FAMILY.get(kind, kind)
        unknown = _NOT_OF_SHARES if kind == "share" else frozenset()
        settings = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": self.client_id,
            "logger": logger,
            "error_cb": log_error,
            **_CLIENT,
            **_KINDS[kind],
            **{name: value for name, value in self.extra.items() if _bare(name) == name},
            **{
                _bare(name): value
                for name, value in self.extra.items()
                if name.startswith(f"{family}.")
            },
        }
        return {name: value for name, value in settings.items() if name not in unknown}


def _bare(name: str) -> str:
    for family in ("producer.", "consumer.", "admin."):
        if name.startswith(family):
            return name.removeprefix(family)
    return name


def log_error(error: KafkaError) -> None:
    """Errors of the connection mend themselves; what can't be mended is seen where it is met."""
    logger.log(logging.ERROR if error.fatal() else logging.WARNING, "%s", error.str())
