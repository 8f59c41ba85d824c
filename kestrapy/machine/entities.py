"""What the executor's fold keeps between commands: small frozen entities, each under a key of its
own.

A partition's state is a flat map from key to entity. A step reads it and names the entities that it
changes; so a step, and a checkpoint, cost what was changed and never what there is. A task run is
an entity of its own, and so is each answer to "which run of this task was the last".
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from kestrapy.machine.commands import (
    ExecutionRequested,
    JobRequested,
    Lineage,
    Parent,
    TriggerFired,
)
from kestrapy.model.state import State, StateHistory
from kestrapy.model.worker_group import Fallback, GroupSettings, NamespaceSettings


class Entity(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Kept in checkpoints as a MessagePack array: fields are only ever added at the end, with a
    default.
    """


class Scope(msgspec.Struct, frozen=True, array_like=True):
    """How far a list of tasks has come: an execution's own, or a flowable task run's.

    block: tasks (or a branch), then errors if one failed, then finally. cursor: the next task of
    the block to start. open: task runs that were started and have not ended. block_failed: one of
    this block has failed; failed, warned, killed: one of any block.

    size: of a list with values, how many there are; its cursor goes through all tasks of all
    values, or through the values where iterations run side by side. lanes: iterations whose next
    task may start, with its place; emptied in the command that fills it. begun, done: of a Dag, the
    tasks that were started, and those that others may follow. waits: until a timer, or a resume.
    outcome: in which state that timer ends a Pause. rounds: of a loop, how often it has run; of
    batches that are killed, how many are still to be told. overdue: its time is over, and what it
    has started is being killed.

    Of a ForEachItem: done has the ordinals of its children. Of its batches: parts, of the outputs
    that are to be merged, the first and the last.
    """

    block: str = "tasks"
    cursor: int = 0
    open: int = 0
    failed: bool = False
    warned: bool = False
    killed: bool = False
    block_failed: bool = False
    size: int = 0
    lanes: tuple[tuple[int, int], ...] = ()
    begun: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    waits: bool = False
    outcome: str = ""
    rounds: int = 0
    parts: tuple[int, int] = (0, 0)
    overdue: bool = False


class Execution(Entity, frozen=True):
    """A live execution. count: task runs so far; the next one's ordinal.

    awaits: "flow" while a FlowResolved is wanted, "date" until ``due``, "slot" until it is granted
    one. killing: a kill was asked for. chain: see ``outputs``. paused: how many of its task runs
    are. ends_as: with killing, the state that follows. outputs: JSON object, once it has ended.
    due: epoch ms of the ``ExecutionDue`` that is wanted, 0 for none. again: with ends_as RETRIED,
    when the next try begins, epoch ms. limited: it has asked for a slot, which it gives back at its
    end. waits_for: for people, why it is QUEUED. spares: its kill leaves the executions alone that
    its task runs have started.

    restarts: how often it was restored to go on after its end. restoring: its task runs are still
    being restored.
    """

    id: str
    namespace: str
    flow_id: str
    revision: int
    history: StateHistory
    scope: Scope = Scope()
    count: int = 0
    awaits: str = ""
    killing: bool = False
    error: str = ""
    chain: str = ""
    traceparent: str = ""
    paused: int = 0
    ends_as: str = ""
    outputs: str = "{}"
    due: int = 0
    again: int = 0
    limited: bool = False
    waits_for: str = ""
    spares: bool = False
    restarts: int = 0
    restoring: bool = False


class Kept(Entity, frozen=True):
    """What is known of an execution's slas, where its flow has some. began: since when durations
    count, epoch ms. violated: those that were, from 0.
    """

    began: int
    violated: tuple[int, ...] = ()


class Content(Entity, frozen=True):
    """What an execution was made of; after the start, only labels and variables change. inputs:
    JSON, typed once started. variables: JSON object, empty: those of the flow.

    request is set only until the execution has started: it is the dead letter, should it be
    refused. lineage: where it tries another one again. schedule_date: epoch ms before which it was
    not to start, 0: at once.
    """

    inputs: str
    labels: dict[str, str]
    trigger: TriggerFired | None = None
    inline: str = ""
    requested: ExecutionRequested | None = None
    job_requested: JobRequested | None = None
    redrives: int = 0
    variables: str = ""
    lineage: Lineage | None = None
    schedule_date: int = 0
    parent: Parent | None = None


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One try of a task run: an epoch that a worker owned. log_file: URI, empty without one."""

    epoch: int
    worker_id: str
    history: StateHistory
    log_file: str = ""


class TaskRun(Entity, frozen=True):
    """A run of a task. epoch: grows each time it is handed out anew; 0 of flowable tasks.

    parent: ordinal of the flowable task run that it is a child of, -1 at the top. due: epoch ms of
    the ``TimerDue`` that is wanted, 0 for none. failures: epochs that ended FAILED. outputs: JSON
    object.

    group, lane: where it is handed out. place: in its line, 0 when it is in none. ready: since
    when this epoch waits, epoch ms. fallback: unless it is to wait. fallback_after: ms. left:
    groups that a fallback took it from. losses: workers that were lost with it. copies: of this
    epoch's job, for workers that were free.

    value, iteration: of a task that runs once for each value; iteration -1 where there is none.
    earlier: ordinal of the run of the same task before this one, -1 for none.
    asks: what a worker is to evaluate for it, see ``evaluations``; its scope is aside meanwhile.
    answers: what it gave, JSON object; empty: nothing was asked.
    inside: of a task of a WorkingDirectory, whose job runs it; its epoch is the directory's, 0
    before it has begun.
    """

    execution_id: str
    ordinal: int
    task_id: str
    parent: int
    history: StateHistory
    group: str = ""
    epoch: int = 0
    worker_id: str = ""
    due: int = 0
    failures: int = 0
    attempts: tuple[Attempt, ...] = ()
    outputs: str = "{}"
    error: str = ""
    scope: Scope | None = None
    lane: str = ""
    place: int = 0
    ready: int = 0
    fallback: Fallback | None = None
    fallback_after: int = 0
    left: tuple[str, ...] = ()
    losses: int = 0
    copies: int = 0
    value: str | None = None
    iteration: int = -1
    earlier: int = -1
    inside: bool = False
    asks: str = ""
    aside: Scope | None = None
    answers: str = ""

    @property
    def id(self) -> str:
        return f"{self.execution_id}-{self.ordinal}"

    @property
    def state(self) -> State:
        return self.history.current

    @property
    def is_waiting(self) -> bool:
        """Whether it is to be run by a worker, and none owns it: in a line, or published."""
        if self.inside:
            return False
        return self.place != 0 or (self.state is State.SUBMITTED and self.scope is None)

    @property
    def is_told(self) -> bool:
        """Whether readers know of it: a task of a WorkingDirectory they do once it has begun."""
        return not self.inside or self.epoch > 0


class LastRun(Entity, frozen=True):
    """The ordinal of a task's last run in an execution, of all or of those for certain values."""

    ordinal: int


class Values(Entity, frozen=True):
    """Some of the values that a flowable task run goes through: a part of ``VALUES_PART`` at most,
    so that nothing grows with their number. It never changes.
    """

    values: tuple[str, ...]


class Child(Entity, frozen=True):
    """An execution that a task run started, until it reports. waits: for its end. transmits: it
    fails, or warns, as its child does. restoring: of one that was restarted; only what it reports
    since then counts.
    """

    execution_id: str
    waits: bool = True
    transmits: bool = True
    restoring: str = ""


class ChildOutputs(Entity, frozen=True):
    """What some of a task run's children have put out, by iteration: JSON objects, until they are
    merged.
    """

    outputs: tuple[tuple[int, str], ...] = ()


class Sweep(Entity, frozen=True):
    """A walk over the task runs of an execution, some per command (``machine.sweeps`` has its
    kinds). below: those of lower ordinals are still to come. due: epoch ms of the ``SweepDue`` that
    is wanted. resumes: what a Pause holds goes on too, with these inputs. waits: how many ms it has
    waited for its turn.
    """

    kind: str
    execution_id: str
    below: int = 0
    due: int = 0
    resumes: bool = False
    inputs: str = "{}"
    waits: int = 0


class Halt(Entity, frozen=True):
    """What of an execution is held back: notes from head to below tail. asked: somebody paused
    it.
    """

    asked: bool = False
    head: int = 0
    tail: int = 0


class HeldBack(Entity, frozen=True):
    """One note: the owner of a list that was to go on, or a task run; its ordinal."""

    ordinal: int


class Ignored(Entity, frozen=True):
    """Executions that are left alone: the key says which."""


class Holder(Entity, frozen=True):
    """A worker that was granted something here. held: ids of the task runs that it owns.

    dead: for good; an id is never used again, so that it may be forgotten at ``until`` (log time,
    epoch ms; 0 while it lives).
    """

    held: tuple[str, ...] = ()
    dead: bool = False
    until: int = 0


class Ended(Entity, frozen=True):
    """What stays of an ended execution until ``until`` (log time, epoch ms): late commands are
    known by it. number: of its last event; what was read from storage before it is out of date.
    """

    state: State
    until: int
    number: int = -1


class Turns(msgspec.Struct, frozen=True, array_like=True):
    """Who has something waiting, by (pass, name): the first has the next turn. clock: the pass of
    the last turn; who comes in begins there, so that nobody saves up turns.
    """

    clock: int = 0
    entries: tuple[tuple[int, str], ...] = ()


class Group(Entity, frozen=True):
    """A worker group. revision: of its declaration, 0 where none is known.

    workers, slots: of those that live. topic: id of its topic, as it was seen last. published: its
    jobs that stand there, unclaimed. waiting: its jobs that stand in lines. lanes: those with
    lines.
    """

    settings: GroupSettings
    revision: int = 0
    deleted: bool = False
    workers: int = 0
    slots: int = 0
    published: int = 0
    waiting: int = 0
    lanes: Turns = Turns()
    topic: str = ""


class GroupKeys(Entity, frozen=True):
    """The declared groups, in order."""

    keys: tuple[str, ...] = ()


class Namespace(Entity, frozen=True):
    """Defaults of a namespace."""

    settings: NamespaceSettings


class Lane(Entity, frozen=True):
    """A group's lane that has jobs waiting. namespaces: those with lines in it."""

    namespaces: Turns = Turns()


class Line(Entity, frozen=True):
    """The waiting jobs of a group, a lane and a namespace: places from head to below tail, count of
    which are taken.
    """

    head: int
    tail: int
    count: int = 0


class Place(Entity, frozen=True):
    """One place in a line."""

    task_run_id: str


class KillNote(Entity, frozen=True):
    """A kill that came before its execution; kept until ``until`` (log time, epoch ms)."""

    until: int


EntityMap = Mapping[str, Entity]
ENTITIES = (
    *(
        Execution,
        Kept,
        Content,
        TaskRun,
        LastRun,
        Values,
        Sweep,
        Halt,
        HeldBack,
        Ignored,
        Holder,
        Ended,
        KillNote,
    ),
    *(Child, ChildOutputs),
    *(Group, GroupKeys, Namespace, Lane, Line, Place),
)
VALUES_PART = 256
GROUP_KEYS = "groups"
"""The key of the one ``GroupKeys``."""


def execution_key(execution_id: str) -> str:
    return "e:" + execution_id


def kept_key(execution_id: str) -> str:
    return "a:" + execution_id


def content_key(execution_id: str) -> str:
    return "c:" + execution_id


def run_key(task_run_id: str) -> str:
    return "t:" + task_run_id


def last_run_key(execution_id: str, task_id: str) -> str:
    return f"l:{execution_id}:{task_id}"


def valued_run_key(execution_id: str, task_id: str, values: tuple[str, ...]) -> str:
    """Of the last run of a task for values: those of the lists around it, from the outside in."""
    hashed = blake2b(msgspec.json.encode(values), digest_size=12).hexdigest()
    return f"v:{execution_id}:{task_id}:{hashed}"


def values_key(task_run_id: str, part: int) -> str:
    return f"i:{task_run_id}:{part}"


def child_key(task_run_id: str, iteration: int) -> str:
    """iteration: -1 for a Subflow's."""
    return f"s:{task_run_id}:{iteration}"


def outputs_key(task_run_id: str, part: int) -> str:
    return f"o:{task_run_id}:{part}"


def sweep_key(execution_id: str) -> str:
    return "z:" + execution_id


def halt_key(execution_id: str) -> str:
    return "h:" + execution_id


def held_back_key(execution_id: str, place: int) -> str:
    return f"b:{execution_id}:{place}"


def ignored_key(name: str) -> str:
    """name: execution/<id>, flow/<namespace>/<id>, namespace/<name> or tenant/<name>."""
    return "x:" + name


def holder_key(worker_id: str) -> str:
    return "w:" + worker_id


def kill_note_key(execution_id: str) -> str:
    return "k:" + execution_id


def group_key(group: str) -> str:
    return "g:" + group


def namespace_key(namespace: str) -> str:
    return "d:" + namespace


def lane_key(group: str, lane: str) -> str:
    return f"n:{group}/{lane}"


def line_key(group: str, lane: str, namespace: str) -> str:
    return f"q:{group}/{lane}/{namespace}"


def place_key(group: str, lane: str, namespace: str, place: int) -> str:
    return f"p:{group}/{lane}/{namespace}/{place}"


def execution_of(task_run_id: str) -> str:
    """The execution that a task run's id names."""
    return task_run_id.rpartition("-")[0]
