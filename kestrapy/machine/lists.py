"""A list of tasks as it stands: an execution's own, or that of a flowable task run.

Its owner is an ordinal: that of a flowable task run, or ROOT for the execution. Its ``Scope``
counts how far it has come, so that what is next costs the same however many children there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from kestrapy.language.plan import LISTENERS, Plan
from kestrapy.machine import evaluations, flowables, timeouts
from kestrapy.machine.entities import Scope, TaskRun
from kestrapy.machine.turn import Turn
from kestrapy.model.flow import Task
from kestrapy.model.registry import Kind
from kestrapy.model.state import State

ROOT = -1
FAN_OUT = 100
"""Task runs that one command starts: a list with more values goes on by a timer, at once."""
MOST_OPEN = 2_000
"""Task runs of a list that are open at a time, where the flow sets no limit."""
AFTER = "afterExecution"
"""The last block of an execution that has its terminal state; listeners come before it."""
HANDLERS = ("errors", "finally", AFTER)
"""Blocks that run in sequence, after all else."""
SIDE_BY_SIDE = (Kind.PARALLEL, Kind.ORDERED, Kind.FOR_EACH, Kind.EACH_PARALLEL)
replace = msgspec.structs.replace


def runs_after(block: str) -> bool:
    """Whether it is a block of an execution that has its terminal state."""
    return block == AFTER or block.startswith(LISTENERS)


class Start(NamedTuple):
    """A task that may start. iteration: of which value, from 0; -1 for none."""

    task: Task
    iteration: int = -1


@dataclass
class TaskList:
    """Look at it, and move it on. plan: of its execution. scope: as it was when the last method
    looked; whoever ends a child moves it too.
    """

    turn: Turn
    execution_id: str
    owner: int
    plan: Plan
    task_id: str
    kind: Kind
    scope: Scope = field(default_factory=Scope)

    @classmethod
    def of(cls, turn: Turn, execution_id: str, owner: int) -> TaskList:
        plan = turn.plan(turn.execution(execution_id))
        task_id = "" if owner == ROOT else turn.run(execution_id, owner).task_id
        kind = plan.kind(task_id) if task_id else Kind.SEQUENTIAL
        return cls(turn, execution_id, owner, plan, task_id, kind).look()

    @property
    def run(self) -> TaskRun:
        """The owner; not of the root."""
        return self.turn.run(self.execution_id, self.owner)

    def look(self) -> TaskList:
        if self.owner == ROOT:
            self.scope = self.turn.execution(self.execution_id).scope
        else:
            self.scope = self.run.scope or Scope()
        return self

    def keep(self, scope: Scope) -> None:
        self.scope = scope
        if self.owner == ROOT:
            execution = self.turn.execution(self.execution_id)
            self.turn.put_execution(replace(execution, scope=scope))
        else:
            self.turn.put_run(replace(self.run, scope=scope))

    # What is next

    def next(self) -> Start | None:
        """What may start now. Enters the next block when one is over."""
        if self.is_asking:
            return None
        self.look()
        while not self.scope.open and self._is_over():
            if self._goes_round():
                if evaluations.is_needed_again(self.turn, self.run):
                    self.turn.put_run(replace(self.run, asks=evaluations.REPEAT))
                    return None
                flowables.repeat(self.turn, self.run)
                self.look()
                continue
            following = self._following()
            if following is None:
                return None
            scope = replace(self.scope, block=following, cursor=0, block_failed=False, lanes=())
            self.keep(replace(scope, overdue=False))
        return self._next_in_block()

    def take(self, start: Start) -> None:
        """Its task starts."""
        scope = self.scope
        if scope.lanes:
            scope = replace(scope, lanes=scope.lanes[1:])
        elif self._is_ordered:
            scope = replace(scope, begun=(*scope.begun, start.task.id))
        else:
            scope = replace(scope, cursor=scope.cursor + 1)
        self.keep(replace(scope, open=scope.open + 1))

    def let_go(self, run: TaskRun, state: State) -> None:
        """A child has ended in this state. The owner's follows from its tasks alone: what handles
        errors or cleans up does not change it (Kestra's ``Execution.guessFinalState``).
        """
        counts = self._is_main
        scope, has_gone_well = self.scope, state not in (State.FAILED, State.KILLED)
        if has_gone_well and self._is_ordered:
            scope = replace(scope, done=(*scope.done, run.task_id))
        if self.kind is Kind.FOR_ITEMS and self._is_main:
            scope = replace(scope, done=(*scope.done, str(run.ordinal)))
        if self._has_lanes and run.iteration >= 0:
            place = self.plan.place(run.task_id) + 1
            if not has_gone_well:
                scope = replace(scope, lanes=())
            elif not scope.block_failed and place < len(self._tasks):
                scope = replace(scope, lanes=(*scope.lanes, (run.iteration, place)))
        self.keep(
            replace(
                scope,
                open=scope.open - 1,
                failed=scope.failed or (counts and state is State.FAILED),
                block_failed=scope.block_failed or not has_gone_well,
                warned=scope.warned or (counts and state is State.WARNING),
                killed=scope.killed or (counts and state is State.KILLED and not scope.overdue),
            )
        )

    def end(self) -> State | None:
        """In which state its owner ends; None while something is open or still to start."""
        execution, scope = self.turn.execution(self.execution_id), self.look().scope
        if scope.open or self.is_asking or self._waits_to_retry:
            return None
        if self.is_stopped:
            over = execution.history.current.is_terminal  # nothing walks over what runs after it
            if self.owner != ROOT and self.run.state is State.PAUSED and not over:
                return None  # it began in this very step; the kill that follows ends it
            return self._stopped_as(State(execution.ends_as or State.KILLED))
        if not self._is_over() or self._goes_round() or self._following() is not None:
            return None
        if scope.killed:
            return State.KILLED
        if scope.failed:
            return State.WARNING if self.kind is Kind.ALLOW_FAILURE else State.FAILED
        return State.WARNING if scope.warned else State.SUCCESS

    def _stopped_as(self, state: State) -> State:
        """RETRIED are executions; of their task runs, those that have failed did."""
        if state is not State.RETRIED or self.owner == ROOT:
            return state
        return State.FAILED if self.scope.failed else State.KILLED

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of it may start any more: it is being killed, if its end does not come
        first.
        """
        if self.turn.execution(self.execution_id).killing:
            return True
        timed = self.owner != ROOT and self.plan.planned(self.task_id).timed
        return timed and timeouts.is_cut_off(self.turn, self.run)

    @property
    def is_asking(self) -> bool:
        """Whether a worker has to say how it goes on."""
        return self.owner != ROOT and bool(self.run.asks)

    @property
    def _waits_to_retry(self) -> bool:
        """A run with children of its own, which it starts anew then."""
        return self.owner != ROOT and self.run.state is State.RETRYING

    @property
    def _is_main(self) -> bool:
        return not (self.scope.block in HANDLERS or self._runs_after)

    @property
    def _runs_after(self) -> bool:
        """Its tasks run one after the other, whatever these end in."""
        return self.owner == ROOT and runs_after(self.scope.block)

    @property
    def _is_ordered(self) -> bool:
        return self.kind is Kind.ORDERED and self._is_main

    @property
    def _has_lanes(self) -> bool:
        """Whether iterations run side by side, each in sequence."""
        if self.kind is not Kind.FOR_EACH or not self._is_main:
            return False
        return self.plan.task(self.task_id).concurrent != 1

    @property
    def _is_side_by_side(self) -> bool:
        if not self._is_main or self.kind not in SIDE_BY_SIDE:
            return False
        return self.kind is not Kind.FOR_EACH or self._has_lanes

    @property
    def _tasks(self) -> tuple[Task, ...]:
        return self.plan.tasks(self.task_id, self.scope.block)

    @property
    def _size(self) -> int:
        """How far the cursor goes."""
        if self.kind is Kind.BATCHES:
            return self.scope.size
        tasks = len(self._tasks)
        if not (self.kind.has_values and self._is_main):
            return tasks
        return self.scope.size if self._has_lanes and tasks else tasks * self.scope.size

    @property
    def _limit(self) -> int:
        """How many may be open. What handles errors, or cleans up, runs in sequence."""
        if not self._is_side_by_side:
            return 1
        return self.plan.task(self.task_id).concurrent or MOST_OPEN

    def _has_failed(self) -> bool:
        """After a failure nothing more begins, nor once its time is over. What handles errors or
        cleans up goes on to its end, and so do the first tasks of a list that starts them all at
        once.
        """
        at_once = self._is_side_by_side and not self.plan.task(self.task_id).concurrent
        failed = self.scope.block_failed and self._is_main and not at_once
        return self.scope.overdue or failed

    def _is_over(self) -> bool:
        scope = self.scope
        if scope.waits and self._is_main:
            return False
        if self._has_failed():
            return True
        if self._is_ordered:
            return self._next_in_order() is None
        return scope.cursor >= self._size and not scope.lanes

    def _goes_round(self) -> bool:
        is_loop = self.kind is Kind.LOOP_UNTIL and self._is_main
        return is_loop and bool(self.scope.rounds) and not self.scope.failed

    def _following(self) -> str | None:
        scope = self.scope
        if scope.block == "onPause" and not scope.failed:
            return "tasks"
        if self._is_main and scope.failed and self.plan.tasks(self.task_id, "errors"):
            return "errors"
        is_last = scope.block == "finally" or self._runs_after
        if not is_last and self.plan.tasks(self.task_id, "finally"):
            return "finally"
        return None

    def _next_in_block(self) -> Start | None:
        scope = self.scope
        waits = scope.waits and scope.block != "onPause"
        if waits or scope.open >= self._limit or self._has_failed():
            return None
        if self._is_ordered:
            return self._next_in_order()
        if not scope.lanes and scope.cursor >= self._size:
            return None
        if self.kind.has_values and self._is_main:
            return self._next_of_values()
        return Start(self._tasks[scope.cursor])

    def _next_in_order(self) -> Start | None:
        scope, task = self.scope, self.plan.task(self.task_id)
        waiting = [it for it in self._tasks if it.id not in scope.begun]
        for each in waiting:
            needed = task.depends_on.get(each.id, ())
            if needed and scope.block_failed:
                continue
            if all(it in scope.done for it in needed):
                return Start(each)
        return None

    def _next_of_values(self) -> Start | None:
        scope, tasks = self.scope, self._tasks
        if self.turn.started >= FAN_OUT:
            self.turn.put_run(replace(self.run, due=self.run.due or self.turn.at + 1))
            return None
        if scope.lanes:
            iteration, place = scope.lanes[0]
            return Start(tasks[place], iteration)
        if self._has_lanes:
            return Start(tasks[0], scope.cursor)
        iteration, place = divmod(scope.cursor, len(tasks))
        return Start(tasks[place], iteration)
