"""Resuming executions with what their pauses ask for, checked before the log has it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.datastructures import UploadFile

from kestrapy.errors import Conflict, InputRefused, NotFound
from kestrapy.language.inputs import resolve_inputs, seal_secrets, undeclared
from kestrapy.language.plan import Plan
from kestrapy.language.values import nested_labels
from kestrapy.machine.commands import Command, ResumeRequested
from kestrapy.model.flow import TENANT, Flow
from kestrapy.model.state import State
from kestrapy.ports.store import StoredExecution
from kestrapy.servers.webserver.submission import by_input
from kestrapy.servers.webserver.web import Web


class Resuming:
    def __init__(self, web: Web):
        self._web = web

    def resume(self, stored: StoredExecution, fields: list[tuple[str, UploadFile | str]]) -> None:
        """stored: with its task runs. fields: of the form. Raises Conflict, InputRefused."""
        flow = self._asking(stored)
        values, uploads = by_input(flow, fields, stored.execution_id)
        if problems := undeclared(flow, values):
            raise InputRefused(problems)
        values = seal_secrets(flow, values, self._web.seal)
        self._check(flow, stored, values)
        for uri, upload in uploads.values():
            self._web.blobs.put(uri, upload.file)
        inputs = msgspec.json.encode(values).decode()
        command = ResumeRequested(execution_id=stored.execution_id, inputs=inputs)
        self._web.sender.send(self._web.router.message(command))

    def without_inputs(self, stored: StoredExecution) -> Sequence[Command]:
        """One of many. Raises Conflict, InputRefused where its pauses ask for something."""
        if stored.snapshot.state is not State.PAUSED:
            raise _not_paused(stored)
        whole = self._web.queries.execution(stored.execution_id)
        if whole is None:
            raise NotFound(f"there is no execution {stored.execution_id}")
        self._check(self._asking(whole), whole, {})
        return [ResumeRequested(execution_id=stored.execution_id)]

    def _asking(self, stored: StoredExecution) -> Flow:
        """Its flow, as if it had the inputs that its paused tasks ask for."""
        paused = [it for it in stored.task_runs if it.state is State.PAUSED]
        if not paused and stored.snapshot.state is not State.PAUSED:
            raise _not_paused(stored)
        revision = self._web.revision(stored.namespace, stored.flow_id, stored.flow_revision)
        flow = self._web.parsed(revision)
        plan = Plan(flow, self._web.registry)
        tasks = [plan.task(it.task_id) for it in paused if it.task_id in plan]
        asked = {it.id: it for task in tasks for it in task.on_resume}
        return msgspec.structs.replace(flow, inputs=tuple(asked.values()))

    def _check(self, flow: Flow, stored: StoredExecution, values: dict[str, object]) -> None:
        snapshot = stored.snapshot
        variables = {
            "flow": {"id": flow.id, "namespace": flow.namespace, "tenantId": TENANT},
            "execution": {"id": stored.execution_id, "state": snapshot.state.value},
            "labels": nested_labels(snapshot.labels),
            "vars": msgspec.json.decode(snapshot.variables),
            "outputs": {it.task_id: msgspec.json.decode(it.outputs) for it in stored.task_runs},
        }
        resolve_inputs(flow, values, variables)


def _not_paused(stored: StoredExecution) -> Conflict:
    return Conflict(f"execution {stored.execution_id} is not paused: {stored.snapshot.state}")
