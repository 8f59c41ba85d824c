"""Where each record goes: its topic, its key, its partition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kestrapy.machine import commands as c
from kestrapy.machine import outputs as o
from kestrapy.machine.entities import execution_of
from kestrapy.model.ids import shard_of
from kestrapy.ports.log import Message
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

Place = tuple[str, str, int | None]
"""Topic, key, and the partition where it isn't the key's hash."""


class Router:
    """Makes messages of records. One for all servers of a process; it keeps nothing."""

    def __init__(self, codec: Codec, catalogue: Catalogue):
        self.codec = codec
        self.catalogue = catalogue

    def messages(
        self, record: Any, source: c.Source | None = None, traceparent: str = "", redrives: int = 0
    ) -> list[Message]:
        """One message; of what each shard has to know one for each of them, such as a WorkerLost:
        any may hold something of the worker.
        """
        places = self.places(record)
        value, headers = self.codec.encode(
            record.job if isinstance(record, o.JobCopy) else record,
            source=source,
            traceparent=traceparent,
            redrives=redrives,
        )
        return [
            Message(topic, value, key.encode(), partition, headers)
            for topic, key, partition in places
        ]

    def message(
        self, record: Any, source: c.Source | None = None, traceparent: str = ""
    ) -> Message:
        """The one message of a record that goes to one place."""
        (message,) = self.messages(record, source, traceparent)
        return message

    def places(self, record: Any) -> list[Place]:
        key = _EVERYWHERE.get(type(record))
        if key is not None:
            topic, shards = self.catalogue.executions, self.catalogue.shards
            return [(topic, key(record), shard) for shard in range(shards)]
        return [_PLACES[type(record)](self.catalogue, record)]


def _of_execution(topic: str, execution_id: str) -> Place:
    return topic, execution_id, shard_of(execution_id)


def _of_task_run(topics: Catalogue, it: Any) -> Place:
    return _of_execution(topics.executions, execution_of(it.task_run_id))


def _of_flow(topics: Catalogue, it: Any) -> Place:
    return topics.admission, f"{it.namespace}/{it.flow_id}", None


def _of_worker(topics: Catalogue, it: Any) -> Place:
    return topics.workers, it.worker_id, None


def _inbox(topics: Catalogue, it: Any) -> Place:
    return topics.inbox, it.worker_id, None


def _trigger(topics: Catalogue, it: Any) -> Place:
    return topics.triggers, it.uid, None


def _setting(it: Any) -> str:
    return f"{it.kind}/{it.name}"


_EVERYWHERE: dict[type, Callable[[Any], str]] = {
    c.WorkerLost: lambda it: it.worker_id,
    c.SettingChanged: _setting,
}
_PLACES: dict[type, Callable[[Catalogue, Any], Place]] = {
    c.ExecutionRequested: lambda t, it: (t.requests, it.idempotency_key, None),
    c.JobRequested: lambda t, it: (t.requests, it.idempotency_key, None),
    c.ExecutionSubmitted: lambda t, it: _of_execution(t.requests, it.execution_id),
    c.ExecutionCreated: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.FlowResolved: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.KillRequested: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.PauseRequested: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.ResumeRequested: lambda t, it: _of_execution(
        t.executions, it.execution_id or execution_of(it.task_run_id)
    ),
    c.ResumeAsked: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.ResumeAnswered: _of_task_run,
    c.SlotGranted: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.SlotDenied: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.ForceRun: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.ExecutionDue: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.ChildReported: _of_task_run,
    c.ChildWanted: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.SweepDue: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.ExecutionRestored: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.RestoringContinued: lambda t, it: _of_execution(t.executions, it.execution_id),
    c.TaskRunMarked: _of_task_run,
    c.Claimed: _of_task_run,
    c.Result: _of_task_run,
    c.TaskReport: _of_task_run,
    c.Returned: _of_task_run,
    c.TimerDue: _of_task_run,
    c.NoWorker: _of_task_run,
    c.PublishAgain: _of_task_run,
    c.Undeliverable: _of_task_run,
    c.Heartbeat: _of_worker,
    c.GroupReport: lambda t, it: (t.workers, it.worker_group, None),
    c.WorkerGone: _of_worker,
    c.Held: _of_worker,
    c.Suspect: _of_worker,
    c.FlowSaveRequested: _of_flow,
    c.SlotWanted: _of_flow,
    c.SlotReleased: _of_flow,
    c.SettingSaveRequested: lambda t, it: (t.admission, _setting(it), None),
    c.TriggerDefined: _trigger,
    c.TriggerScheduled: _trigger,
    c.TriggerToggled: _trigger,
    c.TriggerDue: _trigger,
    c.ExecutionEnded: _trigger,
    o.Job: lambda t, it: (t.jobs(it.worker_group), it.task_run_id, None),
    o.JobCopy: lambda t, it: (t.jobs(it.job.worker_group), it.job.task_run_id, it.partition),
    o.Granted: _inbox,
    o.Refused: _inbox,
    o.Kill: _inbox,
    o.Drain: _inbox,
    o.ExecutionEvent: lambda t, it: _of_execution(t.execution_events, it.execution_id),
    o.LogEntry: lambda t, it: _of_execution(t.logs, it.execution_id),
    o.LogPurge: lambda t, it: (t.logs, it.id, it.shard),
    o.ExecutionPurge: lambda t, it: _of_execution(t.execution_events, it.execution_id),
    o.MetricEntry: lambda t, it: _of_execution(t.metrics, it.execution_id),
    o.FlowRevision: lambda t, it: (
        t.flows,
        f"{it.namespace}/{it.flow_id}/{it.revision}",
        None,
    ),
    o.SettingRevision: lambda t, it: (t.settings, _setting(it), None),
    o.TriggerEvent: lambda t, it: (t.trigger_events, it.uid, None),
    o.DeadLetter: lambda t, it: (t.dead_letter, f"{it.topic}/{it.partition}/{it.offset}", None),
}
