"""The catalogue: every topic, what it carries, and how it has to be set up.

``partitions`` is a number, or which of the settings says it: topics whose partitions stand for a
shard must all have as many, or one shard's records would be spread over two owners.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from kestrapy.config import GROUP_KEY, TOPIC_PREFIX
from kestrapy.errors import SettingsRefused
from kestrapy.machine import commands as c
from kestrapy.machine import outputs as o
from kestrapy.model.worker_group import DEFAULT_GROUP
from kestrapy.ports.log import TopicSpec

_DAY = 86_400_000
_MIB = 1 << 20
MAX_RECORD_BYTES = _MIB
"""The largest batch that a topic takes. Records stay below 900 KB: more goes by reference."""

_ALL = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(MAX_RECORD_BYTES)}
_FAST_COMPACTION = {
    "segment.bytes": str(32 * _MIB),
    "segment.ms": "60000",
    "min.cleanable.dirty.ratio": "0.05",
}
"""A restore reads the whole topic: what is superseded has to go within minutes, not days."""


@dataclass(frozen=True)
class Topic:
    """A topic, without prefix.

    key: what its records are keyed by. retention_ms: None for a compacted topic.
    public: for other services to read or write. records: what may stand there; none for topics
    with a format of their own. settings: Kafka's, beyond those that follow from the rest.
    """

    name: str
    key: str
    what: str
    partitions: int | Literal["shards", "job_partitions"]
    retention_ms: int | None
    public: bool
    records: tuple[type, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def configs(self) -> dict[str, str]:
        """Kafka's settings of the topic."""
        if self.retention_ms is None:
            kept = {"cleanup.policy": "compact"}
        else:
            kept = {
                "cleanup.policy": "delete",
                "retention.ms": str(self.retention_ms),
                "retention.bytes": "-1",
            }
        return _ALL | kept | dict(self.settings)


REQUESTS = Topic(
    "requests",
    "idempotency key, or execution id",
    "executions and jobs that are asked for",
    "shards",
    7 * _DAY,
    True,
    (c.ExecutionRequested, c.JobRequested, c.ExecutionSubmitted, c.LogicVersion),
)
EXECUTIONS = Topic(
    "executions",
    "execution id",
    "commands that move executions forward",
    "shards",
    7 * _DAY,
    False,
    (
        c.ExecutionCreated,
        c.FlowResolved,
        c.Claimed,
        c.Result,
        c.TaskReport,
        c.Returned,
        c.KillRequested,
        c.PauseRequested,
        c.ResumeRequested,
        c.ResumeAsked,
        c.ResumeAnswered,
        c.ExecutionRestored,
        c.RestoringContinued,
        c.TaskRunMarked,
        c.TimerDue,
        c.ExecutionDue,
        c.ChildReported,
        c.ChildWanted,
        c.SlotGranted,
        c.SlotDenied,
        c.ForceRun,
        c.SweepDue,
        c.Undeliverable,
        c.WorkerLost,
        c.NoWorker,
        c.PublishAgain,
        c.GroupLive,
        c.SettingChanged,
        c.LogicVersion,
    ),
)
ADMISSION = Topic(
    "admission",
    "namespace and id of the flow; kind and name of a setting",
    "commands on what the executions of a flow share, and on declarations",
    "shards",
    7 * _DAY,
    False,
    (
        c.FlowSaveRequested,
        c.SlotWanted,
        c.SlotReleased,
        c.SettingSaveRequested,
        c.LogicVersion,
    ),
)
TRIGGERS = Topic(
    "triggers",
    "trigger's uid",
    "commands that the scheduler folds",
    "shards",
    7 * _DAY,
    False,
    (
        c.TriggerDefined,
        c.TriggerScheduled,
        c.TriggerToggled,
        c.TriggerDue,
        c.ExecutionEnded,
        c.Probe,
        c.LogicVersion,
    ),
)
WORKERS = Topic(
    "workers",
    "worker id",
    "heartbeats of servers, and the decisions on leases",
    "shards",
    _DAY,
    True,
    (
        c.Heartbeat,
        c.GroupReport,
        c.WorkerGone,
        c.Held,
        c.Probe,
        c.Suspect,
        c.LogicVersion,
    ),
)
STATE = Topic(
    "state",
    "stage and entity",
    "checkpoints of executor shards",
    "shards",
    None,
    False,
    settings=tuple(_FAST_COMPACTION.items()),
)
SCHEDULER_STATE = Topic(
    "scheduler-state",
    "stage and entity",
    "checkpoints of scheduler shards",
    "shards",
    None,
    False,
    settings=tuple(_FAST_COMPACTION.items()),
)
EXECUTION_EVENTS = Topic(
    "execution-events",
    "execution id",
    "what happened to executions and their task runs",
    "shards",
    7 * _DAY,
    True,
    (o.ExecutionEvent, o.ExecutionPurge),
)
INBOX = Topic(
    "inbox",
    "worker id",
    "grants, refusals, kills and drains for workers",
    4,
    _DAY,
    True,
    (o.Granted, o.Refused, o.Kill, o.Drain),
)
LOGS = Topic(
    "logs",
    "execution id",
    "lines that task runs log",
    "shards",
    7 * _DAY,
    True,
    (o.LogEntry, o.LogPurge),
)
METRICS = Topic(
    "metrics",
    "execution id",
    "values that task runs measure",
    "shards",
    7 * _DAY,
    True,
    (o.MetricEntry,),
)
FLOWS = Topic(
    "flows", "namespace, id and revision", "revisions of flows", 1, None, True, (o.FlowRevision,)
)
SETTINGS = Topic(
    "settings",
    "kind and name",
    "declared worker groups, and defaults of namespaces",
    1,
    None,
    True,
    (o.SettingRevision,),
)
TRIGGER_EVENTS = Topic(
    "trigger-events",
    "trigger's uid",
    "what happened to triggers",
    "shards",
    7 * _DAY,
    True,
    (o.TriggerEvent,),
)
DEAD_LETTER = Topic(
    "dead-letter",
    "where the record stood",
    "records that could not be read or were refused",
    1,
    30 * _DAY,
    True,
    (o.DeadLetter,),
    # It holds the whole of a record that may itself be as large as a topic allows.
    (("max.message.bytes", str(2 * MAX_RECORD_BYTES)),),
)
JOBS = Topic(
    "jobs.",
    "task run id",
    "jobs for the workers of one group, whose key ends the name",
    "job_partitions",
    7 * _DAY,
    True,
    (o.Job,),
)

TOPICS = (
    REQUESTS,
    EXECUTIONS,
    ADMISSION,
    TRIGGERS,
    WORKERS,
    STATE,
    SCHEDULER_STATE,
    EXECUTION_EVENTS,
    INBOX,
    LOGS,
    METRICS,
    FLOWS,
    SETTINGS,
    TRIGGER_EVENTS,
    DEAD_LETTER,
)
"""All but the groups' own: ``JOBS`` once for each."""


class Catalogue:
    """The topics of one installation, by their full names.

    prefix: of all names. shards, job_partitions: at least 1, fixed once the topics exist. shared:
    groups with one partition, since a share group spreads partitions over its members first.
    Raises SettingsRefused for what Kafka would not take.
    """

    def __init__(
        self,
        prefix: str = "kestrapy.",
        shards: int = 4,
        job_partitions: int = 16,
        shared: Collection[str] = (),
    ):
        if not re.fullmatch(TOPIC_PREFIX, prefix):
            raise SettingsRefused(
                f"topic prefix {prefix!r}: expected at most 100 letters, digits, '_', '-' and '.',"
                " not beginning with '.'"
            )
        for name, count in (("shards", shards), ("job partitions", job_partitions)):
            if count < 1:
                raise SettingsRefused(f"{name} is {count}: expected at least 1")
        self.prefix, self.shards, self.job_partitions = prefix, shards, job_partitions
        self._shared = frozenset(shared)
        self.requests = prefix + REQUESTS.name
        self.executions = prefix + EXECUTIONS.name
        self.admission = prefix + ADMISSION.name
        self.triggers = prefix + TRIGGERS.name
        self.workers = prefix + WORKERS.name
        self.state = prefix + STATE.name
        self.scheduler_state = prefix + SCHEDULER_STATE.name
        self.execution_events = prefix + EXECUTION_EVENTS.name
        self.inbox = prefix + INBOX.name
        self.logs = prefix + LOGS.name
        self.metrics = prefix + METRICS.name
        self.flows = prefix + FLOWS.name
        self.settings = prefix + SETTINGS.name
        self.trigger_events = prefix + TRIGGER_EVENTS.name
        self.dead_letter = prefix + DEAD_LETTER.name
        self._jobs = prefix + JOBS.name
        self._topics = {prefix + topic.name: topic for topic in TOPICS}

    def jobs(self, group: str) -> str:
        """The topic of a worker group. Raises SettingsRefused for a key that can't be one."""
        check_group(group)
        return self._jobs + group

    def group(self, name: str) -> str | None:
        """The worker group whose jobs a topic carries; None for any other topic."""
        return name[len(self._jobs) :] or None if name.startswith(self._jobs) else None

    def topic(self, name: str) -> Topic | None:
        """A topic by its full name; None for one that isn't of this installation."""
        return JOBS if self.group(name) else self._topics.get(name)

    def records(self, name: str) -> tuple[type, ...] | None:
        """What may stand in a topic of that full name; None where it has a format of its own."""
        topic = self.topic(name)
        return topic.records if topic is not None and topic.records else None

    def specs(self, groups: Iterable[str] = (DEFAULT_GROUP,)) -> list[TopicSpec]:
        """All topics, the jobs of these groups included, each once."""
        named = [
            *self._topics.items(),
            *((self.jobs(group), JOBS) for group in dict.fromkeys(groups)),
        ]
        return [
            TopicSpec(name, self._partitions(topic, name), topic.configs) for name, topic in named
        ]

    def _partitions(self, topic: Topic, name: str) -> int:
        if self.group(name) in self._shared:
            return 1
        rule = topic.partitions
        return rule if isinstance(rule, int) else int(getattr(self, rule))


def check_group(group: str) -> None:
    """Raises SettingsRefused unless it can be the key of a worker group."""
    if not re.fullmatch(GROUP_KEY, group):
        raise SettingsRefused(
            f"worker group {group!r}: expected 1 to 100 letters, digits, '_' and '-'"
        )
