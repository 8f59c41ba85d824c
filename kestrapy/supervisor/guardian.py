"""The guardian: a process between the supervisor and one task, who leaves nothing of the task
alive.

It is forked, not executed: a few hundred microseconds. It heads a session, adopts the task's
orphans, and learns of the supervisor's death by a signal. The task heads a process group of its own
and dies with the guardian. Signals are never handled but waited for, so that nothing here runs at
an unexpected moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from typing import Any, NoReturn

from kestrapy.supervisor import linux
from kestrapy.supervisor.deadline import Deadline

END_POLITELY = signal.SIGUSR1
"""SIGTERM to the task's group; what goes on may, until END_NOW."""
END_NOW = signal.SIGTERM
"""SIGKILL to all that descends from the task. The supervisor's death is the same signal."""
_LONG = 5.0
"""Seconds between two looks while there is no lease."""
WAITED_FOR = (signal.SIGCHLD, END_POLITELY, END_NOW)
"""All signals are blocked by the supervisor before it forks, so that none of these is missed."""


class Order:
    """A task to start. deadline: after which it must neither start nor go on."""

    def __init__(self, request: dict[str, Any], streams: list[int], deadline: Deadline):
        self.argv: list[str] = request["argv"]
        self.env: dict[str, str] = request["env"]
        self.cwd: str = request["cwd"]
        self.name: str = request["name"]
        self.streams = streams
        self.deadline = deadline


def guard(order: Order, report: int, supervisor: int) -> NoReturn:
    """The guardian's whole life, in a process just forked. report: the pipe for lines of JSON."""
    task = None
    try:
        _close_all_but({report, *order.streams})
        signal.set_wakeup_fd(-1)
        os.setsid()
        linux.adopt_orphans()
        linux.die_with_parent(supervisor, END_NOW)
        linux.set_name(f"task {order.name}")
        task = _start(order, report)
        if task is not None:
            _watch(task, order.deadline)
    finally:
        code = _end_all(task)
        if task is not None:
            _write(report, {"ended": code})
        os._exit(0)


def _close_all_but(kept: set[int]) -> None:
    """What the supervisor holds open would otherwise stay open as long as the task runs."""
    first = 3
    for number in sorted(kept):
        os.closerange(first, number)
        first = number + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _start(order: Order, report: int) -> int | None:
    """-> the task's pid, once its program runs; None when it can't be started, which is
    reported."""
    failure, failure_end = os.pipe()  # closed by a successful exec
    guardian = os.getpid()
    task = os.fork()
    if task == 0:
        _become_task(order, guardian, failure_end)
    os.close(failure_end)
    for stream in order.streams:
        os.close(stream)
    with os.fdopen(failure, "rb") as reader:
        text = reader.read()
    if text:
        os.waitpid(task, 0)
        _write(report, json.loads(text))
        return None
    _write(report, {"started": task})
    return task


def _become_task(order: Order, guardian: int, failure_end: int) -> NoReturn:
    failure: dict[str, Any] = {"errno": 0, "error": "the lease is over"}
    try:
        os.setpgid(0, 0)
        linux.die_with_parent(guardian, signal.SIGKILL)
        os.chdir(order.cwd)
        stdin = os.open(os.devnull, os.O_RDONLY)
        for number, stream in enumerate((stdin, *order.streams)):
            os.dup2(stream, number)
        linux.restore_signals()
        if not order.deadline.is_over():
            os.execvpe(order.argv[0], order.argv, order.env)  # noqa: S606 - a task is a program
    except OSError as error:
        failure = {"errno": error.errno or 1, "error": str(error.strerror)}
    except BaseException as error:  # such as an argument with a NUL
        failure = {"errno": 22, "error": str(error)[:200]}
    finally:
        _write(failure_end, failure)
        os._exit(127)


def _watch(task: int, deadline: Deadline) -> None:
    """Until the task ended by itself, END_NOW came, or the lease is over.

    The supervisor looks after the lease, too, and more often: this is for when it is stopped."""
    polite = False
    while not deadline.is_over():
        ended = os.waitid(os.P_PID, task, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended and not (polite and linux.descendants(os.getpid())):
            return
        caught = _next_signal(deadline)
        if caught == END_NOW:
            return
        if caught == END_POLITELY:
            polite = True
            _kill_group(task, signal.SIGTERM)


def _next_signal(deadline: Deadline) -> int:
    """0: none until the lease would have been over as it stands now."""
    left = deadline.left()
    caught = signal.sigtimedwait(WAITED_FOR, _LONG if left is None else max(0, left / 1000))
    return caught.si_signo if caught is not None else 0


def _kill_group(task: int, how: signal.Signals) -> None:
    """Only while the task isn't reaped: until then the number of the group is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(task, how)


def _end_all(task: int | None) -> int:
    """Kill and reap every descendant. -> the task's exit code, or minus its signal."""
    code = 0
    if task is not None:
        _kill_group(task, signal.SIGKILL)
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == task:
            code = os.waitstatus_to_exitcode(status)
        elif pid == 0:
            for descendant in linux.descendants(os.getpid()):
                linux.kill(descendant, signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, 0.02)


def _write(descriptor: int, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the supervisor died: nobody reads any more
        os.write(descriptor, json.dumps(message).encode() + b"\n")
