"""What folds read: every command of the topics requests, executions, admission, workers and
triggers.

Public commands are Avro on the wire (``schemas/``), so that other services and workers in other
languages can write them; their fields are camelCase there. The others are kestrapy's own and
encoded as MessagePack arrays: a field is only ever added at the end, with a default. Times are
epoch ms; JSON values travel as text.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kestrapy.model.state import State


class Public(msgspec.Struct, frozen=True, rename="camel"):
    """A record that others may write and read."""


class Internal(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A record that only kestrapy's servers write and read."""


class Source(NamedTuple):
    """Where a fold's output came from: the command at ``offset`` of a stage's partition, its
    index-th output.

    A receiver keeps the highest (offset, index) per stage and partition and drops what isn't above
    it.
    """

    stage: str
    partition: int
    offset: int
    index: int  # type: ignore[assignment]  # the output's place; tuple.index is not wanted


# requests


class ExecutionRequested(Public, frozen=True):
    """Run a flow. revision None: the latest one. inputs: JSON object.

    idempotencyKey: a second request with the same key, within the window, makes no second
    execution. scheduleDate: epoch ms before which it does not start, null: it starts at once.
    """

    idempotency_key: str
    namespace: str
    flow: str
    revision: int | None = None
    inputs: str = "{}"
    labels: dict[str, str] = {}
    schedule_date: int | None = None


class JobRequested(Public, frozen=True):
    """Run one task in a worker group, as an execution of its own. properties, inputs: JSON
    objects.
    """

    idempotency_key: str
    worker_group: str
    task_type: str
    properties: str = "{}"
    inputs: str = "{}"
    labels: dict[str, str] = {}


class TriggerFired(msgspec.Struct, frozen=True):
    """Which trigger asked for an execution. variables: JSON object, ``trigger.*`` in
    expressions.
    """

    id: str
    type: str
    uid: str = ""
    variables: str = "{}"


class Lineage(msgspec.Struct, frozen=True):
    """Of an execution that tries another one again. original_id: the first of them. attempt: which
    try it is, 2 and up. began: when the first one was created, epoch ms.
    """

    original_id: str
    attempt: int
    began: int


class Parent(msgspec.Struct, frozen=True, array_like=True):
    """The task run that an execution is a child of. iteration: of the batch that it is for, -1 for
    a Subflow's.

    waits: it is told of the end, else of the start. revision: of the flow, 0 for the latest. depth:
    how many executions are above. labels: that count less than the flow's own. outputs: templates
    of what the parent asks for, JSON; empty for none.
    """

    task_run_id: str
    iteration: int = -1
    waits: bool = True
    revision: int = 0
    depth: int = 1
    labels: dict[str, str] = {}
    outputs: str = ""


class ExecutionSubmitted(Internal, frozen=True):
    """A request whose flow revision was looked up and whose id was given by a server of ours.

    not_before: epoch ms until which it waits, 0: it does not.
    """

    execution_id: str
    namespace: str
    flow_id: str
    revision: int
    inputs: str = "{}"
    labels: dict[str, str] = {}
    trigger: TriggerFired | None = None
    not_before: int = 0
    lineage: Lineage | None = None
    parent: Parent | None = None


# executions


class ExecutionCreated(Internal, frozen=True):
    """An execution that intake admitted. revision 0: to be looked up, and answered by FlowResolved.

    inline: the flow's text where a JobRequested made the execution; there is no saved flow then.
    requested, job_requested: the public request, for the dead letter, should it be refused.
    not_before, lineage: as in ExecutionSubmitted.
    """

    execution_id: str
    namespace: str
    flow_id: str
    revision: int
    inputs: str = "{}"
    labels: dict[str, str] = {}
    trigger: TriggerFired | None = None
    inline: str = ""
    requested: ExecutionRequested | None = None
    job_requested: JobRequested | None = None
    redrives: int = 0
    traceparent: str = ""
    not_before: int = 0
    lineage: Lineage | None = None
    parent: Parent | None = None


class FlowResolved(Internal, frozen=True):
    """Which revision an execution runs; reason: why none can be, empty when revision says which."""

    execution_id: str
    revision: int = 0
    reason: str = ""


class Claimed(Public, frozen=True):
    """A worker asks for an epoch of a task run. The first claim in the log is granted."""

    task_run_id: str
    epoch: int
    worker_id: str


class Result(Public, frozen=True):
    """How an epoch ended. outputs: JSON object. Counted once, from the epoch's owner only."""

    task_run_id: str
    epoch: int
    worker_id: str
    state: State
    outputs: str = "{}"
    error: str = ""


class Returned(Public, frozen=True):
    """A worker hands back what it was granted, nothing of it runs any more: to be handed out
    anew.
    """

    task_run_id: str
    epoch: int
    worker_id: str
    reason: str = ""


class KillRequested(Public, frozen=True):
    """End an execution: its running tasks are killed, nothing more is started."""

    execution_id: str


class ResumeRequested(Public, frozen=True):
    """Let a paused task run go on."""

    task_run_id: str


class TimerDue(Internal, frozen=True):
    """A timer that the state asked for is due. Obeyed only where the state still asks for this
    one.
    """

    task_run_id: str
    due: int


class ExecutionDue(Internal, frozen=True):
    """The timer of an execution itself is due. Obeyed as TimerDue is."""

    execution_id: str
    due: int


class ChildReported(Internal, frozen=True):
    """An execution that a task run started has ended, or, where its parent does not wait for that,
    has started: then state is RUNNING.

    outputs: JSON object. error: for people. refused: it could not start, or its outputs can't be
    had. following: with RETRIED, the execution that takes its place, and will report itself.
    """

    task_run_id: str
    execution_id: str
    iteration: int
    state: State
    outputs: str = "{}"
    error: str = ""
    refused: bool = False
    following: str = ""


class Undeliverable(Internal, frozen=True):
    """A job could not be published: its group's topic is missing, or it is too large."""

    task_run_id: str
    epoch: int
    reason: str
    missing: bool = False


class WorkerLost(Internal, frozen=True):
    """A worker's lease is over and its tasks are ended: what it held is handed out anew. It is dead
    for good.
    """

    worker_id: str


class NoWorker(Internal, frozen=True):
    """The group of a job that nobody claimed has no live worker, and had none for the time that the
    job's fallback allows. Obeyed where the job waits under this epoch.
    """

    task_run_id: str
    epoch: int


class PublishAgain(Internal, frozen=True):
    """Publish an unclaimed job once more under its epoch: its topic was made anew without it, or it
    waits at a busy worker while another is free.

    due: of its timer, by which it would have been published again; the next one is another.
    partition: of a free worker, -1: by its key.
    """

    task_run_id: str
    due: int
    partition: int = -1


class GroupLive(Internal, frozen=True):
    """How many live workers a group has, how many slots these have in all, and which topic is its
    own: another id where it was made anew.
    """

    worker_group: str
    workers: int
    slots: int
    topic: str = ""


class SettingChanged(Internal, frozen=True):
    """A declaration has a new revision. content: JSON (``model.worker_group``), empty: deleted."""

    kind: str
    name: str
    revision: int
    content: str


class LogicVersion(Internal, frozen=True):
    """From here on this version of the rules is in force in the partition."""

    version: int


# workers


class Heartbeat(Public, frozen=True):
    """A server lives. sequence rises by one each; 1 is a worker's first. kind: worker, executor,
    scheduler…

    workerGroup, slots, running, tags, state: of workers; state: RUNNING, DRAINED (claims no more)
    or TERMINATING. logicVersions: of executors, the rules that they know. started: epoch ms. free:
    how many more jobs the worker would take. partition: of its group's topic, one that it reads; -1
    where it reads none.
    """

    worker_id: str
    sequence: int
    kind: str = "worker"
    worker_group: str = ""
    slots: int = 0
    running: int = 0
    version: str = ""
    logic_versions: list[int] = []
    tags: list[str] = []
    state: str = "RUNNING"
    host: str = ""
    started: int = 0
    free: int = 0
    partition: int = -1


class GroupReport(Public, frozen=True):
    """What one shard's jobs of a worker group do; said by the shard's owner, again and again.

    waiting: jobs without a worker. running: those that workers own. oldestAt: since when the oldest
    waits, epoch ms, 0 for none. byNamespace: of those that wait.
    """

    shard: int
    worker_group: str
    waiting: int
    running: int
    oldest_at: int = 0
    by_namespace: dict[str, int] = {}


class WorkerGone(Public, frozen=True):
    """Written when a worker's supervisor has ended all of its tasks: no need to wait for its
    lease.
    """

    worker_id: str


class Held(Internal, frozen=True):
    """A shard granted something to this worker for the first time: it has to be watched."""

    worker_id: str


class Probe(Internal, frozen=True):
    """An owner's own heartbeat in the partition that it watches: what it read before, nobody can
    take back.
    """

    owner: str
    sequence: int


class Suspect(Internal, frozen=True):
    """An owner read no heartbeat after ``sequence`` for lost-after. Void where a later one stands
    before it.
    """

    worker_id: str
    sequence: int


# admission


class TriggerDefinition(msgspec.Struct, frozen=True):
    """A trigger of a flow's revision. properties, inputs: JSON objects."""

    id: str
    type: str
    disabled: bool = False
    allow_concurrent: bool = False
    inputs: str = "{}"
    properties: str = "{}"


class FlowSaveRequested(Internal, frozen=True):
    """Save a flow that was validated. Equal content makes no new revision."""

    namespace: str
    flow_id: str
    source: str
    disabled: bool = False
    triggers: tuple[TriggerDefinition, ...] = ()


class SettingSaveRequested(Internal, frozen=True):
    """Save a declaration that was validated; content as in SettingChanged. Equal content makes no
    new revision.
    """

    kind: str
    name: str
    content: str


# triggers


class TriggerDefined(Internal, frozen=True):
    """A revision of a flow was saved with this trigger; definition None: without it."""

    uid: str
    namespace: str
    flow_id: str
    revision: int
    definition: TriggerDefinition | None = None


class TriggerScheduled(Internal, frozen=True):
    """The next date of a trigger after ``after``, and the one that follows it, looked up outside.

    Cron rules and timezones change with libraries, so a fold never reads them. revision: of the
    definition.
    """

    uid: str
    revision: int
    after: int
    date: int
    following: int


class TriggerDue(Internal, frozen=True):
    """The date of a trigger has come. due: that date, epoch ms."""

    uid: str
    due: int


class ExecutionEnded(Internal, frozen=True):
    """An execution that a trigger made has ended."""

    uid: str
    execution_id: str
    state: State


PUBLIC = (
    ExecutionRequested,
    JobRequested,
    Claimed,
    Result,
    Returned,
    KillRequested,
    ResumeRequested,
    Heartbeat,
    GroupReport,
    WorkerGone,
)
INTERNAL = (
    ExecutionSubmitted,
    ExecutionCreated,
    FlowResolved,
    TimerDue,
    ExecutionDue,
    ChildReported,
    Undeliverable,
    WorkerLost,
    NoWorker,
    PublishAgain,
    GroupLive,
    SettingChanged,
    LogicVersion,
    Held,
    Probe,
    Suspect,
    FlowSaveRequested,
    SettingSaveRequested,
    TriggerDefined,
    TriggerScheduled,
    TriggerDue,
    ExecutionEnded,
)

Command = Public | Internal
