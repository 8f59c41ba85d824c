"""``ports.log.Topics`` on Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, but not to mypy
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from kestrapy.adapters.kafka.configs import Cluster
from kestrapy.adapters.kafka.failures import MISSING, unavailable
from kestrapy.errors import LogUnavailable
from kestrapy.ports.log import TopicDescription, TopicSpec

Key = TypeVar("Key")

_REQUIRED = {"message.timestamp.type": "LogAppendTime"}
"""Of every topic: ``Record.timestamp`` is the broker's, since clocks of clients disagree."""
REPLICAS = 3
_REPLICATED = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
"""Of topics with three replicas: what was acknowledged outlives a broker. Brokers' own defaults
would acknowledge what one of them has."""


class KafkaTopics:
    def __init__(self, cluster: Cluster):
        self._cluster = cluster
        self._admin = cluster.client(AdminClient, "admin", {})
        self._created: set[str] = set()
        """Seen by one broker; the others may take a moment."""

    def create(self, specs: Sequence[TopicSpec], timeout: float) -> list[str]:
        """Returns when clients see the topics."""
        if not specs:
            return []
        deadline = self._deadline(timeout)
        replicas = self._replicas(deadline)
        safe = _REQUIRED | (_REPLICATED if replicas >= REPLICAS else {})
        fresh = [
            NewTopic(
                spec.name,
                spec.partitions,
                replicas,
                config={**spec.configs, **safe},
            )
            for spec in specs
        ]
        made = self._answers(
            "create topic",
            self._admin.create_topics(fresh, request_timeout=timeout),
            {KafkaError.TOPIC_ALREADY_EXISTS},
            deadline,
        )
        names = [spec.name for spec in specs]
        seen = partial(self._visible, names, deadline)
        self._await("create topics", lambda: len(seen()) == len(names), deadline)
        self._created.update(names)
        return list(made)

    def describe(self, names: Sequence[str], timeout: float) -> dict[str, TopicDescription]:
        """Brokers hear of a new topic one after the other: one that was created here, or that one
        of them knows, is waited for until all who are asked know it.
        """
        deadline = self._deadline(timeout)
        created = self._created.intersection(names)
        found = self._visible(names, deadline)
        settings = self._settings(found, deadline)
        while not (created | found.keys()) <= settings.keys() and self._left(deadline):
            self._admin.poll(0.02)
            found = self._visible(names, deadline)
            settings = self._settings(found, deadline)
        self._created -= created
        brokers = self._brokers(deadline) if found else 0
        return {
            name: TopicDescription(
                name,
                len(topic.partitions),
                len(topic.partitions[0].replicas),
                settings[name],
                str(topic.topic_id),
                brokers,
            )
            for name, topic in found.items()
            if name in settings
        }

    def _settings(self, names: Iterable[str], deadline: int) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        asked = self._admin.describe_configs(resources, request_timeout=self._left(deadline))
        answers = self._answers("describe topic", asked, MISSING, deadline)
        return {
            resource.name: {entry.name: entry.value for entry in entries.values()}
            for resource, entries in answers.items()
        }

    def _replicas(self, deadline: int) -> int:
        """Of topics to be made: as the settings say; else three where there are three brokers."""
        chosen = self._cluster.replication_factor
        if chosen == -1 and self._brokers(deadline) >= REPLICAS:
            return REPLICAS
        return chosen

    def _brokers(self, deadline: int) -> int:
        asked = self._admin.describe_cluster(request_timeout=self._left(deadline))
        found = self._answers("describe", {"cluster": asked}, set(), deadline)
        return len(found["cluster"].nodes)

    def delete(self, names: Sequence[str], timeout: float) -> None:
        """Returns when clients see the topics no more."""
        if not names:
            return
        deadline = self._deadline(timeout)
        asked = self._admin.delete_topics(list(names), request_timeout=timeout)
        self._answers("delete topic", asked, MISSING, deadline)
        self._await("delete topics", lambda: not self._visible(names, deadline), deadline)

    def _visible(self, names: Sequence[str], deadline: int) -> dict[str, Any]:
        """Those of the topics whose partitions all have a leader."""
        if not names:
            return {}
        # Other ways to ask would create the topic where the broker is set to do so.
        asked = self._admin.describe_topics(
            TopicCollection(list(names)), request_timeout=self._left(deadline)
        )
        found = self._answers("describe topic", asked, MISSING, deadline)
        return {
            name: topic
            for name, topic in found.items()
            if all(partition.leader is not None for partition in topic.partitions)
        }

    def _answers(
        self,
        what: str,
        asked: Mapping[Key, Future[Any]],
        ignored: frozenset[int] | set[int],
        deadline: int,
    ) -> dict[Key, Any]:
        """What was answered; those with an ignored error are left out. Raises LogUnavailable."""
        answers = {}
        for key, future in asked.items():
            try:
                answers[key] = future.result(self._left(deadline))
            except KafkaException as error:
                if error.args[0].code() not in ignored:
                    raise unavailable(f"{what} {key}", error) from error
            except TimeoutError as error:
                servers = self._cluster.bootstrap_servers
                raise LogUnavailable(
                    f"{what} {key}: no answer in time from {servers}:"
                    " is Kafka reachable there? (kafka.bootstrapServers)"
                ) from error
        return answers

    def _await(self, what: str, done: Callable[[], bool], deadline: int) -> None:
        while not done():
            if not self._left(deadline):
                raise LogUnavailable(f"{what}: not seen by clients in time")
            self._admin.poll(0.02)

    def _deadline(self, timeout: float) -> int:
        return self._cluster.clock.monotonic() + round(timeout * 1000)

    def _left(self, deadline: int) -> float:
        return max(0, deadline - self._cluster.clock.monotonic()) / 1000
