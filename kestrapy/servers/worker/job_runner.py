"""Starts what a job asks for, through its task type."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kestrapy.machine.outputs import Job
from kestrapy.model.flow import Task
from kestrapy.model.state import State
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.worker.directory import DirectoryRun, DirectoryTask, sinks_of
from kestrapy.servers.worker.run_context import JobTask, Tools
from kestrapy.servers.worker.running import JobSinks, RunningJob
from kestrapy.servers.worker.task_run import TaskThread

_decode_task = msgspec.json.Decoder(Task).decode
_decode_variables = msgspec.json.Decoder(dict).decode


class Ended:
    """A job that could not be started: its outcome stands already."""

    def __init__(self, outcome: TaskOutcome):
        self._outcome = outcome

    def outcome(self) -> TaskOutcome | None:
        return self._outcome

    def kill(self, reason: str) -> None:
        """Nothing runs."""


class TaskJobRunner:
    """The ``JobRunner`` of a real worker. variables: what every job's expressions may read beside
    its own.
    """

    def __init__(self, tools: Tools, variables: Mapping[str, object]):
        self._tools = tools
        self._variables = dict(variables)

    def start(self, job: Job, sinks: JobSinks, traceparent: str) -> RunningJob:
        try:
            task = _decode_task(job.task)
            variables = _decode_variables(job.variables)
        except msgspec.MsgspecError as error:
            return Ended(TaskOutcome(State.FAILED, error=f"the job can't be read: {error}"))
        job_task = JobTask(
            execution_id=job.execution_id,
            task_run_id=job.task_run_id,
            epoch=job.epoch,
            attempt=job.attempt,
            namespace=job.namespace,
            flow_id=job.flow_id,
            task=task,
            variables={**self._variables, **variables},
            values=tuple(job.values),
        )
        told = sinks_of(job, sinks, sinks.ended)
        if not job.children:
            thread = TaskThread(job_task, told, self._tools)
            thread.start()
            return thread
        directory = DirectoryTask(job, job_task, sinks, self._tools)
        thread = TaskThread(job_task, told, self._tools, directory)
        thread.start()
        return DirectoryRun(thread, directory)
