"""The endpoint that starts an execution: everything is checked before the log has the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from kestrapy.errors import Conflict, InputRefused, Problem
from kestrapy.language.checks import require_checks
from kestrapy.language.inputs import seal_secrets
from kestrapy.language.values import nested_labels, offending_label
from kestrapy.machine.commands import ExecutionSubmitted
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.outputs import ExecutionSnapshot, FlowRevision, StateChange
from kestrapy.model.flow import CORRELATION_ID, TENANT, Flow
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.instants import iso_date
from kestrapy.model.state import State
from kestrapy.ports.places import input_uri
from kestrapy.ports.store import StoredExecution, StoreUnavailable
from kestrapy.servers.inputs_read import PairsWorld, read_inputs
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.parameters import SubmissionParameters, epoch_ms, parse_labels
from kestrapy.servers.webserver.watch import wait_until
from kestrapy.servers.webserver.web import Web

FIRST_EVENT_TIMEOUT = 2.0
END_TIMEOUT = 600.0
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_MAX_FIELD_BYTES = 1 << 20

Uploads = dict[str, tuple[str, UploadFile]]
"""By the input: the URI that its file gets, and the file."""


class SubmissionEndpoint:
    def __init__(self, web: Web):
        self._web = web

    def router(self) -> APIRouter:
        router = APIRouter(tags=["executions"])
        router.add_api_route("/executions/{namespace}/{flow_id}", self.create, methods=["POST"])
        return router

    async def create(
        self,
        namespace: str,
        flow_id: str,
        request: Request,
        query: Annotated[SubmissionParameters, Query()],
    ) -> Response:
        """Start an execution of a flow. The body is a form with the inputs, files included.

        The answer comes when the execution is stored, at the latest after 2 s; with `wait` when it
        has ended, at the latest after 10 minutes. Then it is the execution as it is by then.
        """
        async with form_of(request) as form:
            fields = list(form.multi_items())
            submitted, stand_in = await run_in_threadpool(
                self._submit, namespace, flow_id, query, fields
            )
        stored = await self._stored(submitted.execution_id, request, wait=query.wait)
        return answer(self._web.stored_json(stored or stand_in))

    def _submit(
        self,
        namespace: str,
        flow_id: str,
        query: SubmissionParameters,
        fields: list[tuple[str, UploadFile | str]],
    ) -> tuple[ExecutionSubmitted, StoredExecution]:
        """-> the request that is in the log now, and what the execution will look like first."""
        web = self._web
        revision = web.revision(namespace, flow_id, query.revision)
        flow = web.parsed(revision)
        if flow.disabled:
            raise Conflict(f"flow {namespace}.{flow_id} is disabled")
        labels, schedule_date = _request_labels(query.labels), epoch_ms(query.schedule_date)
        token, now = web.entropy.token(), web.clock.wall()
        shard = int(token, 16) % web.catalogue.shards
        execution_id = derive_execution_id(shard, now, token)

        values, uploads = by_input(flow, fields, execution_id)
        values = seal_secrets(flow, values, web.seal)
        labels.setdefault(CORRELATION_ID, execution_id)
        variables = _variables(flow, revision, execution_id, now, labels)
        world = PairsWorld(now, execution_id, namespace, web.blobs)
        resolved, values = read_inputs(flow, values, variables, world)
        require_checks(flow, {**variables, "inputs": resolved}, FoldWorld(now, execution_id))
        for uri, upload in uploads.values():
            web.blobs.put(uri, upload.file)
        submitted = ExecutionSubmitted(
            execution_id=execution_id,
            namespace=namespace,
            flow_id=flow_id,
            revision=revision.revision,
            inputs=_text(values),
            labels=labels,
            not_before=schedule_date or 0,
        )
        web.sender.send(web.router.message(submitted))
        snapshot = ExecutionSnapshot(
            state=State.CREATED,
            histories=[StateChange(State.CREATED, now)],
            inputs=_text(resolved),
            outputs="{}",
            labels={**flow.labels, **labels},
            variables=_text(flow.variables),
            trigger=None,
            error="",
            schedule_date=schedule_date,
        )
        return submitted, StoredExecution(
            execution_id, namespace, flow_id, revision.revision, -1, snapshot
        )

    async def _stored(
        self, execution_id: str, request: Request, *, wait: bool
    ) -> StoredExecution | None:
        """None when it isn't stored yet, or the store is away; the request is accepted anyhow."""

        def enough(execution: StoredExecution) -> bool:
            return execution.snapshot.state.is_terminal if wait else True

        timeout = END_TIMEOUT if wait else FIRST_EVENT_TIMEOUT
        try:
            return await wait_until(
                self._web.queries, execution_id, enough, timeout, request.is_disconnected
            )
        except StoreUnavailable:
            return None


def form_of(request: Request) -> Any:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given and given not in _FORMS:
        raise HTTPException(
            415, f"content type {given}: inputs are sent as a multipart/form-data form"
        )
    return request.form(max_part_size=_MAX_FIELD_BYTES)


def _request_labels(labels: list[str]) -> dict[str, str]:
    found = parse_labels(labels)
    if offender := offending_label(found):
        problem = f"System labels can only be set by Kestra itself, offending label: {offender}"
        raise InputRefused([Problem(problem, "labels")])
    return found


def by_input(
    flow: Flow, fields: list[tuple[str, UploadFile | str]], execution_id: str
) -> tuple[dict[str, Any], Uploads]:
    """The form's fields by input, files as the URIs that they will have. Raises InputRefused."""
    files = {it.id: it for it in flow.inputs if it.type == "FILE"}
    values: dict[str, Any] = {}
    uploads: Uploads = {}
    problems = []
    for field, value in fields:
        name = field
        if not isinstance(value, str):
            filename = value.filename or ""
            # Older clients name every file's field "files", and the file after its input.
            name = filename if field == "files" and field not in files else field
            if name not in files:
                problems.append(Problem(f"Unknown FILE input `{name}`", f"inputs.{name}"))
                continue
            uri = input_uri(flow, execution_id, files[name], filename)
            uploads[name] = uri, value
            value = uri
        if name in values:
            problems.append(Problem(f"input `{name}` is given twice", f"inputs.{name}"))
        values[name] = value
    if problems:
        raise InputRefused(problems)
    return values, uploads


def _variables(
    flow: Flow, revision: FlowRevision, execution_id: str, now: int, labels: Mapping[str, str]
) -> dict[str, Any]:
    """What the defaults of inputs may read, as the executor gives it to them."""
    return {
        "flow": {
            "id": flow.id,
            "namespace": flow.namespace,
            "revision": revision.revision,
            "tenantId": TENANT,
        },
        "execution": {
            "id": execution_id,
            "startDate": iso_date(now),
            "state": State.CREATED.value,
        },
        "labels": nested_labels(labels),
        "vars": flow.variables,
    }


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
