"""Tasks that end when the virtual clock says so, and the supervisor that owns them.

What a task does stands in its properties, as ``format: "ms=200 fails=2"``: how long each attempt
takes, and how many attempts fail before one succeeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

import msgspec

from kestrapy.machine.outputs import Job
from kestrapy.model.flow import Task
from kestrapy.model.state import State
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.worker.running import JobSinks
from kestrapy.sim.clock import SimClock
from kestrapy.sim.options import Options
from kestrapy.sim.timeline import Timeline

THAW_REACTION = 400
"""ms that tasks may run on after their machine woke up, until the supervisor has looked."""
SLOWER = 6
"""How much longer a slow task takes."""
NOTICED_AFTER = 50
"""ms until a supervisor has seen that its worker died."""

_decode_task = msgspec.json.Decoder(Task).decode


class Behaviour(msgspec.Struct, frozen=True):
    """ms: of each attempt. fails: so many attempts fail. timeout: of the task, ms; 0 for none."""

    ms: int
    fails: int
    timeout: int


def behaviour_of(job: Job) -> Behaviour:
    task = _decode_task(job.task)
    words = dict(word.split("=") for word in str(task.properties.get("format", "")).split())
    return Behaviour(int(words.get("ms", 10)), int(words.get("fails", 0)), task.timeout or 0)


class Witness(Protocol):
    """Who is told when tasks start and end."""

    def task_started(self, task: SimTask) -> None: ...

    def task_ended(self, task: SimTask) -> None: ...


class SimTask:
    """One epoch's processes on a machine. They live and die by themselves: no worker is needed."""

    def __init__(self, job: Job, supervisor: SimSupervisor, spawn_delay: int, duration: int):
        self.job = job
        self.supervisor = supervisor
        self.worker_id = supervisor.worker_id
        self.running = False
        self._outcome: TaskOutcome | None = None
        self._killed = False
        self._behaviour = behaviour_of(job)
        self._duration = duration
        supervisor.after(spawn_delay, self._exec)

    def outcome(self) -> TaskOutcome | None:
        return self._outcome

    def kill(self, reason: str) -> None:
        if self._outcome is None and not self._killed:
            self._killed = True
            delay = self.supervisor.draw_end()
            self.supervisor.after(delay, lambda: self.end(TaskOutcome(State.KILLED, error=reason)))

    def _exec(self) -> None:
        """The child looks at the lease once more, just before it becomes the task."""
        if self._outcome is not None:
            return
        if self._killed or not self.supervisor.may_exec(self):
            self.end(TaskOutcome(State.KILLED, error="the lease is over"))
            return
        self.running = True
        self.supervisor.witness.task_started(self)
        behaviour, timeout = self._behaviour, self._behaviour.timeout
        if timeout and timeout < self._duration:
            late = TaskOutcome(State.FAILED, error=f"Timeout: longer than {timeout} ms")
            self.supervisor.after(timeout, lambda: self.end(late))
            return
        failed = self.job.attempt <= behaviour.fails
        outcome = TaskOutcome(
            State.FAILED if failed else State.SUCCESS,
            {"value": f"{self.job.task_id}#{self.job.attempt}"},
            "as it was told to" if failed else "",
        )
        self.supervisor.after(self._duration, lambda: self.end(outcome))

    def end(self, outcome: TaskOutcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            self.supervisor.forget(self)
            if self.running:
                self.running = False
                self.supervisor.witness.task_ended(self)


class SimSupervisor:
    """The parent of a worker process: its tasks are the supervisor's, and end by the deadline.

    clear: called when the worker has to end with all tasks. ``renew`` counts on the boot clock,
    which goes on while the machine sleeps; nothing of the machine acts while it sleeps.
    """

    def __init__(
        self,
        timeline: Timeline,
        random: Random,
        clock: SimClock,
        witness: Witness,
        options: Options,
        over: Callable[[], None],
    ):
        self.witness = witness
        self.worker_id = ""
        self.gone: list[str] = []
        self.asleep_until = 0
        self.dead = False
        self._timeline = timeline
        self._random = random
        self._clock = clock
        self._end_tasks = options.times.end_tasks
        self._slow = options.slow
        self._on_over = over
        self._tasks: list[SimTask] = []
        self._until = 0
        self._over = False

    # Supervision, as the worker sees it

    def announce(self, worker_id: str) -> None:
        self.worker_id = worker_id

    def settle(self, worker_ids: Sequence[str]) -> None:
        self.gone = [it for it in self.gone if it not in worker_ids]

    def renew(self, until: int) -> None:
        self._check()
        if not self._over and until > self._until:
            self._until = until
            self._timeline.at(self._clock.true_at(until), self._check)

    # The runner, as the worker sees it

    def start(self, job: Job, sinks: JobSinks, traceparent: str) -> SimTask:
        sinks.log(job, "INFO", "starts")
        duration = behaviour_of(job).ms
        if self._random.random() < self._slow:
            duration *= SLOWER
        task = SimTask(job, self, self._clock.ahead + self._random.randint(1, 40), duration)
        self._tasks.append(task)
        return task

    # Its machine

    def after(self, delay: int, action: Callable[[], None]) -> None:
        """Of what runs on this machine: later where it sleeps meanwhile, never where it died."""
        self._timeline.after(delay, lambda: self._awake(action))

    def _awake(self, action: Callable[[], None]) -> None:
        if self.dead:
            return
        if self._timeline.now < self.asleep_until:
            late = self.asleep_until + self._random.randint(0, THAW_REACTION)
            self._timeline.at(late, lambda: self._awake(action))
            return
        action()

    @property
    def thawing(self) -> bool:
        """The machine sleeps, or has just woken up."""
        return self._timeline.now <= self.asleep_until + THAW_REACTION and self.asleep_until > 0

    def may_exec(self, task: SimTask) -> bool:
        lease_over = self._clock.boottime() >= self._until
        return not lease_over and not self._over and task.worker_id == self.worker_id

    def draw_end(self) -> int:
        """ms that ending a task takes."""
        return self._random.randint(0, self._end_tasks - NOTICED_AFTER)

    def forget(self, task: SimTask) -> None:
        if task in self._tasks:
            self._tasks.remove(task)

    # Ends

    def _check(self) -> None:
        if self.dead or self._over or not self._until:
            return
        if self._timeline.now < self.asleep_until:
            self._timeline.at(self.asleep_until + 1, self._check)
        elif self._clock.boottime() >= self._until:
            self._over = True
            self._on_over()

    def clear(self, then: Callable[[], None]) -> None:
        """End all tasks; then the next worker may start."""
        self._over = True
        if self.worker_id and self.worker_id not in self.gone:
            self.gone.append(self.worker_id)
        self.worker_id = ""
        killed = TaskOutcome(State.KILLED, error="its worker is gone")

        def end() -> None:
            for task in list(self._tasks):
                task.end(killed)
            self._until, self._over = 0, False
            then()

        self.after(self.draw_end(), end)

    def die(self) -> None:
        """The whole machine went down."""
        self.dead = True
        for task in list(self._tasks):
            task.end(TaskOutcome(State.KILLED, error="the machine went down"))
