"""Resuming executions with what their pauses ask for, or only looking whether it fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import UploadFile

from kestrapy.errors import InputRefused, NotFound
from kestrapy.language.inputs import hide_secrets
from kestrapy.machine.commands import Command, ResumeRequested
from kestrapy.model.flow import Flow
from kestrapy.model.state import State
from kestrapy.ports.store import StoredExecution
from kestrapy.servers.pauses import Pauses, not_paused
from kestrapy.servers.webserver.submission import by_input
from kestrapy.servers.webserver.web import Web
from kestrapy.wire.kestra_json import Json, input_json

Fields = list[tuple[str, UploadFile | str]]


class Resuming:
    """Fields are those of a form."""

    def __init__(self, web: Web):
        self._web = web
        self._pauses = Pauses(self._flow, web.registry, web.seal)

    def _flow(self, namespace: str, flow_id: str, revision: int) -> Flow:
        return self._web.parsed(self._web.revision(namespace, flow_id, revision))

    def resume(self, stored: StoredExecution, fields: Fields) -> None:
        """stored: with its task runs. Raises Conflict, InputRefused."""
        asking = self._pauses.asking(stored)
        values, uploads = by_input(asking, fields, stored.execution_id)
        command = self._pauses.command(asking, stored, values)
        for uri, upload in uploads.values():
            self._web.blobs.put(uri, upload.file)
        self._web.sender.send(self._web.router.message(command))

    def validated(self, stored: StoredExecution, fields: Fields) -> Json:
        """What each input would be, and why it would be refused. Raises Conflict."""
        asking = self._pauses.asking(stored)
        values: dict[str, Any] = {}
        resolved: dict[str, Any] = {}
        errors: dict[str, str] = {}
        try:
            values, _ = by_input(asking, fields, stored.execution_id)
            resolved = hide_secrets(asking, self._pauses.resolved(asking, stored, values))
        except InputRefused as refused:
            values = hide_secrets(asking, values)
            errors = {it.path.removeprefix("inputs."): it.message for it in refused.problems}
        found = [
            {
                "input": input_json(it),
                "value": resolved.get(it.id, values.get(it.id)),
                "enabled": bool(errors) or it.id in resolved,
                "isDefault": it.id not in values and resolved.get(it.id) is not None,
                "errors": [{"message": errors.pop(it.id)}] if it.id in errors else [],
            }
            for it in asking.inputs
        ]
        # Of what is no input of it: told beside, for Kestra has no place for it.
        found += [
            {"input": {"id": name}, "enabled": False, "errors": [{"message": message}]}
            for name, message in errors.items()
        ]
        return {"id": asking.id, "namespace": asking.namespace, "inputs": found, "checks": []}

    def without_inputs(self, stored: StoredExecution) -> Sequence[Command]:
        """One of many. Raises Conflict, InputRefused where its pauses ask for something."""
        if stored.snapshot.state is not State.PAUSED:
            raise not_paused(stored)
        whole = self._web.queries.execution(stored.execution_id)
        if whole is None:
            raise NotFound(f"there is no execution {stored.execution_id}")
        self._pauses.resolved(self._pauses.asking(whole), whole, {})
        return [ResumeRequested(execution_id=stored.execution_id)]
