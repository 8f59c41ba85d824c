"""FlowTestRunner: one task after the other, so that a test goes the same way each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from kestrapy.machine.outputs import Job
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.worker.running import JobSinks
from kestrapy.testing import runner as module
from kestrapy.testing.clock import VirtualClock
from kestrapy.testing.results import ChosenResults
from kestrapy.testing.runner import FlowTestRunner

JOB = Job(
    "run", 1, "execution", "tests", "flow", 1, "task", "type", "default", 1,
    task='{"id": "task", "type": "type"}', variables="{}",
)  # fmt: skip


class Threaded:
    """A job whose task runs in a thread of its own."""

    def __init__(self, sinks: JobSinks, clock: VirtualClock, sleeps: float | None):
        self.ending = threading.Event()
        self._outcome: TaskOutcome | None = None
        self._work = (sinks, clock, sleeps)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        sinks, clock, sleeps = self._work
        if sleeps is None:
            time.sleep(0.01)
        else:
            clock.sleep(self.ending, sleeps)
        self._outcome = TaskOutcome()
        sinks.ended()

    def outcome(self) -> TaskOutcome | None:
        return self._outcome

    def kill(self, reason: str) -> None:
        self.ending.set()


class Threads:
    def __init__(self, clock: VirtualClock, sleeps: float | None):
        self._how = (clock, sleeps)

    def start(self, job: Job, sinks: JobSinks, traceparent: str) -> Threaded:
        return Threaded(sinks, *self._how)


class Deaf:
    def log(self, job: Job, level: str, message: str) -> None: ...

    def metric(
        self, job: Job, name: str, kind: str, value: float, tags: Mapping[str, str]
    ) -> None: ...

    def child(self, job: Job, place: int, attempt: int, outcome: TaskOutcome) -> TaskOutcome:
        return outcome

    def ended(self) -> None: ...


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROMPT", 20.0)


def test_the_next_task_starts_when_the_one_before_it_has_ended() -> None:
    clock = VirtualClock()
    runner = FlowTestRunner(clock, Threads(clock, None), ChosenResults())
    assert runner.start(JOB, Deaf(), "").outcome() == TaskOutcome()


def test_who_sleeps_is_not_waited_for_and_wakes_when_it_is_time() -> None:
    clock = VirtualClock()
    runner = FlowTestRunner(clock, Threads(clock, 60.0), ChosenResults())
    run = runner.start(JOB, Deaf(), "")
    assert (run.outcome(), clock.sleeping, runner.next_due()) == (None, 1, 60_000)
    clock.move(59_999)
    assert runner.await_tasks() and run.outcome() is None
    clock.move(1)
    assert runner.await_tasks(20.0) and run.outcome() == TaskOutcome()
    assert runner.next_due() is None


def test_a_kill_wakes_who_sleeps() -> None:
    clock = VirtualClock()
    runner = FlowTestRunner(clock, Threads(clock, 60.0), ChosenResults())
    run = runner.start(JOB, Deaf(), "")
    run.kill("enough")
    assert runner.await_tasks(20.0) and run.outcome() == TaskOutcome()
