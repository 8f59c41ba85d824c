"""What is written into the log to restart, replay or change an execution that storage has.

Whoever reads storage, the webserver or a test of a flow, sends these records in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from kestrapy.errors import Conflict
from kestrapy.language.plan import Plan
from kestrapy.machine import pictures
from kestrapy.machine.commands import Command, ExecutionSubmitted, TaskRunMarked, TriggerFired
from kestrapy.machine.flowables import RESUMED
from kestrapy.model.flow import Flow
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.registry import Registry
from kestrapy.model.state import State
from kestrapy.ports.clock import Clock, Entropy
from kestrapy.ports.store import StoredExecution
from kestrapy.servers.child_restarts import ChildRestarts, Storage

Inputs = Callable[[Flow, str], Mapping[str, Any]]
"""Of a flow, for the execution of this id: what it is given, checked, secrets sealed."""


class Revived(NamedTuple):
    """records: to be sent in their order, by ``Outgoing``; storage may be asked while they are
    taken. execution_id: of the execution that goes on, a new one or the same.
    """

    execution_id: str
    records: Iterable[Command]


@dataclass(frozen=True)
class Restarts:
    """plan: of a namespace's flow, in a revision; raises NotFound. new_id: of another execution.
    token: another one each time. storage, shards: where the children of an execution are.
    """

    plan: Callable[[str, str, int], Plan]
    new_id: Callable[[], str]
    token: Callable[[], str]
    storage: Storage
    shards: int

    def restart(self, stored: StoredExecution, revision: int | None = None) -> Revived:
        """Run again what failed, in its subflows too; with a revision as a new execution. A paused
        one is resumed. Raises Conflict.
        """
        if stored.snapshot.state is State.PAUSED and revision is None:
            paused = [it.id for it in stored.task_runs if it.state is State.PAUSED]
            marks: list[Command] = [TaskRunMarked(it, State.RUNNING) for it in paused]
            return Revived(stored.execution_id, marks)
        new_id = "" if revision is None else self.new_id()
        plan = self._plan(stored, revision)
        restart = pictures.Restart.of(stored, plan, new_id)
        children = ChildRestarts(self.storage, self.plan, self.token, self.shards)
        return Revived(new_id or stored.execution_id, children.records(restart, self.token()))

    def replay(
        self,
        stored: StoredExecution,
        task_run_id: str = "",
        revision: int | None = None,
        inputs: Inputs | None = None,
    ) -> Revived:
        """A new execution. inputs: None: those that it had. Raises Conflict, NotFound for a task
        run that it does not have, and what inputs raises.
        """
        new_id, plan = self.new_id(), self._plan(stored, revision)
        if task_run_id and inputs is not None:
            raise Conflict(
                "other inputs go with a replay from the beginning: what is copied had the old ones"
            )
        records: list[Command]
        if task_run_id:
            records = [*pictures.replay(stored, plan, self.token(), task_run_id, new_id)]
        else:
            text = stored.snapshot.inputs
            if inputs is not None:
                text = msgspec.json.encode(inputs(plan.flow, new_id)).decode()
            records = [_submitted(stored, plan, new_id, text)]
        if stored.snapshot.state.is_terminal:
            labels = {pictures.REPLAYED: "true"}
            records.append(pictures.label(stored, self.token(), labels))
        return Revived(new_id, records)

    def mark(self, stored: StoredExecution, task_run_id: str, state: State) -> Revived:
        """Give a task run another state: a paused one, or one of an execution that has ended.
        Raises Conflict, NotFound.
        """
        paused = {it.id for it in stored.task_runs if it.state is State.PAUSED}
        if task_run_id not in paused:
            plan = self._plan(stored)
            parts = pictures.mark(stored, plan, self.token(), task_run_id, state)
            return Revived(stored.execution_id, [*parts])
        if state not in RESUMED:
            names = ", ".join(RESUMED)
            raise Conflict(f"a paused task run can't become {state}: one of {names}")
        return Revived(stored.execution_id, [TaskRunMarked(task_run_id, state)])

    def change_status(self, stored: StoredExecution, state: State) -> Revived:
        """Give an execution that has ended another state. Raises Conflict."""
        change = pictures.change_status(stored, self.token(), state)
        return Revived(stored.execution_id, [change])

    def _plan(self, stored: StoredExecution, revision: int | None = None) -> Plan:
        return self.plan(stored.namespace, stored.flow_id, revision or stored.flow_revision)


def restarts_of(
    flow: Callable[[str, str, int], Flow],
    registry: Registry,
    shards: int,
    clock: Clock,
    entropy: Entropy,
    storage: Storage,
) -> Restarts:
    """flow: of a namespace, in a revision; raises NotFound. shards: among which executions are
    spread.
    """

    def plan(namespace: str, flow_id: str, revision: int) -> Plan:
        found = flow(namespace, flow_id, revision)
        return Plan(msgspec.structs.replace(found, revision=revision), registry)

    def new_id() -> str:
        token = entropy.token()
        return derive_execution_id(int(token, 16) % shards, clock.wall(), token)

    return Restarts(plan, new_id, entropy.token, storage, shards)


def _submitted(stored: StoredExecution, plan: Plan, new_id: str, inputs: str) -> ExecutionSubmitted:
    return ExecutionSubmitted(
        execution_id=new_id,
        namespace=stored.namespace,
        flow_id=stored.flow_id,
        revision=plan.flow.revision,
        inputs=inputs,
        labels={**stored.snapshot.labels, pictures.REPLAY: "true"},
        trigger=_trigger(stored),
        lineage=pictures.next_try(stored),
    )


def _trigger(stored: StoredExecution) -> TriggerFired | None:
    if stored.snapshot.trigger is None:
        return None
    return pictures.trigger_of(stored.snapshot.trigger)
