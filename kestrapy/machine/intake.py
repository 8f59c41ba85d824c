"""The fold of ``requests``: each request becomes one execution, and its key makes no second one."""

from __future__ import annotations

import msgspec

from kestrapy.errors import RecordRefused
from kestrapy.machine.commands import (
    ExecutionCreated,
    ExecutionRequested,
    ExecutionSubmitted,
    JobRequested,
)
from kestrapy.machine.entities import Entity, EntityMap
from kestrapy.machine.execution import Step
from kestrapy.machine.stage import Arrival
from kestrapy.model.flow import RESERVED_NAMESPACE
from kestrapy.model.ids import derive_execution_id

LATEST = 253_402_300_799_999
"""The last ms of the year 9999: no date after it can be shown."""
KEY_KEPT = 3600 * 1000
"""ms for which an idempotency key makes no second execution."""
INLINE_TASK_ID = "job"


class KnownKey(Entity, frozen=True):
    """An idempotency key and its execution; forgotten at ``until`` (log time, epoch ms)."""

    execution_id: str
    until: int


ENTITIES = (KnownKey,)


def step(state: EntityMap, arrival: Arrival, at: int, shard: int) -> Step:
    """arrival.redrives: how often the request came back from the dead letter; then its key counts
    as another one.

    Raises RecordRefused for a request that can't become an execution at all.
    """
    command, redrives = arrival.command, arrival.redrives
    match command:
        case ExecutionSubmitted():
            return Step({}, [_traced(_submitted(command), arrival)], [arrival.traceparent])
        case ExecutionRequested() | JobRequested():
            key = f"q:{command.idempotency_key}~{redrives}"
            if not command.idempotency_key:
                raise RecordRefused("idempotencyKey is empty: give each request a key of its own")
            _check_date(command)
            before = state.get(key)
            if isinstance(before, KnownKey) and at < before.until:  # a quiet partition expires late
                return Step({}, [])
            cause = (command.idempotency_key, redrives, arrival.offset)
            execution_id = derive_execution_id(shard, at, "request", *cause)
            created = _requested(command, execution_id, redrives)
            known = KnownKey(execution_id, at + KEY_KEPT)
            return Step({key: known}, [_traced(created, arrival)], [arrival.traceparent])
    return Step({}, [])


def _check_date(command: ExecutionRequested | JobRequested) -> None:
    date = command.schedule_date if isinstance(command, ExecutionRequested) else None
    if date is not None and not 0 <= date <= LATEST:
        raise RecordRefused(f"scheduleDate {date}: expected epoch ms of a date until 9999")


def _traced(created: ExecutionCreated, arrival: Arrival) -> ExecutionCreated:
    return msgspec.structs.replace(created, traceparent=arrival.traceparent)


def _submitted(command: ExecutionSubmitted) -> ExecutionCreated:
    return ExecutionCreated(
        execution_id=command.execution_id,
        namespace=command.namespace,
        flow_id=command.flow_id,
        revision=command.revision,
        inputs=command.inputs,
        labels=command.labels,
        trigger=command.trigger,
        not_before=command.not_before,
        lineage=command.lineage,
        parent=command.parent,
    )


def _requested(
    command: ExecutionRequested | JobRequested, execution_id: str, redrives: int
) -> ExecutionCreated:
    """Its revision is 0: the owner looks it up, and the answer is a command (``FlowResolved``)."""
    if isinstance(command, ExecutionRequested):
        return ExecutionCreated(
            execution_id=execution_id,
            namespace=command.namespace,
            flow_id=command.flow,
            revision=0,
            inputs=command.inputs,
            labels=command.labels,
            requested=command,
            redrives=redrives,
            not_before=command.schedule_date or 0,
        )
    flow_id = command.task_type.rpartition(".")[2] or command.task_type
    return ExecutionCreated(
        execution_id=execution_id,
        namespace=RESERVED_NAMESPACE,
        flow_id=flow_id,
        revision=0,
        inputs=command.inputs,
        labels=command.labels,
        inline=inline_flow(command, flow_id),
        job_requested=command,
        redrives=redrives,
    )


def inline_flow(command: JobRequested, flow_id: str) -> str:
    """The text of a flow of this one task. Raises RecordRefused where the properties are no JSON
    object.
    """
    try:
        properties = msgspec.json.decode(command.properties, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordRefused(f"properties must be a JSON object: {error}") from error
    group = {"workerGroup": {"key": command.worker_group}} if command.worker_group else {}
    task = {**properties, **group, "id": INLINE_TASK_ID, "type": command.task_type}
    flow = {"id": flow_id, "namespace": RESERVED_NAMESPACE, "tasks": [task]}
    return msgspec.json.encode(flow).decode()
