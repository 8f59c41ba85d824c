"""Runs a job's task: renders its properties, hands them to its type, and says how it ended."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import NamedTuple

import msgspec

from kestrapy.errors import NotFound, UserError
from kestrapy.model.state import State
from kestrapy.ports.tasks import RunnableTask, TaskFailed, TaskOutcome
from kestrapy.servers.worker.perform import perform, timeout_of
from kestrapy.servers.worker.run_context import JobTask, RunContext, Sinks, Tools

KILL_GRACE = 5.0
"""Seconds that a task's processes have between SIGTERM and SIGKILL."""

_log = logging.getLogger(__name__)


class _End(NamedTuple):
    """How the run is to end, whatever its task makes of it."""

    state: State
    error: str


class TaskThread:
    """One run. ``start`` once, then ask for the ``outcome``; all from the worker's own thread.

    A task of an instant type (Log, Return, Fail) runs within ``start``: a thread would cost more.
    task: what runs it, where it isn't its type's to say. folder: its working directory, where it is
    shared with others.
    """

    def __init__(
        self,
        job: JobTask,
        sinks: Sinks,
        tools: Tools,
        task: RunnableTask | None = None,
        folder: Path | None = None,
    ):
        self._job = job
        self._clock = tools.clock
        self._types = tools.types
        self._task = task
        self._context = RunContext(job, sinks, tools, folder)
        self._on_end = sinks.on_end
        self._outcome: TaskOutcome | None = None
        self._end: _End | None = None
        self._limit = 0
        self.deadline: int | None = None
        """When its timeout has passed, monotonic ms; None without one, or before that is known."""

    def run(self) -> TaskOutcome:
        """Instead of ``start``: in the thread of whoever calls. Others may ask and kill as ever."""
        self._set_deadline(self._job.task.timeout)
        self._run()
        return self._outcome or TaskOutcome(State.KILLED)

    def _set_deadline(self, timeout: int | None) -> None:
        if timeout is not None:
            self._limit, self.deadline = timeout, self._clock.monotonic() + timeout

    def start(self) -> None:
        task = self._job.task
        self._set_deadline(task.timeout)
        if self._is_instant():
            self._run()
        else:
            name = f"task {task.id}"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def outcome(self) -> TaskOutcome | None:
        """None while it runs. Ends it, as FAILED, when the task's timeout has passed."""
        overdue = self.deadline is not None and self._clock.monotonic() >= self.deadline
        if overdue and self._outcome is None and self._end is None:
            problem = f"Timeout: the task ran longer than {self._limit} ms"
            self._finish(_End(State.FAILED, problem))
        return self._outcome

    def kill(self, reason: str, grace: float = KILL_GRACE) -> None:
        """End it as KILLED, its processes within grace seconds; the outcome comes when it ended."""
        self._finish(_End(State.KILLED, reason), grace)

    def _finish(self, end: _End, grace: float = KILL_GRACE) -> None:
        if self._outcome is None and self._end is None:
            self._end = end
        self._context.end(grace)

    def _run(self) -> None:
        outcome = self._try()
        try:
            if self._end is not None:
                outcome = TaskOutcome(self._end.state, outcome.outputs, self._end.error)
            outcome = msgspec.structs.replace(outcome, error=self._context.masked(outcome.error))
            if outcome.state is State.FAILED and outcome.error:
                self._context.log("ERROR", outcome.error)
            outcome = msgspec.structs.replace(outcome, log_file=self._context.keep_log())
            self._context.close()
        finally:
            self._outcome = outcome  # last: who sees it may forget the run
            self._on_end()

    def _try(self) -> TaskOutcome:
        """No secret stands in its outputs."""
        outcome = self._perform()
        try:
            outputs = self._context.guarded(outcome.outputs)
        except UnicodeEncodeError:  # not shown: it would hold the secret
            problem = "the outputs are no JSON: a text in them is no Unicode"
            return TaskOutcome(State.FAILED, error=problem)
        return msgspec.structs.replace(outcome, outputs=outputs)

    def _perform(self) -> TaskOutcome:
        task = self._job.task
        try:
            self._context.reveal()
            if task.timeout_template:  # here, for it may read the world
                self._set_deadline(timeout_of(task, self._context.render))
            return perform(task, self._types(task), self._context, self._task)
        except TaskFailed as error:
            return TaskOutcome(State.FAILED, error.outputs, str(error))
        except UserError as error:
            return TaskOutcome(State.FAILED, error=str(error))
        except Exception as error:  # a plugin's fault: it fails its task run, not the worker
            _log.exception("task run %s of type %s", self._job.task_run_id, task.type)
            return TaskOutcome(State.FAILED, error=f"{type(error).__name__}: {error}")

    def _is_instant(self) -> bool:
        try:
            return self._types(self._job.task).instant
        except NotFound:
            return True  # so is the refusal
