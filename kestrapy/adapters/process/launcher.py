"""The worker's side of its supervisor: the port ``Launcher`` over a unix socket."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from kestrapy.errors import OperatorError
from kestrapy.ports.processes import LeaseOver
from kestrapy.supervisor.channel import FD_VARIABLE, GONE_VARIABLE, Channel


class _Spawned:
    """What is known of a task's process; written by the reader thread.

    failure: why it didn't start.
    """

    def __init__(self) -> None:
        self.started = threading.Event()
        self.ended = threading.Event()
        self.failure: OSError | LeaseOver | None = None
        self.code = 0


class SupervisedProcess:
    """The port ``Process``. Its code is -9 when the supervisor is gone: the task died with it."""

    def __init__(self, launcher: SupervisorLauncher, number: int, spawned: _Spawned, ends: _Pipes):
        self._launcher = launcher
        self._number = number
        self._spawned = spawned
        self.stdout: IO[bytes] = os.fdopen(ends.stdout, "rb")
        self.stderr: IO[bytes] = os.fdopen(ends.stderr, "rb")

    def wait(self, timeout: float | None) -> int | None:
        return self._spawned.code if self._spawned.ended.wait(timeout) else None

    def kill(self, grace: float) -> None:
        message = {"do": "kill", "id": self._number, "grace": round(grace * 1000)}
        with contextlib.suppress(OSError):  # no supervisor, no task
            self._launcher.tell(message)


class _Pipes:
    """A task's two streams: we read stdout and stderr, the task writes the other ends."""

    def __init__(self) -> None:
        self.stdout, self._stdout_end = os.pipe()
        self.stderr, self._stderr_end = os.pipe()

    @property
    def ends(self) -> tuple[int, int]:
        return self._stdout_end, self._stderr_end

    def close_ends(self) -> None:
        for end in self.ends:
            os.close(end)

    def close(self) -> None:
        os.close(self.stdout)
        os.close(self.stderr)


class SupervisorLauncher:
    """The port ``Launcher``, for any number of threads.

    server: a supervisor of our own, ended by close.
    """

    def __init__(self, sock: socket.socket, server: subprocess.Popen[bytes] | None = None):
        self._channel = Channel(sock)
        self._server = server
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._spawned: dict[int, _Spawned] = {}
        self._gone = False
        self._reader = threading.Thread(target=self._read, name="supervisor", daemon=True)
        self._reader.start()

    def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, name: str
    ) -> SupervisedProcess:
        number = next(self._numbers)
        spawned = self._spawned[number] = _Spawned()
        request = {
            "do": "spawn",
            "id": number,
            "argv": list(argv),
            "env": dict(env),
            "cwd": str(cwd),
            "name": name,
        }
        pipes = _Pipes()
        try:
            self.tell(request, pipes.ends)
        except OSError:
            pipes.close()
            self._spawned.pop(number, None)
            raise
        finally:
            pipes.close_ends()
        spawned.started.wait()
        if spawned.failure is not None:
            pipes.close()
            raise spawned.failure
        return SupervisedProcess(self, number, spawned, pipes)

    def renew(self, until: int) -> None:
        """Raises OSError when the supervisor is gone."""
        self.tell({"do": "lease", "until": until})

    def announce(self, worker_id: str) -> None:
        """Under which id jobs are held from now on: named as gone to the next worker if this one
        dies."""
        self.tell({"do": "announce", "worker": worker_id})

    def settle(self, worker_ids: Sequence[str]) -> None:
        """These ids of ``gone_workers`` were reported in the log; later workers needn't do it
        again."""
        self.tell({"do": "settle", "workers": list(worker_ids)})

    def tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send a message of the supervisor's protocol.

        Raises OSError when the supervisor is gone.
        """
        with self._sending:
            if self._gone:
                raise ConnectionError("the supervisor is gone")
            self._channel.send(message, descriptors)

    def close(self) -> None:
        """End the connection. A supervisor made by ``serve_launcher`` kills its tasks and ends."""
        self._channel.shutdown()
        self._reader.join()
        self._channel.close()
        if self._server is not None:
            self._server.wait()

    def _read(self) -> None:
        while (messages := self._channel.receive()) is not None:
            for message in messages:
                self._hear(message)
        with self._sending:
            self._gone = True
        for number in list(self._spawned):
            self._end(number, -int(signal.SIGKILL), ConnectionError("the supervisor is gone"))

    def _hear(self, message: dict[str, Any]) -> None:
        number = message["id"]
        match message["say"]:
            case "started":
                self._spawned[number].started.set()
            case "failed" if message["errno"] == 0:
                self._end(number, 0, LeaseOver(message["error"]))
            case "failed":
                self._end(number, 0, OSError(message["errno"], message["error"]))
            case "ended":
                self._end(number, message["code"], None)

    def _end(self, number: int, code: int, failure: OSError | LeaseOver | None) -> None:
        spawned = self._spawned.pop(number, None)
        if spawned is None:
            return
        if not spawned.started.is_set():
            spawned.failure = failure
        spawned.code = code
        spawned.started.set()
        spawned.ended.set()


def connect_to_supervisor() -> SupervisorLauncher:
    """The supervisor that started this process. Raises OperatorError when none did."""
    number = os.environ.get(FD_VARIABLE)
    if number is None:
        raise OperatorError(
            f"this process has no supervisor ({FD_VARIABLE} is not set):"
            " start it by python -m kestrapy.supervisor -- <command>"
        )
    sock = socket.socket(fileno=int(number))
    sock.set_inheritable(False)
    return SupervisorLauncher(sock)


def gone_workers() -> list[str]:
    """Ids of workers that this process replaces: dead, with all of their tasks."""
    return [it for it in os.environ.get(GONE_VARIABLE, "").split(",") if it]


def serve_launcher() -> SupervisorLauncher:
    """A supervisor of this process's own, for tasks run in-process; it ends with this process."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "kestrapy.supervisor", "--serve", str(theirs.fileno())]
    with theirs:
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()], process_group=0)
    return SupervisorLauncher(ours, server)
