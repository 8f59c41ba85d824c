"""All five servers as processes under one parent, which restarts at once what died."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kestrapy.adapters import tether
from kestrapy.adapters.system import SystemClock, SystemEntropy
from kestrapy.assembly.servers import INSTANCE_VARIABLE, ensure_topics, parts_of, stopping
from kestrapy.config import Settings

log = logging.getLogger(__name__)

LOOK_EVERY = 0.05
SHORT_LIFE = 1_000
"""ms: what died sooner than this is restarted after a pause that grows."""
LONGEST_PAUSE = 5_000
STOP_AFTER = 15.0
"""Seconds that servers have to end, beyond the workers' grace period."""


@dataclass
class Child:
    """A server's process. Times: monotonic ms. instance_id: stable over restarts."""

    name: str
    arguments: Sequence[str]
    instance_id: str
    log: Path | None
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: int = 0
    pause: int = 0
    due: int = 0
    restarts: int = field(default=-1)

    def start(self, now: int) -> None:
        self.restarts += 1
        self.started = now
        self.process = tether.spawn(
            [sys.executable, "-m", "kestrapy", *self.arguments],
            log=self.log,
            env={**self.environment, INSTANCE_VARIABLE: self.instance_id},
            death_signal=signal.SIGTERM,
        )

    def look(self, now: int) -> None:
        """Start it where it is not running; what died young waits a little."""
        if self.process is not None and self.process.poll() is not None:
            log.warning("%s ended with code %d", self.name, self.process.returncode)
            young = now - self.started < SHORT_LIFE
            self.pause = min(LONGEST_PAUSE, max(100, self.pause * 2)) if young else 0
            self.due, self.process = now + self.pause, None
        if self.process is None and now >= self.due:
            self.start(now)


class Standalone:
    """The children. log_dir: a file for each child; None: all to standard error. environment:
    theirs; it has the settings that win over those in config.
    """

    def __init__(
        self,
        settings: Settings,
        config: Path | None,
        log_dir: Path | None = None,
        environment: Mapping[str, str] = os.environ,
    ):
        self._clock = SystemClock()
        self._grace = settings.worker.termination_grace_period / 1000
        tail = ["--config", str(config)] if config else []
        commands = {name: ["server", name] for name in ("indexer", "executor", "scheduler")}
        for group in settings.group_keys:
            commands[f"worker-{group}"] = ["server", "worker", "--worker-group", group]
        commands["webserver"] = ["server", "webserver"]
        token = SystemEntropy().token()
        self.children = [
            Child(
                name,
                [*command, *tail],
                f"{name}-{token}",
                log_dir / f"{name}.log" if log_dir else None,
                environment,
            )
            for name, command in commands.items()
        ]

    def look(self) -> None:
        now = self._clock.monotonic()
        for child in self.children:
            child.look(now)

    def stop(self) -> None:
        """SIGTERM to all; SIGKILL to what is left after the grace period."""
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = self._clock.monotonic() + int((self._grace + STOP_AFTER) * 1000)
        for process in running:
            left = max(0.1, (deadline - self._clock.monotonic()) / 1000)
            try:
                process.wait(left)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run_standalone(settings: Settings, config: Path | None) -> int:
    """Until SIGTERM or Ctrl-C. -> exit code."""
    ensure_topics(parts_of(settings, "standalone"))
    servers = Standalone(settings, config)
    with stopping(limit=0) as stop:  # stopping the children has its own limit
        keep(servers, stop)
    return 0


def keep(servers: Standalone, stop: threading.Event) -> None:
    """Keep the children alive until stop is set, then end them."""
    try:
        while not stop.wait(LOOK_EVERY):
            servers.look()
    finally:
        servers.stop()
