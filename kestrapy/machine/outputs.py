"""What folds put out beside commands for other folds: jobs, answers to workers, events, refused
records.

All of them are public: Avro on the wire. ``chain`` is a hash of all that an execution has put out
so far: who drops a duplicate whose chain differs has seen two folds diverge.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine.commands import Command, Public
from kestrapy.model.state import State


class Job(Public, frozen=True):
    """One epoch of a task run, for a worker group. task: JSON of the task (``model.flow.Task``,
    durations in ms).

    variables: JSON object of just what the task's expressions name. values: of the loops around it,
    from the outside in. children: of a WorkingDirectory, ids of the task runs of those of its tasks
    that are not disabled, in order.
    """

    task_run_id: str
    epoch: int
    execution_id: str
    namespace: str
    flow_id: str
    flow_revision: int
    task_id: str
    task_type: str
    worker_group: str
    attempt: int
    task: str
    variables: str
    chain: str = ""
    values: list[str] = msgspec.field(default_factory=list)
    children: list[str] = msgspec.field(default_factory=list)


class Granted(Public, frozen=True):
    """The claim of this worker was the first: start."""

    worker_id: str
    task_run_id: str
    epoch: int


class Refused(Public, frozen=True):
    """The claim is void: another owns the epoch, or nobody wants it any more."""

    worker_id: str
    task_run_id: str
    epoch: int


class Kill(Public, frozen=True):
    """End what runs of this epoch, and say so by a Result."""

    worker_id: str
    task_run_id: str
    epoch: int


class Drain(Public, frozen=True):
    """The worker shall claim no more (drained), or take jobs again; what runs goes on."""

    worker_id: str
    drained: bool


class StateChange(msgspec.Struct, frozen=True):
    """at: epoch ms."""

    state: State
    at: int


class AttemptSnapshot(Public, frozen=True):
    """One try of a task run. logFile: URI of its log, where its task wanted a file of it."""

    epoch: int
    worker_id: str
    histories: list[StateChange]
    log_file: str = ""


class TaskRunSnapshot(Public, frozen=True):
    """A task run as it is after an event. outputs: JSON object. iteration -1: not of a loop.
    removed: it is no part of its execution any more, a restart took it out.
    """

    id: str
    task_id: str
    parent_id: str
    value: str | None
    iteration: int
    ordinal: int
    state: State
    histories: list[StateChange]
    attempts: list[AttemptSnapshot]
    outputs: str
    error: str
    worker_group: str
    worker_id: str
    epoch: int
    removed: bool = False


class ExecutionSnapshot(Public, frozen=True):
    """An execution as it is after an event, without its task runs. inputs, outputs, variables,
    trigger: JSON. originalId, attempt, began: of the first execution, which try of it this is, and
    when that was created, epoch ms; of one that tries no other again "", 1 and 0.
    scheduleDate: epoch ms before which it does not start, null: at once.
    waitsFor: of one that is QUEUED, what for; else empty.
    """

    state: State
    histories: list[StateChange]
    inputs: str
    outputs: str
    labels: dict[str, str]
    variables: str
    trigger: str | None
    error: str
    original_id: str = ""
    attempt: int = 1
    began: int = 0
    schedule_date: int | None = None
    waits_for: str = ""


class ExecutionEvent(Public, frozen=True):
    """Something of an execution changed: itself, or one of its task runs (the other is null).

    number: unique and rising within the execution's partition, through restarts of servers.
    """

    execution_id: str
    number: int
    at: int
    namespace: str
    flow_id: str
    flow_revision: int
    execution: ExecutionSnapshot | None = None
    task_run: TaskRunSnapshot | None = None
    chain: str = ""


class FlowRevision(Public, frozen=True):
    """A revision of a flow; its content never changes. source: YAML."""

    namespace: str
    flow_id: str
    revision: int
    source: str
    at: int


class SettingRevision(Public, frozen=True):
    """A declaration as it is now. kind: workerGroup or namespace. content: JSON, empty: deleted."""

    kind: str
    name: str
    revision: int
    content: str
    at: int


class TriggerEvent(Public, frozen=True):
    """A trigger as it is after an event. nextDate, lastDate: epoch ms, null where there is none."""

    uid: str
    number: int
    at: int
    namespace: str
    flow_id: str
    flow_revision: int
    trigger_id: str
    type: str
    disabled: bool
    deleted: bool
    next_date: int | None
    last_date: int | None
    execution_id: str | None


class LogEntry(Public, frozen=True):
    """A line that a task run logged. sequence: its place among the epoch's lines.

    task_run_id, task_id: empty where the line is the execution's own.
    """

    execution_id: str
    task_run_id: str
    epoch: int
    attempt: int
    sequence: int
    at: int
    level: str
    message: str
    namespace: str
    flow_id: str
    task_id: str


class MetricEntry(Public, frozen=True):
    """A value that a task run measured. kind: counter, gauge, or timer (in seconds)."""

    execution_id: str
    task_run_id: str
    epoch: int
    sequence: int
    at: int
    name: str
    kind: str
    value: float
    tags: dict[str, str]
    namespace: str
    flow_id: str
    task_id: str


class LogPurge(Public, frozen=True):
    """Lines that storage is to delete, of the executions of one shard. id: of the purge.

    namespace: itself and those below it; with flow_id only itself. execution_id, levels: empty for
    all. start, end: epoch ms; lines said at start or later, and before end.
    """

    id: str
    shard: int
    at: int
    namespace: str
    flow_id: str
    execution_id: str
    levels: list[str]
    start: int | None
    end: int


class ExecutionPurge(Public, frozen=True):
    """An execution that storage is to forget, if it has ended and number is still that of its
    newest event. execution, logs, metrics: what of it.

    From then on nothing of that is taken in any more: an event that comes late does not bring half
    of it back.
    """

    execution_id: str
    number: int
    at: int
    execution: bool
    logs: bool
    metrics: bool


class DeadLetter(Public, frozen=True):
    """A record that could not be read or was refused, as it was, with the reason and where it
    stood.

    recordName: the type, where it is known. redrives: how often it was sent again before.
    """

    topic: str
    partition: int
    offset: int
    record_name: str
    reason: str
    at: int
    key: bytes | None
    value: bytes | None
    redrives: int = 0


PUBLIC = (
    Job,
    Granted,
    Refused,
    Kill,
    Drain,
    ExecutionEvent,
    FlowRevision,
    SettingRevision,
    TriggerEvent,
    LogEntry,
    LogPurge,
    MetricEntry,
    ExecutionPurge,
    DeadLetter,
)


class Refusal(msgspec.Struct, frozen=True):
    """Of a fold: a request was refused. The shell makes a DeadLetter of it, with the encoded
    request.

    key: the request's record key. record: the request as its sender wrote it.
    """

    record: Command
    reason: str
    redrives: int = 0


class JobCopy(msgspec.Struct, frozen=True):
    """Of a fold: a job that is published once more, to a partition of a worker that is free."""

    job: Job
    partition: int


Output = Command | Refusal | JobCopy
