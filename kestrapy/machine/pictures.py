"""An execution as storage has it (its *picture*), made into what a fold can go on from.

Whoever reads storage calls these and writes what they give into the log, so that a fold never reads
it. What a list of tasks knows of itself while it lives is not stored: it follows from the flow's
plan and the task runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import msgspec

from kestrapy.errors import Conflict, NotFound
from kestrapy.language.plan import Plan
from kestrapy.machine import endings
from kestrapy.machine.commands import ExecutionRestored, Lineage, TriggerFired
from kestrapy.machine.entities import (
    Attempt,
    Content,
    Execution,
    TaskRun,
)
from kestrapy.machine.lists import ROOT
from kestrapy.machine.outputs import ExecutionSnapshot, StateChange, TaskRunSnapshot
from kestrapy.machine.restored import RestoredChild, RestoredHead
from kestrapy.machine.revivals import Revival, scope_of
from kestrapy.model.registry import CALLS
from kestrapy.model.state import Change, State, StateHistory

RESTARTED, REPLAYED, REPLAY = "system.restarted", "system.replayed", "system.replay"
"""Labels of an execution that was restarted, of one that was replayed, and of its replay."""
MARKS = (State.SUCCESS, State.WARNING, State.FAILED, State.CANCELLED, State.SKIPPED)
"""States that a task run of an ended execution may be given."""
STATUSES = (State.SUCCESS, State.WARNING, State.FAILED, State.KILLED, State.CANCELLED)
"""States that an ended execution may be given."""
PART_RUNS = 100
PART_BYTES = 300_000
"""Of task runs in a part: one that is larger has a part of its own. A record has 900 KB at most."""

encode = msgspec.msgpack.Encoder().encode
replace = msgspec.structs.replace


class Picture(Protocol):
    """number: of the newest event in it. count: ordinals given so far. task_runs: by ordinal."""

    @property
    def execution_id(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def flow_id(self) -> str: ...
    @property
    def flow_revision(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def snapshot(self) -> ExecutionSnapshot: ...
    @property
    def task_runs(self) -> Sequence[TaskRunSnapshot]: ...


def restart(
    picture: Picture, plan: Plan, restoring: str, new_id: str = ""
) -> list[ExecutionRestored]:
    """As ``Restart`` does; the task runs that run again start executions of other flows anew."""
    return [*Restart.of(picture, plan, new_id).parts(restoring)]


@dataclass(frozen=True)
class Restart:
    """An execution of which runs again what failed."""

    picture: Picture
    revival: Revival
    head: RestoredHead

    @classmethod
    def of(cls, picture: Picture, plan: Plan, new_id: str = "") -> Restart:
        """plan: of the revision to go on with. new_id: of a new execution, or none. Raises Conflict
        where nothing can run again.
        """
        _require_ended(picture, "restarted")
        if not has_begun(picture):
            raise Conflict(f"execution {picture.execution_id} never began: replay it")
        revival = Revival(plan, _runs(picture, plan))
        revival.restart()
        stopped = picture.snapshot.state in (State.KILLED, State.CANCELLED)
        if not revival.has_failures and not stopped:
            raise Conflict(
                f"nothing of execution {picture.execution_id} failed, so that nothing can run"
                " again: replay it"
            )
        return cls(picture, revival, _head(picture, plan, revival, new_id, {RESTARTED: "true"}))

    @property
    def callers(self) -> list[TaskRun]:
        """The task runs that want what they have started before. None of a new execution: there
        their tasks may call other flows, with other inputs.
        """
        is_new = self.head.execution.id != self.picture.execution_id
        return [] if is_new else self.revival.callers()

    def may_go_on(self, run: TaskRun) -> bool:
        """Whether what a caller has started may have to go on, where that has failed."""
        return self.revival.waits_for_failed(run)

    def parts(
        self, restoring: str, children: Iterable[RestoredChild] = (), *, held: bool = False
    ) -> Iterator[ExecutionRestored]:
        """children: of the callers, taken as the parts are. held: it waits for the word of a
        parent.
        """
        return _parts(self.picture, self.head, self.revival, restoring, children, held)


def has_begun(picture: Picture) -> bool:
    return State.RUNNING in [it.state for it in picture.snapshot.histories]


def next_try_of(picture: Picture) -> str:
    """The id of the execution that took the place of one that is RETRIED."""
    ended = picture.snapshot.histories[-1].at
    return endings.next_try_id(picture.execution_id, ended, next_try(picture))


def replay(
    picture: Picture, plan: Plan, restoring: str, task_run_id: str, new_id: str
) -> list[ExecutionRestored]:
    """A new execution that goes on from this task run; those before it are copied."""
    _require_ended(picture, "replayed from a task run")
    revival = Revival(plan, _runs(picture, plan))
    revival.replay(_ordinal(picture, task_run_id))
    head = _head(picture, plan, revival, new_id, {REPLAY: "true"})
    if plan.flow.revision != picture.flow_revision:
        head = replace(head, content=replace(head.content, variables=""))
    return [*_parts(picture, head, revival, restoring)]


def mark(
    picture: Picture, plan: Plan, restoring: str, task_run_id: str, state: State
) -> list[ExecutionRestored]:
    """Give a task run another state; the execution goes on from there."""
    _require_ended(picture, "changed in its task runs")
    if state not in MARKS:
        names = ", ".join(MARKS)
        raise Conflict(f"a task run of an ended execution can't become {state}: one of {names}")
    revival = Revival(plan, _runs(picture, plan))
    revival.mark(_ordinal(picture, task_run_id), state)
    head = _head(picture, plan, revival)
    if state is State.CANCELLED:
        head = replace(head, ends_as=str(state))
    return [*_parts(picture, head, revival, restoring)]


def change_status(picture: Picture, restoring: str, state: State) -> ExecutionRestored:
    """Give an ended execution another state; nothing of it runs."""
    _require_ended(picture, "changed in its status")
    if state not in STATUSES:
        names = ", ".join(STATUSES)
        raise Conflict(f"an ended execution can't become {state}: one of {names}")
    return _told(picture, restoring, {}, state)


def label(picture: Picture, restoring: str, labels: dict[str, str]) -> ExecutionRestored:
    """Give an ended execution more labels."""
    _require_ended(picture, "labelled so")
    return _told(picture, restoring, labels, None)


def _require_ended(picture: Picture, what: str) -> None:
    state = picture.snapshot.state
    if not state.is_terminal:
        raise Conflict(
            f"execution {picture.execution_id} has not ended, it is {state}: it can't be {what} yet"
        )


def _ordinal(picture: Picture, task_run_id: str) -> int:
    for run in picture.task_runs:
        if run.id == task_run_id:
            return run.ordinal
    raise NotFound(f"execution {picture.execution_id} has no task run {task_run_id}")


# Entities


def _runs(picture: Picture, plan: Plan) -> list[TaskRun]:
    """Raises Conflict where the plan has not their tasks in their places."""
    places = {run.id: run.ordinal for run in picture.task_runs}
    last: dict[str, int] = {}
    found = []
    for snapshot in picture.task_runs:
        parent = places[snapshot.parent_id] if snapshot.parent_id else ROOT
        run = _run(picture.execution_id, snapshot, parent, last.get(snapshot.task_id, -1))
        if run.task_id in plan and plan.kind(run.task_id) in CALLS:
            run = _with_calls(run, snapshot)
        if run.task_id in plan and plan.is_inside(run.task_id):
            run = replace(run, inside=True)
        last[run.task_id] = run.ordinal
        found.append(run)
    by_ordinal = {run.ordinal: run for run in found}
    for run in found:
        around = "" if run.parent == ROOT else by_ordinal[run.parent].task_id
        if run.task_id not in plan or plan.parent_id(run.task_id) != around:
            raise Conflict(
                f"revision {plan.flow.revision} of the flow does not have task `{run.task_id}`"
                " where the execution has it: replay the execution from its beginning"
            )
    return found


def _run(execution_id: str, snapshot: TaskRunSnapshot, parent: int, earlier: int) -> TaskRun:
    attempts = tuple(
        Attempt(it.epoch, it.worker_id, _history(it.histories), it.log_file)
        for it in snapshot.attempts
        if it.epoch
    )
    return TaskRun(
        execution_id,
        snapshot.ordinal,
        snapshot.task_id,
        parent,
        _history(snapshot.histories),
        group=snapshot.worker_group,
        epoch=snapshot.epoch,
        worker_id=snapshot.worker_id,
        failures=sum(1 for it in attempts if it.history.current is State.FAILED),
        attempts=attempts,
        outputs=snapshot.outputs,
        error=snapshot.error,
        value=snapshot.value,
        iteration=snapshot.iteration,
        earlier=earlier,
    )


def _with_calls(run: TaskRun, snapshot: TaskRunSnapshot) -> TaskRun:
    """Attempts without a worker count: by their number, each has children of its own. One that a
    quarantine left as it was ends as its run did.
    """
    attempts = tuple(
        Attempt(it.epoch, "", _history(it.histories), it.log_file) for it in snapshot.attempts
    )
    if attempts and not attempts[-1].history.current.is_terminal:
        *earlier, last = attempts
        history = last.history.enter(run.state, snapshot.histories[-1].at)
        attempts = (*earlier, replace(last, history=history))
    failures = sum(1 for it in attempts if it.history.current is State.FAILED)
    return replace(run, attempts=attempts, failures=failures)


def _history(changes: Iterable[StateChange]) -> StateHistory:
    return StateHistory(tuple(Change(it.state, it.at) for it in changes))


def _head(
    picture: Picture,
    plan: Plan,
    revival: Revival,
    new_id: str = "",
    labels: dict[str, str] | None = None,
) -> RestoredHead:
    execution = replace(
        _execution(picture, new_id),
        revision=plan.flow.revision,
        scope=scope_of(plan, ROOT, revival),
        count=max(picture.count, revival.count),
        outputs="{}",
        error="",
    )
    content = replace(_content(picture, labels or {}), lineage=next_try(picture))
    if content.variables == plan.variables_text:
        content = replace(content, variables="")
    return RestoredHead(execution, content, State.RESTARTED)


def _execution(picture: Picture, new_id: str = "") -> Execution:
    return Execution(
        id=new_id or picture.execution_id,
        namespace=picture.namespace,
        flow_id=picture.flow_id,
        revision=picture.flow_revision,
        history=_history(picture.snapshot.histories),
        count=picture.count,
        error=picture.snapshot.error,
        outputs=picture.snapshot.outputs,
        restarts=0 if new_id else 1 + _restarts(picture),
    )


def _restarts(picture: Picture) -> int:
    return sum(1 for it in picture.snapshot.histories if it.state is State.RESTARTED)


def _content(picture: Picture, labels: dict[str, str]) -> Content:
    """Its trigger was told of its end, and is not told again."""
    snapshot = picture.snapshot
    trigger = None if snapshot.trigger is None else trigger_of(snapshot.trigger)
    return Content(
        inputs=snapshot.inputs,
        labels={**snapshot.labels, **labels},
        trigger=trigger,
        variables=snapshot.variables,
        schedule_date=snapshot.schedule_date or 0,
        lineage=Lineage(snapshot.original_id, snapshot.attempt, snapshot.began)
        if snapshot.original_id
        else None,
    )


def next_try(picture: Picture) -> Lineage:
    """Of a restart, or a replay: Kestra counts both as tries."""
    snapshot = picture.snapshot
    began = snapshot.began or snapshot.histories[0].at
    return Lineage(snapshot.original_id or picture.execution_id, snapshot.attempt + 1, began)


def trigger_of(text: str) -> TriggerFired:
    """Of a snapshot's; who fired it is not told of another end."""
    given = msgspec.json.decode(text)
    variables = msgspec.json.encode(given["variables"]).decode()
    return TriggerFired(given["id"], given["type"], variables=variables)


# Records


def _told(
    picture: Picture, restoring: str, labels: dict[str, str], state: State | None
) -> ExecutionRestored:
    head = RestoredHead(_execution(picture), _content(picture, labels), state)
    own = picture.execution_id
    return ExecutionRestored(own, restoring, 0, True, picture.number, encode(head))


def _parts(
    picture: Picture,
    head: RestoredHead,
    revival: Revival,
    restoring: str,
    children: Iterable[RestoredChild] = (),
    held: bool = False,
) -> Iterator[ExecutionRestored]:
    """head goes with the first task runs; children have parts of their own, after theirs, and are
    taken as these fill.
    """
    execution_id = head.execution.id
    is_new = execution_id != picture.execution_id
    number = -1 if is_new else picture.number
    encoded_head = encode(head)
    runs = [*_chunks(_encoded_runs(execution_id, is_new, revival), len(encoded_head))] or [()]
    of_children = _chunks(map(encode, children))
    before = None
    for part, (some_runs, some) in enumerate(
        chain(((it, ()) for it in runs), (((), it) for it in of_children))
    ):
        if before is not None:
            yield before
        known_head = b"" if part else encoded_head
        before = ExecutionRestored(
            execution_id, restoring, part, False, number, known_head, some_runs, held, some
        )
    if before is not None:
        yield replace(before, last=True)


def _encoded_runs(execution_id: str, is_new: bool, revival: Revival) -> Iterator[bytes]:
    for restored in revival.restored():
        if is_new and restored.removed:
            continue
        run = replace(restored.run, execution_id=execution_id)
        yield encode(replace(restored, run=run, fresh=is_new or restored.fresh))


def _chunks(encoded: Iterable[bytes], size: int = 0) -> Iterator[tuple[bytes, ...]]:
    """size: of what goes with the first one; where nothing else has room beside it, that is
    empty.
    """
    chunk: list[bytes] = []
    is_first = size > 0
    for each in encoded:
        size += len(each)
        is_full = len(chunk) >= PART_RUNS or size > PART_BYTES
        if is_full and (chunk or is_first):
            yield tuple(chunk)
            chunk, size, is_first = [], len(each), False
        chunk.append(each)
    if chunk:
        yield tuple(chunk)
