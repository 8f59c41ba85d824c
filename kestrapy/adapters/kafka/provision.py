"""A Kafka for demos and tests, from what this machine has: an existing one, Docker, or embedded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kestrapy.adapters.containers import images_at_hand
from kestrapy.adapters.kafka.broker import EmbeddedBroker, await_brokers, free_ports
from kestrapy.adapters.kafka.distribution import KAFKA_VERSION
from kestrapy.adapters.kafka.node import CLUSTER_ID, Place, settings
from kestrapy.errors import LogUnavailable

BOOTSTRAP_SERVERS = "KESTRAPY_KAFKA_BOOTSTRAP_SERVERS"
"""Environment variable that names an existing Kafka, as ``host:port,...``."""
IMAGE = f"apache/kafka:{KAFKA_VERSION}"
EXISTING_TIMEOUT_S = 10
CONTAINER_TIMEOUT_S = 60


class ProvidedKafka(NamedTuple):
    """bootstrap_servers: ``host:port,...``. description: a line for people: what was chosen."""

    bootstrap_servers: str
    description: str


@contextmanager
def provide_kafka(data_dir: Path | None = None) -> Iterator[ProvidedKafka]:
    """A Kafka that answers, and that ends with the context unless it existed before.

    Chosen in this order: the one that KESTRAPY_KAFKA_BOOTSTRAP_SERVERS names; a container, where a
    Docker engine answers and has the image or pulls it within 30 s; an embedded one.
    data_dir: where an embedded one keeps its data; None: in a folder that goes away again.
    Raises LogUnavailable when the one named does not answer, OperatorError when none can start.
    """
    if existing := os.environ.get(BOOTSTRAP_SERVERS):
        try:
            await_brokers(existing, 1, EXISTING_TIMEOUT_S)
        except LogUnavailable as error:
            raise LogUnavailable(f"{error}; start it, or unset {BOOTSTRAP_SERVERS}") from error
        yield ProvidedKafka(existing, f"Kafka: existing on {existing}")
    elif images_at_hand(IMAGE):
        with _container() as servers:
            yield ProvidedKafka(servers, f"Kafka: container {IMAGE} on {servers}")
    elif data_dir is not None:
        with EmbeddedBroker(data_dir) as broker:
            yield _embedded(broker)
    else:
        with (
            tempfile.TemporaryDirectory(prefix="kestrapy-kafka-") as folder,
            EmbeddedBroker(Path(folder)) as broker,
        ):
            yield _embedded(broker)


def _embedded(broker: EmbeddedBroker) -> ProvidedKafka:
    servers = broker.bootstrap_servers
    return ProvidedKafka(servers, f"Kafka: embedded {KAFKA_VERSION} on {servers}")


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.docker_client import DockerClient

    # The same port inside and outside, as the broker reaches itself by what it advertises.
    port, control = free_ports("127.0.0.1", 2)
    servers = f"{DockerClient().host()}:{port}"
    configured = settings(Place(1, "127.0.0.1", port, {1: control}), Path("/tmp/kafka")) | {  # noqa: S108 - in the container
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://127.0.0.1:{control}",
        "advertised.listeners": f"PLAINTEXT://{servers}",
    }
    environment = {f"KAFKA_{name.replace('.', '_').upper()}": v for name, v in configured.items()}
    container = DockerContainer(IMAGE).with_bind_ports(port, port)
    with container.with_envs(CLUSTER_ID=CLUSTER_ID, **environment):
        await_brokers(servers, 1, CONTAINER_TIMEOUT_S)
        yield servers
