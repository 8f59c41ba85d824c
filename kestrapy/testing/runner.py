"""Runs the jobs of a flow test: for real, or with the result that the test has chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from kestrapy.adapters.process.launcher import SupervisorLauncher, serve_launcher
from kestrapy.machine.outputs import Job
from kestrapy.model.flow import Task
from kestrapy.ports.processes import Process
from kestrapy.servers.worker.job_runner import Ended
from kestrapy.servers.worker.running import JobRunner, JobSinks, RunningJob
from kestrapy.testing.clock import VirtualClock
from kestrapy.testing.results import ChosenResults, ChosenRun
from kestrapy.testing.stand_ins import StandIn, outcome_of_stand_in

PROMPT = 0.5
"""Real seconds that a task may take without the clock going on with it."""


class FlowTestRunner:
    """The port ``JobRunner``. Tasks start one after the other: the next one when the one before it
    has ended or sleeps, so that a test goes the same way each time. real: what runs a job without a
    chosen result. variables: what stand-ins' expressions may read beside the job's own.
    """

    def __init__(
        self,
        clock: VirtualClock,
        real: JobRunner,
        stand_ins: Sequence[StandIn],
        variables: Mapping[str, object],
    ):
        self.results = ChosenResults()
        self._clock = clock
        self._real = real
        self._stand_ins = {it.name: it for it in stand_ins}
        self._variables = dict(variables)
        self._runs: list[tuple[RunningJob, int | None]] = []

    def start(self, job: Job, sinks: JobSinks, traceparent: str) -> RunningJob:
        deadline = self._deadline(job)
        chosen = self.results.take(job.task_id)
        if chosen is not None:
            ends = self._clock.monotonic() + chosen.takes
            run: RunningJob = ChosenRun(self._clock, chosen.outcome, ends, deadline)
            self._runs.append((run, min(ends, deadline or ends)))
            return run
        stand_in = self._stand_ins.get(job.task_type)
        if stand_in is not None:
            return Ended(outcome_of_stand_in(stand_in, job, self._variables))
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
        waking = self._clock.next_waking()
        return min(times if waking is None else [*times, waking], default=None)

    def _unfinished(self) -> int:
        return sum(
            1 for run, _ in self._runs if not isinstance(run, ChosenRun) and run.outcome() is None
        )

    def _deadline(self, job: Job) -> int | None:
        timeout = msgspec.json.decode(job.task, type=Task).timeout
        return None if timeout is None else self._clock.monotonic() + timeout


class _Sinks:
    """The worker's, and the clock hears of each end."""

    def __init__(self, sinks: JobSinks, clock: VirtualClock):
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
