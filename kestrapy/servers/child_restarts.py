"""The executions that a restarted one had started, and these in turn: who failed is restarted too.

What is written for them waits in their shards for the word of their parents. It has to be in the
log before the last part of their parent, or this one would ask for it too early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from kestrapy.errors import Conflict, UserError
from kestrapy.language.plan import Plan
from kestrapy.machine import calls, pictures
from kestrapy.machine.commands import ExecutionRestored
from kestrapy.machine.entities import TaskRun
from kestrapy.machine.pictures import Restart
from kestrapy.machine.reports import OUTPUTS_LIMIT
from kestrapy.machine.restored import RestoredChild
from kestrapy.model.state import State
from kestrapy.ports.store import StoredExecution

BATCH = 200
"""Executions that storage is asked for at a time."""
FAILED = (State.FAILED, State.KILLED)


class Storage(Protocol):
    """What of ``ports.store.Queries`` is asked."""

    def execution(self, execution_id: str) -> StoredExecution | None: ...
    def heads_of(self, ids: Sequence[str]) -> list[StoredExecution]: ...


@dataclass(frozen=True)
class ChildRestarts:
    """plan, token: as ``Restarts`` has them. shards: how many there are."""

    storage: Storage
    plan: Callable[[str, str, int], Plan]
    token: Callable[[], str]
    shards: int

    def records(
        self, restart: Restart, restoring: str, *, held: bool = False
    ) -> Iterator[ExecutionRestored]:
        """For one, and for all executions below: those come before the last part of their parent.
        Raises StoreUnavailable, and Conflict where storage lags behind.
        """
        below: deque[Iterator[ExecutionRestored]] = deque()
        for part in restart.parts(restoring, self._former(restart, below), held=held):
            while below:
                yield from below.popleft()
            yield part

    def _former(
        self, restart: Restart, below: deque[Iterator[ExecutionRestored]]
    ) -> Iterator[RestoredChild]:
        """below: gets what is to be in the log before the part that such a child is in."""
        for run in restart.callers:
            for iteration, child in self._children(run):
                outputs = _outputs_of(child)
                if outputs is None:
                    continue
                state, token = child.snapshot.state, self.token()
                own, minds = child.execution_id, restart.may_go_on(run)
                if run.state is State.FAILED and minds and _never_ended(child):
                    raise Conflict(
                        f"storage has not yet heard how execution {own} has ended, a subflow of"
                        f" {restart.picture.execution_id}: try again in a moment"
                    )
                if state in FAILED and minds:
                    below.append(self._held(own, token))
                yield RestoredChild(run.ordinal, iteration, own, token, state, outputs)

    def _held(self, execution_id: str, token: str) -> Iterator[ExecutionRestored]:
        """Nothing for one that can't be restarted: its parent is told so, and starts a new one."""
        again = self._again(execution_id)
        if again is not None:
            yield from self.records(again, token, held=True)

    def _again(self, execution_id: str) -> Restart | None:
        found = self.storage.execution(execution_id)
        if found is None:
            return None
        try:
            plan = self.plan(found.namespace, found.flow_id, found.flow_revision)
            return Restart.of(found, plan)
        except UserError:
            return None

    # What a task run has started

    def _children(self, run: TaskRun) -> Iterator[tuple[int, StoredExecution]]:
        """By iteration, without their task runs; of several for an iteration the last one."""
        outputs = msgspec.json.decode(run.outputs, type=dict[str, object])
        if isinstance(only := outputs.get("executionId"), str):
            yield from self._found({only: calls.ALONE})
        size = outputs.get("numberOfBatches")
        for start in range(0, size if isinstance(size, int) else 0, BATCH):
            iterations = range(start, min(start + BATCH, int(str(size))))
            yield from self._of_batches(run, iterations)

    def _of_batches(
        self, run: TaskRun, iterations: Sequence[int]
    ) -> Iterator[tuple[int, StoredExecution]]:
        """Their ids are derived: nothing has to be searched for."""
        left = dict.fromkeys(iterations)
        for number in range(len(run.attempts), 0, -1):
            ids = {calls.id_of(run, number, it, self.shards): it for it in left}
            for iteration, child in self._found(ids):
                del left[iteration]
                yield iteration, child
            if not left:
                return

    def _found(self, ids: dict[str, int]) -> Iterator[tuple[int, StoredExecution]]:
        """Where another one has taken its place, that one."""
        while ids:
            following: dict[str, int] = {}
            for child in self.storage.heads_of(list(ids)):
                if child.snapshot.state is State.RETRIED:
                    following[pictures.next_try_of(child)] = ids[child.execution_id]
                else:
                    yield ids[child.execution_id], child
            ids = following


def _never_ended(child: StoredExecution) -> bool:
    """Which its parent, who has failed with it, knows better; it may have been restarted since."""
    return not any(it.state.is_terminal for it in child.snapshot.histories)


def _outputs_of(child: StoredExecution) -> str | None:
    """What it would report; None where that can't be: it never began, or its outputs are too
    large.
    """
    state, outputs = child.snapshot.state, child.snapshot.outputs
    if state.is_terminal and not pictures.has_begun(child):
        return None
    if not state.is_terminal or not outputs:
        return "{}"
    return outputs if len(outputs.encode()) <= OUTPUTS_LIMIT else None
