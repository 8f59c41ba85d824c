"""What the pauses of an execution ask for (``onResume``), and whether it is given: checked before
the log has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kestrapy.errors import Conflict, InputRefused
from kestrapy.language.inputs import resolve_inputs, seal_secrets, undeclared
from kestrapy.language.plan import Plan
from kestrapy.language.values import nested_labels
from kestrapy.machine.commands import ResumeRequested
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.model.flow import TENANT, Flow
from kestrapy.model.registry import Registry
from kestrapy.model.state import State
from kestrapy.ports.store import StoredExecution


class Pauses:
    """flow: of a namespace, in a revision; raises NotFound. seal: encrypts a secret; None without a
    key.
    """

    def __init__(
        self,
        flow: Callable[[str, str, int], Flow],
        registry: Registry,
        seal: Callable[[str], str] | None,
    ):
        self._flow = flow
        self._registry = registry
        self._seal = seal

    def asking(self, stored: StoredExecution) -> Flow:
        """Its flow, as if it had the inputs that its paused tasks ask for. stored: with its task
        runs. Raises Conflict where nothing is paused.
        """
        paused = [it for it in stored.task_runs if it.state is State.PAUSED]
        if not paused and stored.snapshot.state is not State.PAUSED:
            raise not_paused(stored)
        flow = self._flow(stored.namespace, stored.flow_id, stored.flow_revision)
        plan = Plan(flow, self._registry)
        tasks = [plan.task(it.task_id) for it in paused if it.task_id in plan]
        asked = {it.id: it for task in tasks for it in task.on_resume}
        return msgspec.structs.replace(flow, inputs=tuple(asked.values()))

    def resolved(
        self, asking: Flow, stored: StoredExecution, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What the execution would go on with. Raises InputRefused."""
        if problems := undeclared(asking, values):
            raise InputRefused(problems)
        return self._resolved(asking, stored, seal_secrets(asking, values, self._seal))

    def command(
        self, asking: Flow, stored: StoredExecution, values: Mapping[str, Any]
    ) -> ResumeRequested:
        """Raises InputRefused."""
        if problems := undeclared(asking, values):
            raise InputRefused(problems)
        sealed = seal_secrets(asking, values, self._seal)
        self._resolved(asking, stored, sealed)
        inputs = msgspec.json.encode(sealed).decode()
        return ResumeRequested(execution_id=stored.execution_id, inputs=inputs)

    def _resolved(
        self, asking: Flow, stored: StoredExecution, values: dict[str, Any]
    ) -> dict[str, Any]:
        snapshot = stored.snapshot
        variables = {
            "flow": {"id": asking.id, "namespace": asking.namespace, "tenantId": TENANT},
            "execution": {"id": stored.execution_id, "state": snapshot.state.value},
            "labels": nested_labels(snapshot.labels),
            "vars": msgspec.json.decode(snapshot.variables),
            "outputs": {it.task_id: msgspec.json.decode(it.outputs) for it in stored.task_runs},
        }
        world = FoldWorld(snapshot.histories[-1].at, stored.execution_id)
        return resolve_inputs(asking, values, variables, world)


def not_paused(stored: StoredExecution) -> Conflict:
    return Conflict(f"execution {stored.execution_id} is not paused: {stored.snapshot.state}")
