"""Runs the jobs of a flow test: for real, or with the result that the test has chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from kestrapy.adapters.process.launcher import SupervisorLauncher, serve_launcher
from kestrapy.errors import UserError
from kestrapy.language.expression import render_value
from kestrapy.machine.outputs import Job
from kestrapy.model.flow import Task
from kestrapy.model.registry import EVALUATION
from kestrapy.plugins.registry import Runnable, runnable_of
from kestrapy.ports.processes import Process
from kestrapy.servers.worker.directory import DirectoryRun
from kestrapy.servers.worker.perform import timeout_of
from kestrapy.servers.worker.running import JobRunner, JobSinks, RunningJob
from kestrapy.testing.clock import VirtualClock
from kestrapy.testing.results import ChosenResults, ChosenRun, ChosenTask
from kestrapy.testing.stand_ins import StandIn, runnable_of_stand_in

PROMPT = 0.5
"""Real seconds that a task may take without the clock going on with it."""


class FlowTestRunner:
    """The port ``JobRunner``. Tasks start one after the other: the next one when the one before it
    has ended or sleeps, so that a test goes the same way each time. real: what runs a job without a
    chosen result.
    """

    def __init__(self, clock: VirtualClock, real: JobRunner, results: ChosenResults):
        self.results = results
        self._clock = clock
        self._real = real
        self._runs: list[tuple[RunningJob, int | None]] = []

    def start(self, job: Job, sinks: JobSinks, traceparent: str) -> RunningJob:
        deadline = self._deadline(job)
        chosen = None if job.task_type == EVALUATION else self.results.take(job.task_id)
        if chosen is not None:
            ends = self._clock.monotonic() + chosen.takes
            run: RunningJob = ChosenRun(self._clock, chosen.outcome, ends, deadline)
            self._runs.append((run, min(ends, deadline or ends)))
            return run
        run = self._real.start(job, _Sinks(sinks, self._clock), traceparent)
        self._runs.append((run, deadline))
        self.await_tasks(PROMPT)
        return run

    def await_tasks(self, seconds: float = PROMPT) -> bool:
        """Wait until no task works: each has ended or sleeps. -> whether that is so."""
        self._clock.wake()
        self._runs = [it for it in self._runs if it[0].outcome() is None]
        return self._clock.await_tasks(self._unfinished, seconds)

    def next_due(self) -> int | None:
        """When something happens to a run by itself, monotonic ms."""
        times = [due for _, due in self._runs if due is not None]
        inside = [it.deadline for it, _ in self._runs if isinstance(it, DirectoryRun)]
        times += [due for due in inside if due is not None]
        waking = self._clock.next_waking()
        return min(times if waking is None else [*times, waking], default=None)

    def _unfinished(self) -> int:
        return sum(
            1 for run, _ in self._runs if not isinstance(run, ChosenRun) and run.outcome() is None
        )

    def _deadline(self, job: Job) -> int | None:
        variables = msgspec.json.decode(job.variables)
        try:
            timeout = timeout_of(
                msgspec.json.decode(job.task, type=Task), lambda it: render_value(it, variables)
            )
        except UserError:  # the run itself tells of it
            return None
        return None if timeout is None else self._clock.monotonic() + timeout


class TestTypes:
    """What runs tasks in a flow test: stand-ins too. Within a WorkingDirectory a task is asked for
    here that has a chosen result.
    """

    __test__ = False

    def __init__(self, stand_ins: Sequence[StandIn], results: ChosenResults):
        self._stand_ins = {it.name: runnable_of_stand_in(it) for it in stand_ins}
        self._results = results

    def __call__(self, task: Task) -> Runnable:
        found = self._stand_ins.get(task.type) or runnable_of(task)
        chosen = None if task.type == EVALUATION else self._results.take(task.id)
        if chosen is None:
            return found
        return found._replace(task=ChosenTask(chosen), takes_properties=False, instant=False)


class _Sinks:
    """The worker's, and the clock hears of each end."""

    def __init__(self, sinks: JobSinks, clock: VirtualClock):
        self.child = sinks.child
        self.log = sinks.log
        self.metric = sinks.metric
        self._ended = sinks.ended
        self._clock = clock

    def ended(self) -> None:
        self._ended()
        self._clock.wake()


class LateLauncher:
    """The port ``Launcher``: its supervisor starts with the first process."""

    def __init__(self) -> None:
        self._launcher: SupervisorLauncher | None = None

    def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, name: str
    ) -> Process:
        if self._launcher is None:
            self._launcher = serve_launcher()
        return self._launcher.spawn(argv, env=env, cwd=cwd, name=name)

    def renew(self, until: int) -> None:
        """Of a virtual clock: no process is bound to it."""

    def close(self) -> None:
        if self._launcher is not None:
            self._launcher.close()


class NoSupervisor:
    """The port ``Supervision``: the worker lives as long as the test."""

    def announce(self, worker_id: str) -> None: ...

    def settle(self, worker_ids: Sequence[str]) -> None: ...

    def renew(self, until: int) -> None: ...
