"""One process of an embedded Kafka: broker and KRaft controller in one Java."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kestrapy.adapters import tether
from kestrapy.adapters.kafka.distribution import java, kafka_jars
from kestrapy.errors import OperatorError

CLUSTER_ID = "a2VzdHJhcHktZW1iZWRkZQ"
"""16 bytes in base64. One for all: what keeps clusters apart is that only loopback reaches them."""

JVM = (
    "-Xms64m",
    "-Xmx1g",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--sun-misc-unsafe-memory-access=allow",  # else Java 25 warns of what Kafka's jars do
    "--enable-native-access=ALL-UNNAMED",
    "-Dlog4j2.level=WARN",
)
"""Quick to start and small; a broker for load wants other settings."""

ADDRESS_IN_USE = "Address already in use"
TAIL_BYTES = 2_000


@dataclass(frozen=True)
class Place:
    """Where a node listens. controllers: the controller port of each node of the cluster, by id."""

    node: int
    host: str
    port: int
    controllers: Mapping[int, int]


class Node:
    """A node with its folder, which holds its settings, its data and ``server.log``."""

    def __init__(self, folder: Path, place: Place):
        self.folder, self.place = folder, place
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def format(self) -> None:
        """Write the settings; make the storage if there is none yet. Raises OperatorError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = (f"{name}={value}\n" for name, value in settings(self.place, self._data).items())
        self._settings.write_text("".join(lines))
        if (self._data / "meta.properties").exists():
            return
        formatting = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]
        done = subprocess.run(
            [*_java_command(), *formatting, str(self._settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            said = done.stdout[-TAIL_BYTES:].decode(errors="replace")
            raise OperatorError(f"Kafka can't format {self._data}; it says:\n{said}")

    def start(self) -> None:
        """Start the process; it ends with the calling thread (see ``tether``)."""
        self.log.touch()
        self._log_start = self.log.stat().st_size
        argv = [*_java_command(), "kafka.Kafka", str(self._settings)]
        self._process = tether.spawn(argv, log=self.log)

    def ended(self, timeout_s: float = 0) -> bool:
        """Whether the process has ended, or ends within timeout_s seconds."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self) -> None:
        """Ask the process to stop in good order; does not wait."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Stop the process where it is, as if it hung: its connections stay, and nobody answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a process go on that was paused."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def complaint(self) -> str:
        """The end of what the process wrote into the log since its last start."""
        with self.log.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(self._log_start, size - TAIL_BYTES))
            return log.read().decode(errors="replace")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"


def settings(place: Place, data: Path) -> dict[str, str]:
    """Kafka's settings for a node: small, on loopback, replicated where there are three nodes."""
    size = len(place.controllers)
    replicas, in_sync = ("3", "2") if size >= 3 else ("1", "1")
    voters = (f"{node}@{place.host}:{port}" for node, port in sorted(place.controllers.items()))
    control = place.controllers[place.node]
    return {
        "process.roles": "broker,controller",
        "node.id": str(place.node),
        # Static voters, so that ports may change from one start to the next.
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{place.host}:{place.port},CONTROLLER://{place.host}:{control}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        "log.retention.check.interval.ms": "10000",
        "log.cleaner.backoff.ms": "1000",
        "log.cleaner.dedupe.buffer.size": "16777216",  # 128 MB of heap otherwise
    }


def _java_command() -> list[str]:
    return [str(java()), *JVM, "-cp", f"{kafka_jars()}/*"]
