"""Child processes of tasks: started by the supervisor, which outlives the worker and keeps the
deadline.

Adapter: ``adapters.process.launcher`` (client of ``kestrapy.supervisor``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol


class Process(Protocol):
    """A started process, leader of a process group of its own."""

    stdout: IO[bytes]
    stderr: IO[bytes]

    def wait(self, timeout: float | None) -> int | None:
        """Its exit code (negative: the signal that ended it); None when timeout seconds went by
        first.
        """

    def kill(self, grace: float) -> None:
        """End the whole group: SIGTERM, and SIGKILL after grace seconds. Returns at once."""


class Launcher(Protocol):
    """Starts processes that end with the worker's lease, whatever becomes of the worker."""

    def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, name: str
    ) -> Process:
        """Start argv with just this environment. name: for people, in ps and logs.

        Raises OSError where it can't be started, LeaseOver where the lease ended before the exec.
        """

    def renew(self, until: int) -> None:
        """Worker and tasks may live until this boot time (ms); it can't be moved back, nor
        revived.
        """


class LeaseOver(Exception):
    """The lease ended: nothing may be started any more."""
