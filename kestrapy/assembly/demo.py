"""The servers of a demo: a few seconds' installation of its own, of which nothing stays behind."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from kestrapy.adapters.kafka.broker import free_ports
from kestrapy.adapters.kafka.provision import BOOTSTRAP_SERVERS
from kestrapy.adapters.rest import RestClient
from kestrapy.adapters.system import SystemEntropy
from kestrapy.assembly.parts import Parts
from kestrapy.assembly.servers import ensure_topics, parts_of
from kestrapy.assembly.standalone import Child, Standalone, keep
from kestrapy.config import load_settings
from kestrapy.config_sources import PREFIX
from kestrapy.errors import LogUnavailable, OperatorError

log = logging.getLogger(__name__)

SETTINGS_FILE = "kestrapy.yaml"
HEALTH_ATTEMPTS = 900
"""With a pause of 0.1 s after each: more than a slow machine needs to start all servers."""
RESTARTS = 3
"""So many restarts while all start mean that a server can't."""
TAIL_LINES = 15
DELETE_TIMEOUT = 30.0


@contextmanager
def demo_servers(
    folder: Path, bootstrap_servers: str, groups: Sequence[str]
) -> Iterator[RestClient]:
    """All five servers, with workers of these groups, until the context ends. -> their API

    folder: for settings, data and logs. Settings in the environment are not looked at: they belong
    to another installation. Raises OperatorError where a server can't start.
    """
    port = free_ports("127.0.0.1", 1)[0]
    config = folder / SETTINGS_FILE
    config.write_text(_settings(folder, bootstrap_servers, groups, port), encoding="utf-8")
    settings = load_settings(config, {})
    logs = folder / "logs"
    logs.mkdir()
    parts = parts_of(settings, "demo")
    try:
        ensure_topics(parts)
        servers = Standalone(settings, config, logs, _environment())
        with _kept(servers):
            client = RestClient(f"http://{settings.webserver.host}:{port}")
            client.await_up(HEALTH_ATTEMPTS, lambda: _check(servers.children))
            yield client
    finally:
        if os.environ.get(BOOTSTRAP_SERVERS):
            _delete_topics(parts)  # the Kafka stays, and is not ours


def _settings(folder: Path, bootstrap_servers: str, groups: Sequence[str], port: int) -> str:
    # Few shards and partitions: their topics are made while somebody waits.
    return yaml.safe_dump(
        {
            "dataDir": str(folder.absolute()),
            "shards": 2,
            "jobPartitions": 4,
            "workerGroups": [{"key": group} for group in groups],
            "kafka": {
                "bootstrapServers": bootstrap_servers,
                "topicPrefix": f"demo-{SystemEntropy().token()}.",
            },
            "worker": {"threads": 2, "terminationGracePeriod": "PT5S"},
            "webserver": {"port": port},
        },
        sort_keys=False,
    )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


@contextmanager
def _kept(servers: Standalone) -> Iterator[None]:
    """The servers run, and are restarted when they die, while the block runs."""
    stop = threading.Event()
    # Servers end when the thread that started them does, so it is one that stops them first.
    keeper = threading.Thread(target=keep, args=(servers, stop), name="keeper")
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()


def _check(children: Sequence[Child]) -> None:
    for child in children:
        if child.restarts >= RESTARTS and child.log is not None:
            lines = child.log.read_text(encoding="utf-8", errors="replace").splitlines()
            tail = "\n".join(lines[-TAIL_LINES:])
            raise OperatorError(f"{child.name} does not start; the end of {child.log}:\n{tail}")


def _delete_topics(parts: Parts) -> None:
    names = [spec.name for spec in parts.catalogue.specs(parts.groups)]
    try:
        parts.log.topics().delete(names, DELETE_TIMEOUT)
    except LogUnavailable as error:
        log.warning("topics %s… are left behind: %s", parts.catalogue.prefix, error)
