"""Servers as real processes around a real Kafka: started, killed and restarted by a test.

    with Cluster(folder, bootstrap_servers, prefix, {"workerGroups": [{"key": "gpu"}]}) as cluster:
        cluster.start("executor", "scheduler", "indexer", "webserver", "worker:gpu")
        cluster.await_ready()
        cluster.api.save_flow(source)

Each server has a *slot*: a name, a port for ``/health``, and an instance id that stays through
restarts, as a parent would give them. Every process below a cluster carries its folder's path in
its environment, tasks included (WORKING_DIR); so nothing that was started can hide.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import httpx
import yaml

from kestrapy.adapters import tether
from kestrapy.adapters.kafka.broker import free_ports
from kestrapy.assembly.parts import Parts
from kestrapy.assembly.servers import INSTANCE_VARIABLE, parts_of
from kestrapy.config import Settings, load_settings
from tests.acceptance.api import Api

READY_TIMEOUT = 120.0
STOP_TIMEOUT = 30.0
_LOOK_EVERY = 0.05
BASIC = ("indexer", "executor", "webserver")
"""What any execution over REST needs, beside workers."""
_LAST_LINES = 40
_WORKER_IS_UP = re.compile(r"worker (\S+) of group \S+ is up")


class Slot:
    """A server that can be killed and started again. log_files: by the pid of each start."""

    def __init__(self, name: str, command: list[str], port: int, env: Mapping[str, str]):
        self.name = name
        self.kind = command[1]
        self.port = port
        self.log_files: dict[int, Path] = {}
        self._command = command
        self._env = {**env, INSTANCE_VARIABLE: name}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the server; of a worker its supervisor's."""
        if self._process is None:
            raise LookupError(f"{self.name} was not started")
        return self._process.pid

    def start(self, folder: Path, module: str = "kestrapy") -> None:
        """In a thread that goes on: the server ends with it, so that none outlives the test.
        module: of another build."""
        log_file = folder / f"{self.name}.{len(self.log_files) + 1}.log"
        command = [sys.executable, "-m", module, *self._command]
        self._process = tether.spawn(command, log=log_file, env=self._env)
        self.log_files[self._process.pid] = log_file

    def send(self, number: signal.Signals) -> None:
        """A signal to the server; nothing where it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def worker_pids(self) -> list[int]:
        """The worker below its supervisor; none while it is started anew."""
        lines = {pid: _read(pid, "cmdline") for pid in processes_below(self.pid)}
        return [
            pid
            for pid, line in lines.items()
            if b"\0worker\0" in line and b"supervisor" not in line
        ]

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """-> exit code, minus the signal that ended it."""
        if self._process is None:
            raise LookupError(f"{self.name} was not started")
        return self._process.wait(timeout)

    def exit_code(self) -> int | None:
        """None while it runs, and before it was started."""
        return None if self._process is None else self._process.poll()

    def is_ready(self) -> bool:
        """Whether /health says that all is well."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2).is_success
        except httpx.TransportError:
            return False

    def worker_ids(self, pid: int) -> set[str]:
        """Under which ids workers ran below the supervisor of that pid."""
        text = self.log_files[pid].read_text(errors="replace")
        return set(_WORKER_IS_UP.findall(text))


class Cluster:
    """Any number of servers of one installation. extra: settings beside those that differ anyway;
    kafka: those of the section of that name.

    Leaving it ends every process, also where the test failed, and prints the logs' ends then.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap_servers: str,
        prefix: str,
        extra: Mapping[str, Any],
        kafka: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.folder = folder
        self.config_file = folder / "kestrapy.yaml"
        self.slots: dict[str, Slot] = {}
        (self._web_port,) = free_ports("127.0.0.1", 1)
        document = {
            "dataDir": str(folder / "data"),
            "kafka": {"bootstrapServers": bootstrap_servers, "topicPrefix": prefix, **kafka},
            "webserver": {"port": self._web_port},
            **extra,
        }
        self.config_file.write_text(yaml.safe_dump(document))
        self.settings: Settings = load_settings(self.config_file, {})
        self.api = Api(f"http://127.0.0.1:{self._web_port}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.api.close()
        for slot in self.slots.values():
            slot.send(signal.SIGKILL)
            if slot.exit_code() is None and slot.log_files:
                slot.wait()
        if kind is not None:
            self.print_logs()
        self.await_no_process()

    def parts(self) -> Parts:
        """For a test that reads the topics."""
        return parts_of(self.settings, "acceptance")

    # Processes

    def start(self, *names: str, module: str = "kestrapy") -> None:
        """``kind`` or ``worker:group``, with ``#2`` and so on for further ones of the kind."""
        for name in names:
            if name not in self.slots:
                self.slots[name] = self._slot(name)
            self.slots[name].start(self.folder, module)

    def _slot(self, name: str) -> Slot:
        kind, _, group = name.partition("#")[0].partition(":")
        port = self._web_port if kind == "webserver" else free_ports("127.0.0.1", 1)[0]
        env = {**os.environ, "KESTRAPY_CONFIG": str(self.config_file)}
        if kind != "webserver":
            env[f"KESTRAPY_ENDPOINTS__{kind.upper()}"] = str(port)
        command = ["server", kind, *(["--worker-group", group] if group else [])]
        return Slot(name, command, port, env)

    def await_ready(self, *names: str, timeout: float = READY_TIMEOUT) -> None:
        """Until these servers, or all of them, answer; one that ended is a failure at once."""
        for name in names or tuple(self.slots):
            slot = self.slots[name]
            self.wait_for(
                lambda slot=slot: slot.is_ready() or self._require_alive(slot),  # type: ignore[misc]
                f"{name} to be ready",
                timeout,
            )

    def _require_alive(self, slot: Slot) -> bool:
        if slot.exit_code() is not None:
            raise AssertionError(f"{slot.name} ended with code {slot.exit_code()}")
        return False

    def kill(self, name: str) -> None:
        """SIGKILL, and wait for its end."""
        self.slots[name].send(signal.SIGKILL)
        self.slots[name].wait()

    def stop(self, *names: str) -> dict[str, int]:
        """SIGTERM to these servers, or to all. -> their exit codes."""
        wanted = names or tuple(self.slots)
        for name in wanted:
            self.slots[name].send(signal.SIGTERM)
        return {name: self.slots[name].wait() for name in wanted}

    def wait_for(
        self, holds: Callable[[], bool], what: str, timeout: float = READY_TIMEOUT
    ) -> None:
        """Ask again and again; for what no topic tells."""
        deadline = time.monotonic() + timeout
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout:g} s in vain for {what}")
            time.sleep(_LOOK_EVERY)

    def worker_ids(self, supervisor: int) -> set[str]:
        """Under which ids workers ran below the supervisor of that pid; none for other pids."""
        slots = (it for it in self.slots.values() if supervisor in it.log_files)
        return {worker for slot in slots for worker in slot.worker_ids(supervisor)}

    # What is left

    def processes(self) -> dict[int, str]:
        """Every process that carries this cluster's folder in its environment, and what it is."""
        mark = f"{self.folder}/".encode()
        mine = {pid for pid in _all_pids() if mark in _read(pid, "environ")}
        lines = {pid: _read(pid, "cmdline").replace(b"\0", b" ").decode() for pid in mine}
        return {pid: line for pid, line in lines.items() if line}

    def await_no_process(self) -> None:
        """Servers' deaths end what was below them, within moments."""
        try:
            self.wait_for(lambda: not self.processes(), "the end of all processes", STOP_TIMEOUT)
        except AssertionError:
            raise AssertionError(f"left behind: {self.processes()}") from None

    def print_logs(self) -> None:
        """The last lines of each server's last log."""
        for slot in self.slots.values():
            for log_file in list(slot.log_files.values())[-1:]:
                lines = log_file.read_text(errors="replace").splitlines()[-_LAST_LINES:]
                print(f"--- {log_file.name}", *lines, sep="\n")


def send(pid: int, number: signal.Signals) -> None:
    """A signal to a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def processes_below(pid: int) -> Iterator[int]:
    """The children of a process, theirs, and so on."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                yield child
                yield from processes_below(child)


def _all_pids() -> list[int]:
    return [int(it.name) for it in Path("/proc").iterdir() if it.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    """Nothing for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
