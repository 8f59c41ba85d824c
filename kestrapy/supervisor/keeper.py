"""Keeps one worker alive: starts it with a socket, and again when it died."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from kestrapy.supervisor import linux
from kestrapy.supervisor.channel import FD_VARIABLE, GONE_VARIABLE, Channel

_SHORT_LIFE = 1.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Keeper:
    """pid: of the worker, None while there is none. All times are monotonic seconds."""

    def __init__(self, argv: Sequence[str]):
        self._argv = list(argv)
        self._started = 0.0
        self._pause = 0.0
        self._id = ""
        self._gone: list[str] = []
        self.pid: int | None = None
        self.exit_code = 0
        self.start_at: float | None = 0.0

    def start(self, now: float) -> Channel:
        """Run a worker. -> our end of its socket, non-blocking."""
        ours, theirs = socket.socketpair()
        kept = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        supervisor = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(theirs, supervisor)
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)
        theirs.close()
        ours.setblocking(False)
        self.pid, self._started, self.start_at = pid, now, None
        return Channel(ours)

    def announce(self, worker: str) -> None:
        """The id under which the worker now holds jobs."""
        self._id = worker

    def settle(self, workers: Sequence[str]) -> None:
        """These were reported as gone."""
        self._gone = [it for it in self._gone if it not in workers]

    def ended(self, status: int, now: float) -> None:
        """The worker was reaped. ``start_at`` says when the next one may start."""
        code = os.waitstatus_to_exitcode(status)
        self.exit_code = code if code >= 0 else 128 - code
        self.pid = None
        if self._id:
            self._gone.append(self._id)
            self._id = ""
        lived_long = now - self._started >= _SHORT_LIFE
        self._pause = 0 if lived_long else min(max(_FIRST_PAUSE, 2 * self._pause), _LONGEST_PAUSE)
        self.start_at = now + self._pause

    def _become_worker(self, theirs: socket.socket, supervisor: int) -> NoReturn:
        try:
            os.setpgid(0, 0)  # a terminal's ^C goes to the supervisor alone, who passes it on
            linux.die_with_parent(supervisor, signal.SIGKILL)
            os.set_inheritable(theirs.fileno(), True)
            env = {**os.environ, FD_VARIABLE: str(theirs.fileno())}
            env.pop(GONE_VARIABLE, None)
            if self._gone:
                env[GONE_VARIABLE] = ",".join(self._gone)
            linux.restore_signals()
            os.execvpe(self._argv[0], self._argv, env)  # noqa: S606 - the operator's command
        except BaseException as error:
            print(f"kestrapy supervisor: can't run {self._argv[0]}: {error}", file=sys.stderr)
        finally:
            os._exit(127)
