"""Runs the job of a WorkingDirectory: its tasks one after the other, in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kestrapy.errors import UserError
from kestrapy.language.values import is_true
from kestrapy.machine.outputs import Job
from kestrapy.machine.retry import retry_delay
from kestrapy.model.flow import Task
from kestrapy.model.state import State
from kestrapy.plugins.tasks.script_files import PRIVATE
from kestrapy.plugins.tasks.working_directory import WorkingDirectoryProperties, fill, keep
from kestrapy.ports.tasks import TaskContext, TaskOutcome
from kestrapy.servers.worker.run_context import JobTask, RunContext, Sinks, Tools
from kestrapy.servers.worker.running import JobSinks
from kestrapy.servers.worker.task_run import TaskThread

replace = msgspec.structs.replace


class DirectoryTask:
    """What runs the tasks of one job, in the thread of the WorkingDirectory itself.

    tasks: with their places, those that are disabled left out.
    """

    def __init__(self, job: Job, own: JobTask, sinks: JobSinks, tools: Tools):
        self._job = job
        self._own = own
        self._sinks = sinks
        self._tools = tools
        self._tasks = [it for it in own.task.tasks if not it.disabled]
        self._child: TaskThread | None = None

    @property
    def deadline(self) -> int | None:
        """When the task that runs just now is overdue, monotonic ms."""
        child = self._child
        return None if child is None else child.deadline

    def look(self) -> None:
        """From the worker's own thread: end the task that runs when its timeout has passed."""
        if (child := self._child) is not None:
            child.outcome()

    def run(self, properties: WorkingDirectoryProperties, context: TaskContext) -> TaskOutcome:
        stale = fill(properties, context)
        state, error = State.SUCCESS, ""
        variables = self._variables(context)
        for place, task in enumerate(self._tasks):
            if context.ending:
                return TaskOutcome(State.KILLED)
            outcome = self._run_child(place, task, variables, context)
            counted = task.allowed(outcome.state)
            if counted in (State.FAILED, State.KILLED):
                state, error = State.FAILED, f"its task {task.id} {outcome.state}"
                break
            if counted is State.WARNING:
                state = State.WARNING
            self._remember(variables, task, outcome, counted)
        outputs = keep(properties, context, stale=stale and state is not State.FAILED)
        return TaskOutcome(state, outputs, error)

    # One task

    def _run_child(
        self, place: int, task: Task, variables: Mapping[str, Any], context: TaskContext
    ) -> TaskOutcome:
        """With all of its attempts; each of its states is reported."""
        known = self._of_child(place, task, variables)

        began, failures, attempt = context.now(), 0, 1

        def report(outcome: TaskOutcome) -> TaskOutcome:
            return self._sinks.child(self._job, place, attempt, outcome)

        try:
            if task.run_if and not is_true(self._evaluated(task.run_if, known)):
                return report(TaskOutcome(State.SKIPPED))
        except UserError as error:
            return report(TaskOutcome(State.FAILED, error=f"runIf: {error}"))
        while True:
            report(TaskOutcome(State.RUNNING))
            outcome = self._attempt(place, replace(task, run_if=""), known, failures, context)
            failures += outcome.state is State.FAILED
            delay = self._delay(task, outcome, failures, context.now() - began, place)
            if delay is None or context.ending:
                if outcome.state is State.SUCCESS and failures and _warns(task):
                    outcome = replace(outcome, state=State.WARNING)
                return report(outcome)
            report(replace(outcome, state=State.RETRYING))
            attempt += 1
            if context.wait(delay / 1000):
                return TaskOutcome(State.KILLED)  # it ends with the directory

    def _evaluated(self, run_if: str, variables: Mapping[str, Any]) -> Any:
        own = replace(self._own, variables=dict(variables))
        context = RunContext(own, _SILENT, self._tools)
        context.reveal()
        return context.render(run_if)

    def _delay(
        self, task: Task, outcome: TaskOutcome, failures: int, elapsed: int, place: int
    ) -> int | None:
        """ms until the next attempt; None where there is none."""
        if task.retry is None or outcome.state is not State.FAILED:
            return None
        return retry_delay(task.retry, failures, elapsed, self._job.children[place])

    def _attempt(
        self,
        place: int,
        task: Task,
        variables: Mapping[str, Any],
        failures: int,
        context: TaskContext,
    ) -> TaskOutcome:
        run_id = self._job.children[place]
        job = replace(
            self._job,
            task_run_id=run_id,
            task_id=task.id,
            task_type=task.type,
            attempt=failures + 1,
        )
        own = replace(
            self._own,
            task_run_id=run_id,
            attempt=failures + 1,
            task=task,
            variables=dict(variables),
        )
        sinks = sinks_of(job, self._sinks, _nobody)
        child = TaskThread(own, sinks, self._tools, folder=context.working_dir)
        self._child = child
        try:
            with context.on_end(lambda: child.kill("its WorkingDirectory was ended")):
                return child.run()
        finally:
            self._child = None
            for name in PRIVATE:  # of one task alone
                _remove(context, name)

    # Variables

    def _variables(self, context: TaskContext) -> dict[str, Any]:
        """Those of the job, as its tasks see them."""
        known = dict(self._own.variables)
        own = known.get("taskrun")
        if isinstance(own, dict):
            known["workerTaskrun"] = own
            if own.get("value") is not None:
                around = {"taskrun": {"value": own["value"]}}
                known["parents"] = [around, *(known.get("parents") or [])]
                known["parent"] = around
        return known

    def _of_child(self, place: int, task: Task, variables: Mapping[str, Any]) -> dict[str, Any]:
        known = {**variables, "task": {"id": task.id, "type": task.type}}
        if isinstance(known.get("taskrun"), dict):
            known["taskrun"] = {
                **known["taskrun"],
                "id": self._job.children[place],
                "parentId": self._job.task_run_id,
            }
        return known

    def _remember(
        self, variables: dict[str, Any], task: Task, outcome: TaskOutcome, state: State
    ) -> None:
        """What the task put out, for those after it."""
        for name, found in (("outputs", outcome.outputs), ("tasks", {"state": str(state)})):
            path = (task.id, *self._job.values)
            variables[name] = _put(variables.get(name) or {}, path, found)


_SILENT = Sinks(lambda *_: None, lambda *_: None, lambda: None)


def _nobody() -> None:
    """Whoever waits for the WorkingDirectory need not look at its tasks."""


def sinks_of(job: Job, sinks: JobSinks, on_end: Callable[[], None]) -> Sinks:
    """Those of one run, over those of the worker."""
    return Sinks(
        lambda level, message: sinks.log(job, level, message),
        lambda name, kind, value, tags: sinks.metric(job, name, kind, value, tags),
        on_end,
    )


def _warns(task: Task) -> bool:
    return task.retry is not None and task.retry.warning_on_retry


def _put(within: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy of the maps with the value in them."""
    name, *rest = path
    if rest:
        value = _put(within.get(name) or {}, tuple(rest), value)
    return {**within, name: value}


def _remove(context: TaskContext, name: str) -> None:
    path = context.working_dir / name
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class DirectoryRun:
    """The port ``RunningJob``: the thread of the WorkingDirectory, and what it runs just now."""

    def __init__(self, thread: TaskThread, task: DirectoryTask):
        self._thread = thread
        self._task = task

    @property
    def deadline(self) -> int | None:
        """Of the task that runs just now, monotonic ms."""
        return self._task.deadline

    def outcome(self) -> TaskOutcome | None:
        self._task.look()
        return self._thread.outcome()

    def kill(self, reason: str) -> None:
        self._thread.kill(reason)
