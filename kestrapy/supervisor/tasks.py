"""The tasks of the worker: a guardian each, their reports, and the deadlines of those being
killed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
from collections.abc import Callable
from typing import Any

from kestrapy.supervisor import linux
from kestrapy.supervisor.channel import Message
from kestrapy.supervisor.deadline import Deadline
from kestrapy.supervisor.guardian import END_NOW, END_POLITELY, Order, guard

_STUCK = 1.0
"""Seconds that a guardian has to end everything before the supervisor does it itself."""


class _Task:
    """step: how many were taken to kill it; kill_at: monotonic seconds of the next, harder one."""

    def __init__(self, number: int, guardian: int, report: int):
        self.id = number
        self.guardian = guardian
        self.report = report
        self.started = False
        self.failed = False
        self.ended: int | None = None
        self.kill_at: float | None = None
        self.step = 0


class Tasks:
    """say: sends a message to the worker. A task's end is told when nothing of it is alive."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        say: Callable[[Message], None],
        deadline: Deadline,
    ):
        self._selector = selector
        self._say = say
        self._deadline = deadline
        self._by_guardian: dict[int, _Task] = {}
        self._orphaned: list[_Task] = []

    @property
    def guardians(self) -> set[int]:
        return set(self._by_guardian)

    @property
    def orphaned(self) -> bool:
        """A guardian died before its task's processes: they are ours to find and kill."""
        return bool(self._orphaned)

    def spawn(self, request: dict[str, Any], streams: list[int]) -> None:
        reader, writer = os.pipe()
        supervisor = os.getpid()
        kept = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            guardian = os.fork()
            if guardian == 0:
                guard(Order(request, streams, self._deadline), writer, supervisor)
        except OSError as error:  # no memory, or too many processes
            os.close(reader)
            self.refuse(request["id"], error.errno or errno.EAGAIN, f"fork: {error.strerror}")
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, kept)
            for descriptor in (writer, *streams):
                os.close(descriptor)
        os.set_blocking(reader, False)
        task = self._by_guardian[guardian] = _Task(request["id"], guardian, reader)
        self._selector.register(reader, selectors.EVENT_READ, lambda: self._read(task))

    def refuse(self, task_id: int, number: int, why: str) -> None:
        """Say that a task was not started. number: errno, 0 when the lease is over."""
        self._say({"say": "failed", "id": task_id, "errno": number, "error": why})

    def kill(self, task_id: int, grace: int, now: float) -> None:
        """grace: ms. A second kill can only shorten the first one's grace."""
        for task in self._by_guardian.values():
            if task.id == task_id:
                at = now + grace / 1000
                if task.kill_at is None and grace > 0:
                    linux.kill(task.guardian, END_POLITELY)
                if task.step == 0:
                    task.kill_at = at if task.kill_at is None else min(at, task.kill_at)

    def tick(self, now: float) -> float | None:
        """Take the steps that are due. -> when the next one is, if any."""
        due: list[float] = []
        for task in self._by_guardian.values():
            if task.kill_at is not None and task.kill_at <= now:
                self._kill_harder(task)
                task.step += 1
                task.kill_at = now + _STUCK
            if task.kill_at is not None:
                due.append(task.kill_at)
        return min(due, default=None)

    def _kill_harder(self, task: _Task) -> None:
        if task.step == 0:
            linux.kill(task.guardian, END_NOW)
        else:
            for pid in (*linux.descendants(task.guardian), task.guardian):
                linux.kill(pid, signal.SIGKILL)

    def reaped(self, pid: int) -> None:
        """A child of the supervisor was reaped; perhaps a guardian."""
        task = self._by_guardian.pop(pid, None)
        if task is None:
            return
        self._read(task)
        self._selector.unregister(task.report)
        os.close(task.report)
        if task.ended is not None:
            self._say({"say": "ended", "id": task.id, "code": task.ended})
        elif not task.failed:
            self._orphaned.append(task)

    def orphans_ended(self) -> None:
        """Nothing is alive of tasks whose guardians died."""
        for task in self._orphaned:
            if task.started:
                self._say({"say": "ended", "id": task.id, "code": -int(signal.SIGKILL)})
            else:
                self.refuse(task.id, errno.ECHILD, "its guardian was killed")
        self._orphaned.clear()

    def _read(self, task: _Task) -> None:
        with contextlib.suppress(BlockingIOError):
            for line in os.read(task.report, 64 * 1024).splitlines():
                self._hear(task, json.loads(line))

    def _hear(self, task: _Task, report: Message) -> None:
        if "started" in report:
            task.started = True
            self._say({"say": "started", "id": task.id, "pid": report["started"]})
        elif "ended" in report:
            task.ended = report["ended"]
        else:
            task.failed = True
            self.refuse(task.id, report["errno"], report["error"])
