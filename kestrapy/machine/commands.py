"""What folds read: every command of the topics requests, executions, admission, workers and
triggers.

Public commands are Avro on the wire (``schemas/``), so that other services and workers in other
languages can write them; their fields are camelCase there. The others are kestrapy's own and
encoded as MessagePack arrays: a field is only ever added at the end, with a default. Times are
epoch ms; JSON values travel as text.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine.child_commands import ChildReported as ChildReported
from kestrapy.machine.child_commands import ChildWanted as ChildWanted
from kestrapy.machine.origins import Lineage as Lineage
from kestrapy.machine.origins import Parent as Parent
from kestrapy.machine.origins import TriggerFired as TriggerFired
from kestrapy.machine.records import Internal as Internal
from kestrapy.machine.records import Public as Public
from kestrapy.machine.records import Source as Source
from kestrapy.machine.restart_commands import ExecutionRestored as ExecutionRestored
from kestrapy.machine.restart_commands import RestoringContinued as RestoringContinued
from kestrapy.machine.restart_commands import TaskRunMarked as TaskRunMarked
from kestrapy.machine.slot_commands import ForceRun as ForceRun
from kestrapy.machine.slot_commands import SlotDenied as SlotDenied
from kestrapy.machine.slot_commands import SlotGranted as SlotGranted
from kestrapy.machine.slot_commands import SlotReleased as SlotReleased
from kestrapy.machine.slot_commands import SlotWanted as SlotWanted
from kestrapy.machine.trigger_commands import ExecutionEnded as ExecutionEnded
from kestrapy.machine.trigger_commands import TriggerDefined as TriggerDefined
from kestrapy.machine.trigger_commands import TriggerDefinition as TriggerDefinition
from kestrapy.machine.trigger_commands import TriggerDue as TriggerDue
from kestrapy.machine.trigger_commands import TriggerScheduled as TriggerScheduled
from kestrapy.machine.trigger_commands import TriggerToggled as TriggerToggled
from kestrapy.machine.worker_commands import GroupReport as GroupReport
from kestrapy.machine.worker_commands import Heartbeat as Heartbeat
from kestrapy.machine.worker_commands import Held as Held
from kestrapy.machine.worker_commands import Probe as Probe
from kestrapy.machine.worker_commands import Suspect as Suspect
from kestrapy.machine.worker_commands import WorkerGone as WorkerGone
from kestrapy.model.state import State

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
    labels: dict[str, str] = msgspec.field(default_factory=dict)
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
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class ExecutionSubmitted(Internal, frozen=True):
    """A request whose flow revision was looked up and whose id was given by a server of ours.

    not_before: epoch ms until which it waits, 0: it does not.
    """

    execution_id: str
    namespace: str
    flow_id: str
    revision: int
    inputs: str = "{}"
    labels: dict[str, str] = msgspec.field(default_factory=dict)
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
    labels: dict[str, str] = msgspec.field(default_factory=dict)
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
    """How an epoch ended. outputs: JSON object. Counted once, from the epoch's owner only.

    logFile: URI of its log, where the task wanted a file of it.
    """

    task_run_id: str
    epoch: int
    worker_id: str
    state: State
    outputs: str = "{}"
    error: str = ""
    log_file: str = ""


class TaskReport(Public, frozen=True):
    """How a task of a WorkingDirectory goes, from the owner of the directory's epoch.

    taskRunId: of the directory. child: place among its tasks that are not disabled, from 0.
    attempt: from 1 in each epoch. state: RUNNING for each attempt that begins, RETRYING after one
    that failed, or how it ended. logFile: as a result's.
    """

    task_run_id: str
    epoch: int
    worker_id: str
    child: int
    attempt: int
    state: State
    outputs: str = "{}"
    error: str = ""
    log_file: str = ""


class Returned(Public, frozen=True):
    """A worker hands back what it was granted, nothing of it runs any more: to be handed out
    anew.
    """

    task_run_id: str
    epoch: int
    worker_id: str
    reason: str = ""


class KillRequested(Public, frozen=True):
    """End an execution: its running tasks are killed, nothing more is started. cascade: what its
    subflows run is killed too, else these go on by themselves.
    """

    execution_id: str
    cascade: bool = True


class PauseRequested(Public, frozen=True):
    """Let nothing more of a running execution start until it is resumed; what runs goes on."""

    execution_id: str


class ResumeRequested(Public, frozen=True):
    """Let a paused task run go on; where none is named, all that is paused of an execution. inputs:
    JSON object, those that a Pause asks for.
    """

    task_run_id: str = ""
    execution_id: str = ""
    inputs: str = "{}"


class ResumeAsked(Internal, frozen=True):
    """A task run asks that another execution go on. namespace, flow_id: of that one, empty for any.
    inputs: as in ResumeRequested.
    """

    execution_id: str
    task_run_id: str
    namespace: str = ""
    flow_id: str = ""
    inputs: str = "{}"


class ResumeAnswered(Internal, frozen=True):
    """What became of it; problem: why it does not go on, empty where it does."""

    task_run_id: str
    problem: str = ""


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


class SweepDue(Internal, frozen=True):
    """A walk over the task runs of an execution goes on. Obeyed as TimerDue is."""

    execution_id: str
    due: int


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


# admission


class FlowSaveRequested(Internal, frozen=True):
    """Save a flow that was validated. Equal content makes no new revision. limit: how many of its
    executions may run at once, 0 for any number.
    """

    namespace: str
    flow_id: str
    source: str
    disabled: bool = False
    triggers: tuple[TriggerDefinition, ...] = ()
    limit: int = 0


class SettingSaveRequested(Internal, frozen=True):
    """Save a declaration that was validated; content as in SettingChanged. Equal content makes no
    new revision.
    """

    kind: str
    name: str
    content: str


PUBLIC = (
    ExecutionRequested,
    JobRequested,
    Claimed,
    Result,
    TaskReport,
    Returned,
    KillRequested,
    PauseRequested,
    ResumeRequested,
    Heartbeat,
    GroupReport,
    WorkerGone,
)
INTERNAL = (
    ResumeAsked,
    ResumeAnswered,
    ExecutionSubmitted,
    ExecutionCreated,
    FlowResolved,
    ExecutionRestored,
    RestoringContinued,
    TaskRunMarked,
    TimerDue,
    ExecutionDue,
    ChildReported,
    ChildWanted,
    SlotGranted,
    SlotDenied,
    ForceRun,
    SweepDue,
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
    SlotWanted,
    SlotReleased,
    SettingSaveRequested,
    TriggerDefined,
    TriggerScheduled,
    TriggerToggled,
    TriggerDue,
    ExecutionEnded,
)

Command = Public | Internal
