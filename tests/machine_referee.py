"""What must hold after each command, whatever was said: of the state, and of what went out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kestrapy.language.plan import Plan
from kestrapy.machine.entities import (
    Execution,
    Group,
    Halt,
    Holder,
    Ignored,
    Line,
    Place,
    Scope,
    Sweep,
    TaskRun,
    execution_key,
    group_key,
    halt_key,
    place_key,
    run_key,
)
from kestrapy.machine.groups import window
from kestrapy.machine.lists import HANDLERS, runs_after
from kestrapy.machine.outputs import (
    ExecutionEvent,
    ExecutionSnapshot,
    Granted,
    Job,
    Output,
    TaskRunSnapshot,
)
from kestrapy.machine.sweeps import FORGET
from kestrapy.machine.task_runs import HELD_STATES
from kestrapy.machine.timeouts import Timeout
from kestrapy.model.registry import CALLS, Kind
from kestrapy.model.state import State
from tests.machine_driver import Driver

FAILING = (Kind.PAUSE, Kind.LOOP_UNTIL, Kind.WORKING_DIRECTORY)
"""These fail by themselves too."""


class Referee:
    """Called with the driver after each command. Raises AssertionError."""

    def __init__(self) -> None:
        self._read = 0
        self._number = -1
        self._owners: dict[tuple[str, int], str] = {}
        self._accepted: dict[tuple[str, int], State] = {}
        self._ended: dict[str, State] = {}
        self._killed: set[str] = set()
        self._after: set[str] = set()
        self._inside: set[str] = set()
        self._epochs: dict[str, int] = {}
        self._copies: set[str] = set()
        self._restarts: dict[str, int] = {}

    def __call__(self, driver: Driver) -> None:
        for output in driver.outputs[self._read :]:
            self._output(driver, output)
        self._read = len(driver.outputs)
        for execution in _of(driver, Execution):
            self._lists(driver, execution)
        for run in _of(driver, TaskRun):
            if not run.is_told:  # of a directory that runs again: it has that one's epoch
                continue
            assert self._epochs.get(run.id, 0) <= run.epoch, f"the epoch of {run.id} went back"
            self._epochs[run.id] = run.epoch
        self._holders(driver)
        self._groups(driver)
        self._leftovers(driver)

    # What goes out

    def _output(self, driver: Driver, output: Output) -> None:
        if isinstance(output, Granted):
            key = (output.task_run_id, output.epoch)
            assert self._owners.setdefault(key, output.worker_id) == output.worker_id, (
                f"{key} was granted to two"
            )
            self._wanted(driver, output.task_run_id.rpartition("-")[0], output)
        elif isinstance(output, Job):
            self._wanted(driver, output.execution_id, output)
        elif isinstance(output, ExecutionEvent):
            assert output.number > self._number, "events are numbered in order"
            self._number = output.number
            if output.execution is not None:
                self._execution_told(output.execution_id, output.execution)
            if output.task_run is not None:
                self._run_told(driver, output.task_run)

    def _wanted(self, driver: Driver, execution_id: str, output: Output) -> None:
        gone = execution_id in self._killed or execution_id in self._ended
        if isinstance(output, Job):
            plan = driver.rules.flow(output.namespace, output.flow_id, output.flow_revision)
            if _is_after(plan, output.task_id):
                self._after.add(output.task_run_id)
        after = isinstance(output, Job | Granted) and output.task_run_id in self._after
        if isinstance(output, Job | Granted):
            run = driver.state.get(run_key(output.task_run_id))
            while isinstance(run, TaskRun) and run.parent >= 0:
                run = driver.state[run_key(f"{run.execution_id}-{run.parent}")]
                assert isinstance(run, TaskRun)
                overdue = run.scope is not None and run.scope.overdue
                assert not overdue, f"{run.id} is overdue, and {output} came of it"
        assert not gone or after, f"after the kill or the end: {output}"

    def _execution_told(self, execution_id: str, told: ExecutionSnapshot) -> None:
        restarts = sum(1 for it in told.histories if it.state is State.RESTARTED)
        if restarts > self._restarts.get(execution_id, 0):
            self._restarts[execution_id] = restarts
            self._restarted(execution_id)
            if told.original_id:
                self._copies.add(execution_id)
        *before, last = told.histories
        if before and before[-1].state.is_terminal and last.state.is_terminal:
            self._ended.pop(execution_id)  # its status was changed
        ended = self._ended.get(execution_id, told.state)
        assert ended is told.state, f"{execution_id} ended {ended}, and then {told.state}"
        _times_rise(told.histories)
        if told.state is State.KILLING:
            self._killed.add(execution_id)
        if told.state.is_terminal:
            self._ended[execution_id] = told.state

    def _restarted(self, execution_id: str) -> None:
        """What was ended may go on."""
        self._killed.discard(execution_id)
        self._ended.pop(execution_id, None)
        prefix = f"{execution_id}-"
        self._ended = {it: how for it, how in self._ended.items() if not it.startswith(prefix)}
        self._accepted = {
            it: how for it, how in self._accepted.items() if not it[0].startswith(prefix)
        }

    def _run_told(self, driver: Driver, told: TaskRunSnapshot) -> None:
        run = driver.state.get(run_key(told.id))
        if (isinstance(run, TaskRun) and run.inside) or told.id in self._inside:
            return self._told_inside(told)
        assert told.id not in self._ended, f"{told.id} ended, and then {told.state}"
        _times_rise(told.histories)
        if told.state.is_terminal:
            self._ended[told.id] = told.state
        epochs = [it.epoch for it in told.attempts]
        assert epochs == sorted(set(epochs)), f"attempts of {told.id}: {epochs}"
        for attempt in told.attempts:
            if not attempt.worker_id:
                continue  # no worker had to do with it
            key, state = (told.id, attempt.epoch), attempt.histories[-1].state
            if told.id.rpartition("-")[0] in self._copies:
                self._owners.setdefault(key, attempt.worker_id)
            assert self._owners[key] == attempt.worker_id, f"{key} belongs to another"
            if state.is_terminal:
                assert self._accepted.setdefault(key, state) is state, f"{key} ended twice"
            else:
                assert key not in self._accepted, f"{key} goes on after its end"

    def _told_inside(self, told: TaskRunSnapshot) -> None:
        """It ends anew with each epoch of its WorkingDirectory, in which it may have attempts."""
        self._inside.add(told.id)
        _times_rise(told.histories)
        key = (told.id, told.epoch)
        if told.state.is_terminal:
            assert self._accepted.setdefault(key, told.state) is told.state, f"{key} ended twice"
        elif told.state is State.SUBMITTED:  # with its directory: the next epoch, or a kill
            self._accepted.pop(key, None)
        else:
            assert key not in self._accepted, f"{key} goes on after its end"
        epochs = [it.epoch for it in told.attempts]
        assert epochs == sorted(epochs), f"attempts of {told.id}: {epochs}"
        for attempt in told.attempts:
            assert self._owners[told.parent_id, attempt.epoch] == attempt.worker_id
        assert sum(not it.histories[-1].state.is_terminal for it in told.attempts) <= 1

    # What is kept

    def _lists(self, driver: Driver, execution: Execution) -> None:
        if execution.history.current not in (State.RUNNING, State.PAUSED, State.KILLING):
            return
        plan = driver.rules.flow(execution.namespace, execution.flow_id, execution.revision)
        runs = [it for it in _of(driver, TaskRun) if it.execution_id == execution.id]
        restarted = any(it.state is State.RESTARTED for it in execution.history.histories)
        assert len(runs) == execution.count or (restarted and len(runs) < execution.count)
        halt = driver.state.get(halt_key(execution.id))
        stands_still = halt is not None or bool(_of(driver, Ignored))
        unsettled = restarted or execution.killing or stands_still
        self._list(
            execution.scope,
            plan,
            "",
            [it for it in runs if it.parent == -1],
            1,
            unsettled=unsettled,
        )
        paused = sum(1 for it in runs if it.state is State.PAUSED)
        paused += isinstance(halt, Halt) and halt.asked
        state = execution.history.current
        assert state is State.KILLING or execution.paused == paused, f"{paused} are paused"
        assert state is not State.RUNNING or not paused, "it runs, and is paused"
        for run in runs:
            if not run.history.current.is_terminal:
                kind = plan.kind(run.task_id)
                is_job = kind is Kind.RUNNABLE
                asks = run.asks or kind is Kind.WORKING_DIRECTORY
                assert asks or (run.scope is None) == is_job
            if run.scope is not None and plan.kind(run.task_id) in CALLS:
                open_now = [it for it in driver.state if it.startswith(f"s:{run.id}:")]
                assert run.scope.open == len(open_now), f"{run.scope.open} are open of {open_now}"
                assert not (run.state.is_terminal and (run.scope.open or run.due))
            elif run.scope is not None:
                children = [it for it in runs if it.parent == run.ordinal and it.is_told]
                limit = _limit(plan, run, run.scope, restarted)
                self._list(
                    run.scope,
                    plan,
                    run.task_id,
                    children,
                    limit,
                    unsettled=unsettled,
                    overdue=run.error.startswith("Timeout"),
                )
                assert not (run.state.is_terminal and run.scope.open), "an end over open children"
                assert not (run.state.is_terminal and run.due), "a timer after the end"

    def _list(
        self,
        scope: Scope,
        plan: Plan,
        task_id: str,
        runs: list[TaskRun],
        limit: float,
        *,
        unsettled: bool,
        overdue: bool = False,
    ) -> None:
        alive = [it for it in runs if not it.state.is_terminal]
        assert scope.open == len(alive), f"{scope.open} are open of {alive}"
        assert scope.open <= limit, f"{scope.open} at once, {limit} may be"
        left = scope.lanes != () and not scope.killed and limit and not unsettled
        assert not left, "an iteration is left behind"
        counted = [it for it in runs if plan.block(it.task_id) not in HANDLERS]
        failed = any(it.state is State.FAILED for it in counted)
        kind = plan.kind(task_id) if task_id else Kind.SEQUENTIAL
        if kind in FAILING or overdue:
            assert scope.failed >= failed
        else:
            assert scope.failed == failed
        started = Counter((it.task_id, it.iteration) for it in runs)
        assert all(count == 1 for count in started.values()), f"a task began twice: {started}"
        known = [it.task for it in plan if it.parent_id == task_id and not it.task.disabled]
        assert {name for name, _ in started} <= {it.id for it in known}
        for run in runs:
            valued = kind.has_values and plan.block(run.task_id) == "tasks"
            assert (run.value is not None) == valued, f"{run.task_id} has the value {run.value}"

    def _holders(self, driver: Driver) -> None:
        held: dict[str, list[str]] = {}
        for run in _of(driver, TaskRun):
            if run.scope is None and not run.inside and run.state in HELD_STATES:
                held.setdefault(run.worker_id, []).append(run.id)
        for key, holder in driver.state.items():
            if isinstance(holder, Holder):
                owned = held.pop(key.removeprefix("w:"), [])
                assert sorted(holder.held) == sorted(owned), f"{key} holds {holder.held}"
                assert not (holder.dead and owned), f"{key} is dead and holds {owned}"
        assert not held, f"nobody watches who holds {held}"

    def _groups(self, driver: Driver) -> None:
        """What groups count is what there is; and nothing waits where there is room."""
        runs = [it for it in _of(driver, TaskRun) if it.is_waiting]
        keys = {it.group for it in runs} | {it.settings.key for it in _of(driver, Group)}
        for key in keys:
            group = driver.state.get(group_key(key))
            assert isinstance(group, Group), f"{key} is not known, and jobs wait for it"
            mine = [it for it in runs if it.group == key]
            assert group.waiting == sum(1 for it in mine if it.place)
            assert group.published == sum(1 for it in mine if not it.place)
            room = window(group, driver.rules.shards) - group.published
            assert not group.waiting or room <= 0, f"{group.waiting} wait beside {room} places"
        assert len(_of(driver, Place)) == sum(1 for it in runs if it.place)
        assert sum(it.count for it in _of(driver, Line)) == len(_of(driver, Place))
        for run in runs:
            if run.place:
                namespace = driver.state[execution_key(run.execution_id)].namespace  # type: ignore[attr-defined]
                place = driver.state[place_key(run.group, run.lane, namespace, run.place)]
                assert place == Place(run.id)

    def _leftovers(self, driver: Driver) -> None:
        live = {it.id for it in _of(driver, Execution)}
        live |= {it.execution_id for it in _of(driver, Sweep) if it.kind == FORGET}
        for key, entity in driver.state.items():
            if key[0] in "actisoy":
                assert key[2:].partition("-")[0] in live, f"{key} of no live execution"
            if key[0] in "lvhb":
                assert key[2:].partition(":")[0] in live, f"{key} of no live execution"
            if isinstance(entity, Timeout):
                run = driver.state[run_key(entity.task_run_id)]
                assert isinstance(run, TaskRun) and not run.state.is_terminal, f"{key} is late"
            assert not isinstance(entity, Sweep) or key[2:] in live, f"{key} walks over nothing"


def _is_after(plan: Plan, task_id: str) -> bool:
    """Whether the task runs after its execution has ended."""
    while parent_id := plan.parent_id(task_id):
        task_id = parent_id
    return runs_after(plan.block(task_id))


def _limit(plan: Plan, run: TaskRun, scope: Scope, restarted: bool) -> float:
    """How many children may be open at once. All that failed side by side is restarted at once."""
    kind, task = plan.kind(run.task_id), plan.task(run.task_id)
    parallel = kind in (Kind.PARALLEL, Kind.ORDERED, Kind.FOR_EACH, Kind.EACH_PARALLEL)
    if not parallel or scope.block in ("errors", "finally"):
        return 1
    return float("inf") if restarted else task.concurrent or float("inf")


def _of(driver: Driver, kind: type[Any]) -> list[Any]:
    return [it for it in driver.state.values() if isinstance(it, kind)]


def _times_rise(changes: list[Any]) -> None:
    times = [it.at for it in changes]
    assert times == sorted(times), f"time went back: {changes}"
