"""Executions, flows, logs and triggers as Kestra's API writes them in JSON.

The webserver answers with these, and ``kestrapy run --output json`` prints them. Dates are ISO 8601
in UTC with milliseconds, durations ISO 8601; what is not there is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kestrapy.machine.outputs import (
    AttemptSnapshot,
    ExecutionEvent,
    ExecutionSnapshot,
    FlowRevision,
    LogEntry,
    MetricEntry,
    StateChange,
    TaskRunSnapshot,
    TriggerEvent,
)
from kestrapy.model.flow import (
    TENANT,
    Check,
    Concurrency,
    Condition,
    Flow,
    Input,
    Listener,
    Retry,
    Sla,
    Task,
    Trigger,
    WorkerGroupRef,
)
from kestrapy.model.instants import iso_date

CASES = "cases."
Json = dict[str, Any]


def iso_duration(duration: int) -> str:
    """Milliseconds, as Java writes a duration: PT1H2M3.5S, PT0S."""
    seconds, milliseconds = divmod(duration, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}H" if hours else ""
    text += f"{minutes}M" if minutes else ""
    if seconds or milliseconds or not text:
        fraction = f".{milliseconds:03d}".rstrip("0").rstrip(".")
        text += f"{seconds}{fraction}S"
    return "PT" + text


def execution_json(
    execution_id: str,
    namespace: str,
    flow_id: str,
    flow_revision: int,
    snapshot: ExecutionSnapshot,
    task_runs: Sequence[TaskRunSnapshot],
) -> Json:
    """An execution with its task runs, in the order of their ordinals."""
    place = {"executionId": execution_id, "namespace": namespace, "flowId": flow_id}
    runs = sorted(task_runs, key=lambda run: run.ordinal)
    found: Json = {
        "id": execution_id,
        "tenantId": TENANT,
        "namespace": namespace,
        "flowId": flow_id,
        "flowRevision": flow_revision,
        "inputs": msgspec.json.decode(snapshot.inputs),
        "outputs": msgspec.json.decode(snapshot.outputs),
        "variables": msgspec.json.decode(snapshot.variables),
        "labels": labels_json(snapshot.labels),
        "state": state_json(snapshot.histories),
        "originalId": snapshot.original_id or execution_id,
        "metadata": {
            "attemptNumber": snapshot.attempt,
            "originalCreatedDate": iso_date(snapshot.began or snapshot.histories[0].at),
        },
        "deleted": False,
        "taskRunList": [{**place, **_task_run_json(run)} for run in runs],
    }
    if snapshot.schedule_date is not None:
        found["scheduleDate"] = iso_date(snapshot.schedule_date)
    if snapshot.trigger is not None:
        found["trigger"] = msgspec.json.decode(snapshot.trigger)
    if snapshot.waits_for:
        found["waiting"] = {"reason": snapshot.waits_for}
    if snapshot.error:
        found["error"] = {"message": snapshot.error}
    return found


def labels_json(labels: Mapping[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in labels.items()]


def state_json(histories: Sequence[StateChange]) -> Json:
    """Where it stands and stood. endDate and duration come with a terminal state."""
    first, last = histories[0], histories[-1]
    found: Json = {
        "current": last.state.value,
        "histories": [
            {"state": change.state.value, "date": iso_date(change.at)} for change in histories
        ],
        "startDate": iso_date(first.at),
    }
    if last.state.is_terminal:
        found["endDate"] = iso_date(last.at)
        found["duration"] = iso_duration(max(0, last.at - first.at))
    return found


def _task_run_json(run: TaskRunSnapshot) -> Json:
    found: Json = {
        "id": run.id,
        "tenantId": TENANT,
        "taskId": run.task_id,
        "outputs": msgspec.json.decode(run.outputs),
        "attempts": [_attempt_json(attempt) for attempt in run.attempts],
        "state": state_json(run.histories),
    }
    if run.worker_group:  # the executor's own task runs have none
        found["workerGroup"] = {"key": run.worker_group}
    if run.parent_id:
        found["parentTaskRunId"] = run.parent_id
    if run.value is not None:
        found["value"] = run.value
    if run.iteration >= 0:
        found["iteration"] = run.iteration
    if run.error:
        found["error"] = {"message": run.error}
    return found


def _attempt_json(attempt: AttemptSnapshot) -> Json:
    found: Json = {"state": state_json(attempt.histories), "workerId": attempt.worker_id}
    return found | {"logFile": attempt.log_file} if attempt.log_file else found


def event_json(event: ExecutionEvent) -> Json:
    """An event: which, when, of what, and the state that was entered."""
    found: Json = {
        "number": event.number,
        "date": iso_date(event.at),
        "executionId": event.execution_id,
    }
    if event.task_run is not None:
        run = event.task_run
        found |= {"taskRunId": run.id, "taskId": run.task_id, "state": run.state.value}
    elif event.execution is not None:
        found["state"] = event.execution.state.value
    return found


def log_json(entry: LogEntry) -> Json:
    return {
        "tenantId": TENANT,
        "namespace": entry.namespace,
        "flowId": entry.flow_id,
        "executionId": entry.execution_id,
        **_filled(taskId=entry.task_id, taskRunId=entry.task_run_id),
        # Kestra counts attempts from 0 here.
        "attemptNumber": max(0, entry.attempt - 1),
        "timestamp": iso_date(entry.at),
        "level": entry.level,
        "message": entry.message,
    }


def metric_json(entry: MetricEntry) -> Json:
    """A timer's value is in milliseconds here, as Kestra has it."""
    timed = entry.kind == "timer"
    return {
        "tenantId": TENANT,
        "namespace": entry.namespace,
        "flowId": entry.flow_id,
        "taskId": entry.task_id,
        "executionId": entry.execution_id,
        "taskRunId": entry.task_run_id,
        "type": entry.kind,
        "name": entry.name,
        "value": entry.value * 1000 if timed else entry.value,
        "timestamp": iso_date(entry.at),
        "tags": entry.tags,
    }


def trigger_json(event: TriggerEvent) -> Json:
    found: Json = {
        "tenantId": TENANT,
        "namespace": event.namespace,
        "flowId": event.flow_id,
        "triggerId": event.trigger_id,
        "date": iso_date(event.at),
        "disabled": event.disabled,
    }
    if event.next_date is not None:
        found["nextExecutionDate"] = iso_date(event.next_date)
    if event.last_date is not None:
        found["date"] = iso_date(event.last_date)
    if event.execution_id:
        found["executionId"] = event.execution_id
    return found


def flow_json(flow: Flow, revision: FlowRevision, *, with_source: bool = True) -> Json:
    """A saved revision. flow: what its source says."""
    found: Json = {
        "id": flow.id,
        "tenantId": TENANT,
        "namespace": flow.namespace,
        "revision": revision.revision,
        "disabled": flow.disabled,
        "deleted": False,
        "updated": iso_date(revision.at),
        "tasks": _tasks_json(flow.tasks),
    }
    found |= _filled(
        description=flow.description,
        labels=labels_json(flow.labels),
        variables=flow.variables,
        inputs=[input_json(it) for it in flow.inputs],
        outputs=[msgspec.to_builtins(it) for it in flow.outputs],
        errors=_tasks_json(flow.errors),
        triggers=[_trigger_json(it) for it in flow.triggers],
        **_where_json(flow.worker_group),
    )
    found |= _filled(**{"finally": _tasks_json(flow.finally_)})
    found |= _filled(afterExecution=_tasks_json(flow.after_execution))
    found |= _filled(
        retry=None if flow.retry is None else _retry_json(flow.retry),
        listeners=[_listener_json(it) for it in flow.listeners],
        sla=[_sla_json(it) for it in flow.sla],
        checks=[_check_json(it) for it in flow.checks],
        concurrency=None if flow.concurrency is None else _concurrency_json(flow.concurrency),
    )
    if with_source:
        found["source"] = revision.source
    return found


def _filled(**fields: Any) -> Json:
    """Those that say something."""
    empty: tuple[Any, ...] = (None, "", False, {}, [])
    return {name: value for name, value in fields.items() if value not in empty}


def _tasks_json(tasks: Iterable[Task]) -> list[Json]:
    return [_task_json(task) for task in tasks]


def _task_json(task: Task) -> Json:
    found = {"id": task.id, "type": task.type, **task.properties}
    found |= _filled(
        description=task.description,
        disabled=task.disabled,
        timeout=task.timeout_template if task.timeout is None else iso_duration(task.timeout),
        retry=None if task.retry is None else _retry_json(task.retry),
        allowFailure=task.allow_failure,
        allowWarning=task.allow_warning,
        logLevel=task.log_level,
        onWorkerLost=task.on_worker_lost,
        runIf=task.run_if,
        **_where_json(task.worker_group),
        tasks=_children_json(task),
        errors=_tasks_json(task.errors),
        onResume=[input_json(it) for it in task.on_resume],
        **_branches_json(task),
    )
    if task.type.endswith(".ForEach"):
        found["concurrencyLimit"] = task.concurrent
    elif task.concurrent:
        found["concurrent"] = task.concurrent
    return found | _filled(**{"finally": _tasks_json(task.finally_)})


def _children_json(task: Task) -> list[Json]:
    if task.type.endswith(".ForEachItem"):  # its steps are no business of the flow's author
        return []
    if not task.type.endswith(".Dag"):
        return _tasks_json(task.tasks)
    needs = task.depends_on
    return [
        {"task": _task_json(it), **_filled(dependsOn=list(needs.get(it.id, ())))}
        for it in task.tasks
    ]


def _branches_json(task: Task) -> Json:
    """then, else, defaults: lists of tasks; cases: a map of them; onPause: one task."""
    found: Json = {}
    for name, tasks in task.branches.items():
        if name.startswith(CASES):
            found.setdefault("cases", {})[name.removeprefix(CASES)] = _tasks_json(tasks)
        elif tasks:
            found[name] = _tasks_json(tasks)[0] if name == "onPause" else _tasks_json(tasks)
    return found


def _where_json(ref: WorkerGroupRef | None) -> Json:
    """``workerGroup`` or ``workerSelector``, as a flow spells it; neither for None."""
    if ref is None:
        return {}
    after, fallback = ref.fallback_after, ref.fallback
    found = _filled(
        key=ref.key,
        tags=list(ref.tags),
        match=ref.match if ref.tags else "",
        lane=ref.lane,
        fallbackAfter=None if after is None else iso_duration(after),
    )
    if fallback is not None:
        to_group = fallback.behavior == "GROUP"
        found["fallback"] = {"group": fallback.group} if to_group else fallback.behavior
    return {"workerSelector" if ref.tags else "workerGroup": found}


def _retry_json(retry: Retry) -> Json:
    def time(duration: int) -> str | None:
        return iso_duration(duration) if duration else None

    found: Json = {"type": retry.type}
    found |= _filled(
        interval=time(retry.interval),
        maxInterval=time(retry.max_interval),
        minInterval=time(retry.min_interval),
        maxDuration=time(retry.max_duration),
        warningOnRetry=retry.warning_on_retry,
        behavior=retry.behavior,
    )
    if retry.type == "exponential":
        found["delayFactor"] = retry.delay_factor
    if retry.max_attempts:
        found["maxAttempts"] = retry.max_attempts
    return found


def _sla_json(sla: Sla) -> Json:
    found: Json = {"id": sla.id, "type": sla.type, "behavior": sla.behavior}
    if sla.type == "MAX_DURATION":
        found["duration"] = iso_duration(sla.duration)
    return found | _filled(**{"assert": sla.condition}, labels=labels_json(sla.labels))


def _check_json(check: Check) -> Json:
    return {
        "condition": check.condition,
        "message": check.message,
        "style": check.style,
        "behavior": check.behavior,
    }


def _concurrency_json(concurrency: Concurrency) -> Json:
    return {"limit": concurrency.limit, "behavior": concurrency.behavior}


def _listener_json(listener: Listener) -> Json:
    conditions = [_condition_json(it) for it in listener.conditions]
    return {"tasks": _tasks_json(listener.tasks)} | _filled(conditions=conditions)


def input_json(it: Input) -> Json:
    found: Json = msgspec.to_builtins(it)
    return found | {"required": it.required}


def _trigger_json(it: Trigger) -> Json:
    found = {"id": it.id, "type": it.type, **it.properties}
    return found | _filled(
        description=it.description,
        disabled=it.disabled,
        allowConcurrent=it.allow_concurrent,
        inputs=it.inputs,
        conditions=[_condition_json(each) for each in it.conditions],
        labels=labels_json(it.labels),
        logLevel=it.log_level,
        logToFile=it.log_to_file,
        stopAfter=list(it.stop_after),
        failOnTriggerError=it.fail_on_trigger_error,
        **_where_json(it.worker_group),
    )


def _condition_json(it: Condition) -> Json:
    held = [_condition_json(each) for each in it.conditions]
    names = [each.name for each in it.conditions]
    return {"type": it.type, **it.properties} | _filled(
        conditions=dict(zip(names, held, strict=True)) if any(names) else held
    )
