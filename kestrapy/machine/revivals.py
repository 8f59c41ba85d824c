"""Which task runs of an ended execution run again, stay, or go; and how far each list has come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from kestrapy.errors import Conflict
from kestrapy.language.plan import Plan
from kestrapy.machine.entities import Scope, TaskRun
from kestrapy.machine.lists import HANDLERS, ROOT, runs_after
from kestrapy.machine.restored import RestoredRun
from kestrapy.model.registry import CALLS, Kind
from kestrapy.model.state import State, begin

RETRY_FAILED = "RETRY_FAILED"
"""The ``restartBehavior`` by which the executions that failed go on, instead of new ones."""
FAILED = (State.FAILED, State.KILLED, State.CANCELLED)
replace = msgspec.structs.replace


@dataclass
class Revival:
    """Decisions, by ordinal. runs: all, in order. entering: the states that some enter. removed:
    those that go.
    """

    plan: Plan
    runs: Sequence[TaskRun]
    entering: dict[int, State] = field(default_factory=dict)
    removed: dict[int, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_ordinal = {run.ordinal: run for run in self.runs}
        self._children: dict[int, list[TaskRun]] = {}
        for run in self.runs:
            self._children.setdefault(run.parent, []).append(run)
        for run in self.runs:
            if self._handles(run):
                self.removed[run.ordinal] = None

    # What is wanted

    def restart(self) -> None:
        """What failed runs again, and the lists around it go on."""
        for run in self.runs:
            stopped = run.state in FAILED or not run.state.is_terminal
            if not stopped or run.ordinal in self.removed:
                continue
            if self.plan.is_inside(run.task_id):
                pass  # its directory runs again as a whole
            elif not self._has_list(run) or not self._goes_on(run):
                self._begin_anew(run)
            else:
                self.entering[run.ordinal] = State.RUNNING
            self._reopen(run)
        for ordinal in self.removed:  # a list whose errors or finally failed goes on to them
            run = self._by_ordinal[ordinal]
            if run.state in FAILED and run.parent not in self.removed:
                self._reopen(run)
        for children in self._children.values():
            self._keep_order(children)

    def replay(self, ordinal: int) -> None:
        """This one runs again; what came after it, in its list and those around it, goes."""
        run = self._chosen(ordinal)
        if self.plan.is_inside(run.task_id):
            run = self._by_ordinal[run.parent]
        self._begin_anew(run)
        self._reopen(run)
        while True:
            for sibling in self._children[run.parent]:
                if sibling.ordinal != run.ordinal and self._follows(sibling, run):
                    self._remove(sibling)
            if run.parent == ROOT:
                return
            run = self._by_ordinal[run.parent]

    def mark(self, ordinal: int, state: State) -> None:
        """This one has another state, and the lists around it go on."""
        run = self._chosen(ordinal)
        if self.plan.is_inside(run.task_id):
            raise Conflict(
                f"task run {run.id} was a part of its WorkingDirectory's: mark that one,"
                f" {self._by_ordinal[run.parent].id}"
            )
        self.entering[ordinal] = state
        self._reopen(run)

    def _chosen(self, ordinal: int) -> TaskRun:
        run = self._by_ordinal[ordinal]
        if ordinal in self.removed:
            raise Conflict(
                f"task run {run.id} belongs to what handles errors or follows an end: choose one of"
                " the execution's own tasks"
            )
        return run

    def _handles(self, run: TaskRun) -> bool:
        """Whether it is of a block that runs anew at each end, or within one that is."""
        block = self.plan.block(run.task_id)
        return block in HANDLERS or runs_after(block) or run.parent in self.removed

    def _has_list(self, run: TaskRun) -> bool:
        return self.plan.kind(run.task_id).has_children and not self._is_directory(run)

    def _is_directory(self, run: TaskRun) -> bool:
        return self.plan.kind(run.task_id) is Kind.WORKING_DIRECTORY

    def _goes_on(self, run: TaskRun) -> bool:
        """Whether a flowable task run goes on where it stopped: it failed by its children, and has
        some.
        """
        children, planned = self.kept(run.ordinal), self.plan.planned(run.task_id)
        kind = self.plan.kind(run.task_id)
        if run.error or not children or (kind.has_values and planned.asks_properties):
            return False  # a worker tells such values, all of them anew
        is_pause = kind is Kind.PAUSE
        return not is_pause or any(self.plan.block(it.task_id) == "tasks" for it in children)

    def _begin_anew(self, run: TaskRun) -> None:
        self.entering[run.ordinal] = State.RESTARTED
        for child in self._children.get(run.ordinal, ()):
            self._remove(child)

    def _remove(self, run: TaskRun) -> None:
        self.removed[run.ordinal] = None
        self.entering.pop(run.ordinal, None)
        for child in self._children.get(run.ordinal, ()):
            self._remove(child)

    def _keep_order(self, siblings: Sequence[TaskRun]) -> None:
        """Where one that runs again comes after another, in their list, it has to wait for it: what
        comes after the first one goes, and begins in its turn. So it is once a task run was marked
        as failed.
        """
        owner = self._task_of(siblings[0].parent)
        kind = self._kind_of(siblings[0].parent)
        if kind in (Kind.PARALLEL, Kind.EACH_PARALLEL):
            return
        side_by_side = has_lanes(self.plan, owner, kind)
        first: dict[int, list[TaskRun]] = {}
        for run in [it for it in siblings if it.ordinal in self.entering]:
            others = first.setdefault(run.iteration if side_by_side else 0, [])
            before = next((it for it in others if self._follows(run, it)), None)
            if before is None:
                others.append(run)
                continue
            for sibling in [it for it in siblings if self._follows(it, before)]:
                self._remove(sibling)

    def _kind_of(self, owner: int) -> Kind:
        task_id = self._task_of(owner)
        return self.plan.kind(task_id) if task_id else Kind.SEQUENTIAL

    def _reopen(self, run: TaskRun) -> None:
        """The lists around a task run go on. A directory has none while its tasks run."""
        while run.parent != ROOT:
            run = self._by_ordinal[run.parent]
            if not self._is_directory(run):
                self.entering.setdefault(run.ordinal, State.RUNNING)
            elif run.ordinal not in self.entering:
                self._begin_anew(run)

    def _follows(self, run: TaskRun, chosen: TaskRun) -> bool:
        """Whether a task run comes after its sibling, by their list."""
        owner, kind = self._task_of(chosen.parent), self._kind_of(chosen.parent)
        later = run.ordinal > chosen.ordinal
        if kind is Kind.ORDERED:
            return chosen.task_id in self._needed(owner, run.task_id)
        if has_lanes(self.plan, owner, kind):
            return later and run.iteration == chosen.iteration
        return later and kind not in (Kind.PARALLEL, Kind.EACH_PARALLEL)

    def _needed(self, owner: str, task_id: str) -> dict[str, None]:
        """All that a task of a Dag depends on, through others too."""
        depends_on = self.plan.task(owner).depends_on
        found: dict[str, None] = {}
        waiting = list(depends_on.get(task_id, ()))
        while waiting:
            needed = waiting.pop()
            if needed not in found:
                found[needed] = None
                waiting += depends_on.get(needed, ())
        return found

    def _task_of(self, ordinal: int) -> str:
        return "" if ordinal == ROOT else self._by_ordinal[ordinal].task_id

    # What it comes to

    def callers(self) -> list[TaskRun]:
        """Task runs that want the executions that they had started: those that run again, unless
        their task says that these are to be new ones; and of a ForEachItem that goes on to its
        merge, the run whose batches put out what is to be merged.
        """
        return [run for run in self.runs if self._calls_again(run) or self._is_merged(run)]

    def waits_for_failed(self, run: TaskRun) -> bool:
        """Whether a caller minds how its executions end; where an expression says so, it may."""
        given = self.plan.task(run.task_id).properties
        minds = given.get("wait") is not False and given.get("transmitFailed") is not False
        return minds and self._calls_again(run)

    def _calls_again(self, run: TaskRun) -> bool:
        if self.plan.kind(run.task_id) not in CALLS:
            return False
        behavior = self.plan.task(run.task_id).properties.get("restartBehavior", RETRY_FAILED)
        return self.entering.get(run.ordinal) is State.RESTARTED and behavior == RETRY_FAILED

    def _is_merged(self, run: TaskRun) -> bool:
        if self.plan.kind(run.task_id) is not Kind.BATCHES or run.ordinal in self.removed:
            return False
        return _has_gone_well(self.state(run)) and run.parent in self.entering

    @property
    def has_failures(self) -> bool:
        """Whether something failed that runs again, or was in a block that runs anew."""
        handlers = [self._by_ordinal[it] for it in self.removed]
        return bool(self.entering) or any(it.state in FAILED for it in handlers)

    def kept(self, owner: int) -> list[TaskRun]:
        """The children that stay."""
        return [it for it in self._children.get(owner, ()) if it.ordinal not in self.removed]

    def state(self, run: TaskRun) -> State:
        """In which it will be."""
        return self.entering.get(run.ordinal, run.state)

    def task_of(self, owner: int) -> str:
        """The task that a list is of; empty for the execution's own."""
        return self._task_of(owner)

    def restored(self) -> Iterator[RestoredRun]:
        """Every task run, with what becomes of it."""
        for run in self.runs:
            enters = self.entering.get(run.ordinal)
            if run.ordinal in self.removed:
                if not self._comes_with_directory(run):
                    yield RestoredRun(run, removed=True)
            elif self._has_list(run) and enters is not State.RESTARTED:
                scope = scope_of(self.plan, run.ordinal, self)
                yield RestoredRun(replace(run, scope=scope), enters)
            else:
                yield RestoredRun(run, enters)
            if self._is_directory(run) and enters is State.RESTARTED:
                yield from self._inside(run)

    def _comes_with_directory(self, run: TaskRun) -> bool:
        again = self.entering.get(run.parent) is State.RESTARTED
        return again and self._is_directory(self._by_ordinal[run.parent])

    def _inside(self, run: TaskRun) -> Iterator[RestoredRun]:
        """A directory that runs again has a run for each of its tasks; readers hear of them once
        they begin, and no more of those that were.
        """
        for child in self._children.get(run.ordinal, ()):
            yield RestoredRun(child, removed=True)
        for place, task in enumerate(self.plan.tasks(run.task_id, "tasks")):
            history = begin(State.CREATED, run.history.start)
            ordinal = run.ordinal + 1 + place
            fresh = TaskRun(run.execution_id, ordinal, task.id, run.ordinal, history, inside=True)
            yield RestoredRun(fresh, fresh=True)

    @property
    def count(self) -> int:
        """One more than the highest ordinal, of tasks of directories that never began as well."""
        found = 0
        for run in self.runs:
            inside = len(self.plan.tasks(run.task_id, "tasks")) if self._is_directory(run) else 0
            found = max(found, run.ordinal + inside + 1)
        return found


def has_lanes(plan: Plan, task_id: str, kind: Kind) -> bool:
    return kind is Kind.FOR_EACH and plan.task(task_id).concurrent != 1


def scope_of(plan: Plan, owner: int, revival: Revival) -> Scope:
    """How far a list has come, from the children that stay. Values and their number are not known
    from them: the fold tells them anew.
    """
    task_id = revival.task_of(owner)
    kind = plan.kind(task_id) if task_id else Kind.SEQUENTIAL
    children = revival.kept(owner)
    if not children:
        return Scope()
    block, last = plan.block(children[-1].task_id), children[-1].iteration
    own = [it for it in children if plan.block(it.task_id) == block]
    if kind is Kind.LOOP_UNTIL:  # what counts is the last round
        own = [it for it in own if it.iteration == last]
    states = [revival.state(it) for it in children]
    open_ = sum(1 for it in states if not it.is_terminal)
    well = [it for it in own if _has_gone_well(revival.state(it))]
    stopped = [it for it in own if revival.state(it) in (State.FAILED, State.KILLED)]
    ordered = kind is Kind.ORDERED
    return Scope(
        block=block,
        cursor=0 if ordered else _cursor(plan, task_id, kind, block, own),
        open=open_,
        failed=State.FAILED in states,
        warned=State.WARNING in states,
        killed=State.KILLED in states,
        block_failed=bool(stopped),
        lanes=_lanes(plan, task_id, block, own, revival) if has_lanes(plan, task_id, kind) else (),
        begun=tuple(it.task_id for it in own) if ordered else (),
        done=_done(kind, well),
        rounds=last + 1 if kind is Kind.LOOP_UNTIL else 0,
    )


def _done(kind: Kind, well: Sequence[TaskRun]) -> tuple[str, ...]:
    if kind is Kind.FOR_ITEMS:
        return tuple(str(it.ordinal) for it in well)
    return tuple(it.task_id for it in well) if kind is Kind.ORDERED else ()


def _has_gone_well(state: State) -> bool:
    return state.is_terminal and state not in (State.FAILED, State.KILLED)


def _cursor(plan: Plan, task_id: str, kind: Kind, block: str, own: Sequence[TaskRun]) -> int:
    if has_lanes(plan, task_id, kind):
        return max(it.iteration for it in own) + 1
    places = [plan.place(it.task_id) for it in own]
    if not kind.has_values:
        return max(places) + 1
    tasks = len(plan.tasks(task_id, block))
    return max(it.iteration * tasks + at for it, at in zip(own, places, strict=True)) + 1


def _lanes(
    plan: Plan, task_id: str, block: str, own: Sequence[TaskRun], revival: Revival
) -> tuple[tuple[int, int], ...]:
    """Iterations whose last task has ended well and was not the last of all."""
    last = {it.iteration: it for it in own}
    tasks = len(plan.tasks(task_id, block))
    found = []
    for iteration, run in last.items():
        place = plan.place(run.task_id) + 1
        if place < tasks and _has_gone_well(revival.state(run)):
            found.append((iteration, place))
    return tuple(found)
