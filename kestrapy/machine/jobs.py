"""Jobs: what a worker is given to run a task, or to evaluate something of one."""

from __future__ import annotations

from typing import Any

import msgspec

from kestrapy.language.plan import Plan, rendered_here
from kestrapy.machine import batches, directories
from kestrapy.machine.entities import TaskRun
from kestrapy.machine.outputs import Job
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import values_of, variables_of
from kestrapy.model.flow import Task
from kestrapy.model.registry import CALLS, EVALUATION, Kind

STARTER = (("trigger", "executionId"), ("trigger", "flowId"), ("trigger", "namespace"))
"""What a job of a subflow carries of the execution that started it: its files are within reach."""
ORIGINAL = (("execution", "originalId"),)
"""What a job of a replay carries: files of the execution that was replayed are within reach too."""

_encode_text = msgspec.json.Encoder().encode


def job_of(turn: Turn, run: TaskRun) -> Job:
    """What goes to a worker under the current epoch."""
    execution = turn.execution(run.execution_id)
    plan = turn.plan(execution)
    task, reads, text = plan.task(run.task_id), plan.reads(run.task_id), ""
    if run.asks:
        task, reads = _evaluation(turn, plan, run), plan.evaluation_reads(run.task_id)
        text = _encode_text(task).decode()
    content = turn.content(run.execution_id)
    if content.parent is not None:
        reads = reads._replace(names=tuple(sorted({*reads.names, *STARTER})))
    if content.lineage is not None and content.lineage.original_id != run.execution_id:
        reads = reads._replace(names=tuple(sorted({*reads.names, *ORIGINAL})))
    # A job with less than there is has too much all the same: its topic refuses it.
    variables = variables_of(turn, execution, plan, reads, run, whole=False)
    return Job(
        task_run_id=run.id,
        epoch=run.epoch,
        execution_id=run.execution_id,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        flow_revision=execution.revision,
        task_id=run.task_id,
        task_type=task.type,
        worker_group=run.group,
        attempt=run.failures + 1,
        task=text or plan.job_text(run.task_id),
        variables=_encode_text(variables).decode(),
        values=list(values_of(turn, run)),
        children=_children_of(run, plan),
    )


def _evaluation(turn: Turn, plan: Plan, run: TaskRun) -> Task:
    """What a worker evaluates of a task: its runIf, and the properties of a flowable one. Those of
    a task that runs another flow only where they need it: secrets it passes on as they are sealed.
    """
    planned = plan.planned(run.task_id)
    task, kind = planned.task, plan.kind(run.task_id)
    passed_on = kind is Kind.FOR_ITEMS or (kind in CALLS and not planned.asks_properties)
    needless = kind.is_job or passed_on
    properties = {} if needless else rendered_here(task, kind)
    asked: dict[str, Any] = {"runIf": task.run_if, "properties": properties}
    if kind is Kind.BATCHES:
        asked["properties"] = {"inputs": batches.asked(properties.get("inputs"))}
        asked["batches"] = batches.page_of(turn, run)
    return Task(task.id, EVALUATION, properties=asked)


def _children_of(run: TaskRun, plan: Plan) -> list[str]:
    if run.asks or plan.kind(run.task_id) is not Kind.WORKING_DIRECTORY:
        return []
    count = len(plan.tasks(run.task_id, directories.TASKS))
    return [f"{run.execution_id}-{run.ordinal + 1 + place}" for place in range(count)]
