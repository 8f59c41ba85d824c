"""A place to run single tasks in: real threads, files and internal storage; a clock by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.system import SystemEntropy
from kestrapy.model.flow import Task
from kestrapy.model.state import State
from kestrapy.ports.processes import Launcher
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.worker.log_lines import LogLines
from kestrapy.servers.worker.run_context import JobTask, Sinks, Tools
from kestrapy.servers.worker.task_run import TaskThread
from kestrapy.servers.worker.task_sender import TaskSender
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue


class NoLauncher:
    """For tasks that start no process."""

    def spawn(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a process was started")

    def renew(self, until: int) -> None:
        raise AssertionError("a lease was renewed")


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0

    def wall(self) -> int:
        return self.now

    monotonic = boottime = wall


class Bench:
    """Makes runs, and keeps what they say."""

    def __init__(self, launcher: Launcher, folder: Path):
        self.clock = HandClock()
        self.blobs = LocalBlobs(folder / "storage")
        self.folder = folder / "work"
        self.log, self.codec = MemoryLog(self.clock), Codec()
        self.topics = Catalogue("", shards=1, job_partitions=1)
        lines = LogLines(self.log, self.codec, self.topics)
        sender = TaskSender(self.log, self.codec, self.topics)
        entropy = SystemEntropy()
        self.tools = Tools(self.blobs, launcher, self.clock, self.folder, entropy, lines, sender)
        self.logs: list[tuple[str, str]] = []
        self.metrics: list[tuple[Any, ...]] = []
        self.variables: dict[str, Any] = {
            "inputs": {"name": "Ada", "list": ["a", "b"], "flag": False}
        }
        self.namespace = "company.team"
        self.heard = threading.Event()
        self.ended = threading.Event()

    def start(
        self, task_type: str, *, core: dict[str, Any] | None = None, **properties: Any
    ) -> TaskThread:
        task = Task("t1", task_type, properties=properties, **(core or {}))
        variables = self.variables
        job = JobTask("execution", "run", 4, 2, self.namespace, "flow", task, variables)
        sinks = Sinks(self._on_log, lambda *it: self.metrics.append(it), self.ended.set)
        thread = TaskThread(job, sinks, self.tools)
        thread.start()
        return thread

    def run(self, task_type: str, **properties: Any) -> TaskOutcome:
        return self.end(self.start(task_type, **properties))

    def done(self, task_type: str, **properties: Any) -> dict[str, Any]:
        """The outputs of a run that succeeds."""
        outcome = self.run(task_type, **properties)
        assert (outcome.state, outcome.error) == (State.SUCCESS, "")
        return outcome.outputs

    def refusal(self, task_type: str, **properties: Any) -> str:
        """The error of a run that fails."""
        outcome = self.run(task_type, **properties)
        assert outcome.state is State.FAILED
        return outcome.error

    def end(self, thread: TaskThread) -> TaskOutcome:
        wait_for(lambda: thread.outcome() is not None)
        self.ended.wait()
        outcome = thread.outcome()
        assert outcome is not None
        return outcome

    def content(self, uri: str) -> bytes:
        with self.blobs.open(uri) as file:
            return file.read()

    def _on_log(self, level: str, message: str) -> None:
        self.logs.append((level, message))
        self.heard.set()


def wait_for(condition: Callable[[], bool]) -> None:
    """The test's own time limit ends a condition that never comes."""
    tick = threading.Event()
    while not condition():
        tick.wait(0.005)
