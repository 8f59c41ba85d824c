"""Child processes that can't outlive their parent, however the parent ends.

Linux can send a process a signal when its parent dies (prctl PR_SET_PDEATHSIG). It must be asked
for in the child, between fork and exec. Code between fork and exec of a process that has threads
may deadlock, so this file does it as a program of its own: it asks, and becomes the real program.

The kernel looks at the parent *thread*: call ``spawn`` from a thread that lives as long as the
child shall. On other systems than Linux nothing is asked for: only the parent ends the child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

PR_SET_PDEATHSIG = 1


def spawn(
    argv: Sequence[str],
    *,
    log: Path | None,
    env: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    uid: int = -1,
) -> subprocess.Popen[bytes]:
    """Start argv as a child that gets death_signal when this thread's process ends.

    log: file that its output is appended to; None: where ours goes. env: None: as ours. uid: the
    user (and group) to become first; -1: stay. The child has a session of its own, so that Ctrl-C
    in a terminal does not reach it.
    """
    # -I -S: neither the environment nor site-packages may slow or divert the few lines of main.
    # It changes the user, too, as a change after the request would take the request back.
    launch = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(death_signal))]
    command = [*launch, str(uid), *argv]
    with log.open("ab") if log is not None else nullcontext(None) as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )


def main() -> None:
    """Arguments: the parent's pid, the signal, the uid or -1, the program and its arguments."""
    parent, death_signal, uid = map(int, sys.argv[1:4])
    program = sys.argv[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
        if os.getppid() != parent:  # it died before the request, so no signal will ever come
            sys.exit(f"the parent, process {parent}, is gone")
    os.execv(program[0], program)  # noqa: S606 - what our caller asked for


if __name__ == "__main__":
    main()
