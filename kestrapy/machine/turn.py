"""One command's work on a partition's state: it reads the state and collects what changes and what
goes out.

The state itself is never touched. Whoever called applies the changes, or drops them when the step
raised: so a poison command leaves everything as it was, and costs nothing that grows with the
state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

import msgspec

from kestrapy.errors import InvariantViolated
from kestrapy.language.plan import Plan
from kestrapy.machine.entities import (
    Content,
    Entity,
    EntityMap,
    Execution,
    Group,
    TaskRun,
    content_key,
    execution_key,
    group_key,
    run_key,
)
from kestrapy.machine.outputs import ExecutionEvent, ExecutionSnapshot, Job, JobCopy, Output
from kestrapy.machine.snapshots import execution_snapshot, task_run_snapshot
from kestrapy.model.state import State
from kestrapy.model.worker_group import GroupSettings

E = TypeVar("E", bound=Entity)
NUMBERS_PER_COMMAND = 1 << 20
_encode = msgspec.msgpack.Encoder().encode
replace = msgspec.structs.replace


@dataclass(frozen=True)
class Rules:
    """What a step may look up: content that never changes. Both raise ``ContentMissing`` or
    UserErrors.

    flow: namespace, flow id, revision -> its plan. inline: the text of a one-task flow -> its plan.
    shards: how many there are.
    """

    flow: Callable[[str, str, int], Plan]
    inline: Callable[[str, str, str], Plan]
    shards: int = 1


class ContentMissing(Exception):
    """A revision has not been read yet: the fold waits for its reader, it never skips."""


@dataclass
class Turn:
    """at: epoch ms, never earlier than the partition's last command. offset: of the command;
    numbers events. version: of the rules that are in force.

    What goes out for an execution is kept together until it is closed: its chain covers all of it.
    """

    state: EntityMap
    at: int
    offset: int
    rules: Rules
    version: int = 0
    changes: dict[str, Entity | None] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    """Of each output, the traceparent of its execution."""
    groups: dict[str, None] = field(default_factory=dict)
    """Groups that may have room for another job by now."""
    ready: list[tuple[str, int]] = field(default_factory=list)
    """Task runs, by key and epoch, that found room at once and stand in no line."""
    started: int = 0
    """Task runs that this turn has created."""
    told: dict[str, TaskRun] = field(default_factory=dict)
    """By key, task runs that come back into the state, as readers know them."""
    removed: list[TaskRun] = field(default_factory=list)
    """Those that readers know and that are gone: they are told so."""
    _open: dict[str, list[Output]] = field(default_factory=dict)
    _plans: dict[tuple[str, int], Plan] = field(default_factory=dict)
    _numbers: int = 0

    def get(self, key: str, kind: type[E]) -> E | None:
        """The entity as this turn sees it. Raises InvariantViolated where it is of another kind."""
        found = self.changes[key] if key in self.changes else self.state.get(key)
        if found is not None and not isinstance(found, kind):
            raise InvariantViolated(f"{key} is a {type(found).__name__}, not a {kind.__name__}")
        return found

    def need(self, key: str, kind: type[E]) -> E:
        found = self.get(key, kind)
        if found is None:
            raise InvariantViolated(f"{key} is missing")
        return found

    def put(self, key: str, entity: Entity) -> None:
        self.changes[key] = entity

    def drop(self, key: str) -> None:
        self.changes[key] = None

    def execution(self, execution_id: str) -> Execution:
        return self.need(execution_key(execution_id), Execution)

    def put_execution(self, execution: Execution) -> Execution:
        self.changes[execution_key(execution.id)] = execution
        return execution

    def content(self, execution_id: str) -> Content:
        return self.need(content_key(execution_id), Content)

    def run(self, execution_id: str, ordinal: int) -> TaskRun:
        return self.need(run_key(f"{execution_id}-{ordinal}"), TaskRun)

    def find_run(self, execution_id: str, ordinal: int) -> TaskRun | None:
        """None for one that a restart has taken out."""
        return self.get(run_key(f"{execution_id}-{ordinal}"), TaskRun)

    def put_run(self, run: TaskRun) -> TaskRun:
        self.changes[run_key(run.id)] = run
        return run

    def group(self, key: str) -> Group:
        """A group, though nobody declared it: what waits for it has to be seen somewhere."""
        return self.get(group_key(key), Group) or Group(GroupSettings(key))

    def put_group(self, group: Group) -> None:
        """One that is not declared is kept only while there is something to know of it."""
        counts = (group.revision, group.workers, group.slots, group.published, group.waiting)
        known = any(counts) or group.topic
        self.changes[group_key(group.settings.key)] = group if known else None

    def emit(self, output: Output, execution_id: str = "") -> None:
        """execution_id: whose chain covers it, empty for none's."""
        if execution_id:
            self.touch(execution_id).append(output)
        else:
            self.outputs.append(output)
            self.traces.append("")

    def touch(self, execution_id: str) -> list[Output]:
        """Something of this execution changed: it is told at the end of the turn."""
        return self._open.setdefault(execution_id, [])

    def plan(self, execution: Execution) -> Plan:
        key = (execution.id, execution.revision)
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = self._look_up(execution)
        return found

    def _look_up(self, execution: Execution) -> Plan:
        inline = self.content(execution.id).inline
        if inline:
            return self.rules.inline(execution.namespace, execution.flow_id, inline)
        return self.rules.flow(execution.namespace, execution.flow_id, execution.revision)

    def finish(self) -> None:
        """Close every execution that was touched."""
        for execution_id in list(self._open):
            self.close(execution_id)

    def close(self, execution_id: str) -> None:
        """Tell what this turn changed of an execution, and chain all that it put out for it. Once
        per execution and turn: one that is over is closed before it is dropped.
        """
        fresh = self.touch(execution_id)
        before = self.state.get(execution_key(execution_id))
        execution = self.execution(execution_id)
        changed = not isinstance(before, Execution) or before.history is not execution.history
        changed = changed or self.content(execution_id) is not self.state[content_key(execution_id)]
        ended = execution.history.current.is_terminal
        if changed and not ended:  # a reader knows an execution before its task runs,
            fresh.append(self._execution_event(execution))
        fresh.extend(self._run_events(execution))
        if changed and ended:  # and has all of them when it hears of the end
            fresh.append(self._execution_event(execution))
        del self._open[execution_id]
        self._chain(execution, fresh)

    def _execution_event(self, execution: Execution) -> ExecutionEvent:
        content, variables = self.content(execution.id), self._variables(execution)
        return self._event(execution, execution_snapshot(execution, content, variables))

    def _variables(self, execution: Execution) -> str:
        """Of the flow, once the execution has started: before, there may be no flow."""
        started = any(change.state is State.RUNNING for change in execution.history.histories)
        if not started:
            return "{}"
        return self.content(execution.id).variables or self.plan(execution).variables_text

    def _run_events(self, execution: Execution) -> Iterator[ExecutionEvent]:
        prefix = run_key(execution.id) + "-"
        for key, entity in self.changes.items():
            if isinstance(entity, TaskRun) and entity.is_told and key.startswith(prefix):
                before = self.told.get(key) or self.state.get(key)
                if not isinstance(before, TaskRun) or _shows_more(before, entity):
                    yield self._event(execution, run=entity)
        for run in self.removed:
            if run.execution_id == execution.id:
                yield self._event(execution, run=run, removed=True)

    @property
    def number(self) -> int:
        """Of the last event that this turn has told; of none: below those that it could."""
        return self.offset * NUMBERS_PER_COMMAND + self._numbers

    def _event(
        self,
        execution: Execution,
        snapshot: ExecutionSnapshot | None = None,
        run: TaskRun | None = None,
        *,
        removed: bool = False,
    ) -> ExecutionEvent:
        self._numbers += 1
        return ExecutionEvent(
            execution_id=execution.id,
            number=self.number,
            at=self.at,
            namespace=execution.namespace,
            flow_id=execution.flow_id,
            flow_revision=execution.revision,
            execution=snapshot,
            task_run=None if run is None else task_run_snapshot(run, removed=removed),
        )

    def _chain(self, execution: Execution, fresh: list[Output]) -> None:
        """One hash over what this turn put out for the execution, carried by its jobs and
        events.
        """
        if not fresh:
            return
        chain = blake2b(execution.chain.encode() + _encode(fresh), digest_size=8).hexdigest()
        self.outputs += [_stamped(output, chain) for output in fresh]
        self.traces += [execution.traceparent] * len(fresh)
        self.put_execution(replace(execution, chain=chain))


def _stamped(output: Output, chain: str) -> Output:
    if isinstance(output, JobCopy):
        return replace(output, job=replace(output.job, chain=chain))
    return replace(output, chain=chain) if isinstance(output, Job | ExecutionEvent) else output


def _shows_more(before: TaskRun, after: TaskRun) -> bool:
    """Whether readers would see a difference: counters and timers are the fold's own business."""
    return before is not after and (
        before.history is not after.history
        or before.attempts is not after.attempts
        or before.outputs is not after.outputs
        or before.error is not after.error
        or before.group is not after.group
    )
