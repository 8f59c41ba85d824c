"""Starts what a job asks for, through its task type."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kestrapy.machine.outputs import Job
from kestrapy.model.flow import Task
from kestrapy.model.state import State
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.worker.run_context import JobTask, Sinks, Tools
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
        )
        thread = TaskThread(
            job_task,
            Sinks(
                lambda level, message: sinks.log(job, level, message),
                lambda name, kind, value, tags: sinks.metric(job, name, kind, value, tags),
                sinks.ended,
            ),
            self._tools,
        )
        thread.start()
        return thread
