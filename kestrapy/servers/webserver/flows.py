"""Endpoints of flows: saving, reading, searching, validating."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.exceptions import HTTPException

from kestrapy.errors import FlowRefused, LogUnavailable, NotFound, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.language.flow_warnings import flow_warnings
from kestrapy.language.runnable import require_runnable
from kestrapy.machine.commands import FlowSaveRequested, TriggerDefinition
from kestrapy.machine.outputs import FlowRevision
from kestrapy.model.flow import Flow
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.parameters import (
    FlowParameters,
    FlowSearchParameters,
    Parameters,
)
from kestrapy.servers.webserver.web import Web

MAX_SOURCE_BYTES = 800_000
"""A record is at most 900 KB."""
SAVE_TIMEOUT = 10.0


async def read_source(request: Request) -> str:
    """The body as text; a flow in YAML, or in JSON, which is YAML as well."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_SOURCE_BYTES:
            raise HTTPException(413, f"a flow has at most {MAX_SOURCE_BYTES} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise FlowRefused([Problem(f"the body is no UTF-8: {error}")]) from None


Source = Annotated[str, Depends(read_source)]
YAML_BODY = {"requestBody": {"content": {"application/x-yaml": {"schema": {"type": "string"}}}}}


class FlowEndpoints:
    def __init__(self, web: Web):
        self._web = web

    def router(self) -> APIRouter:
        router = APIRouter(tags=["flows"])
        add = router.add_api_route
        add("/flows", self.create, methods=["POST"], openapi_extra=YAML_BODY)
        add("/flows/validate", self.validate, methods=["POST"], openapi_extra=YAML_BODY)
        add("/flows/search", self.search)
        add("/flows/{namespace}", self.of_namespace)
        add("/flows/{namespace}/{flow_id}", self.update, methods=["PUT"], openapi_extra=YAML_BODY)
        add("/flows/{namespace}/{flow_id}", self.get)
        add("/flows/{namespace}/{flow_id}/revisions", self.revisions)
        return router

    def create(self, source: Source, _query: Annotated[Parameters, Query()]) -> Response:
        """Save a new flow."""
        flow = self._parse(source)
        if self._web.flows.latest(flow.namespace, flow.id) is not None:
            message = f"flow {flow.namespace}.{flow.id} exists: update it by PUT"
            raise FlowRefused([Problem(message, "id")])
        return self._answer(self._save(flow))

    def update(
        self, namespace: str, flow_id: str, source: Source, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """Save a revision of a flow. Equal content makes no new one."""
        flow = self._parse(source)
        latest = self._web.revision(namespace, flow_id)
        problems = [
            Problem(f"{name} is {given!r}, and {before!r} can't be renamed", name)
            for name, given, before in (
                ("id", flow.id, flow_id),
                ("namespace", flow.namespace, namespace),
            )
            if given != before
        ]
        if problems:
            raise FlowRefused(problems)
        return self._answer(latest if latest.source == source else self._save(flow))

    def validate(self, source: Source, _query: Annotated[Parameters, Query()]) -> Response:
        """What is wrong with a flow, which is not saved; without `constraints` it is right.

        `warnings` are about what is allowed, and looks like a mistake.
        """
        try:
            flow = self._parse(source)
        except FlowRefused as refused:
            problems = [
                {"message": it.message, "path": it.path, "line": it.line, "column": it.column}
                for it in refused.problems
            ]
            return answer([{"index": 0, "constraints": str(refused), "problems": problems}])
        found: dict[str, Any] = {"index": 0, "flow": flow.id, "namespace": flow.namespace}
        if warnings := flow_warnings(source, self._web.registry):
            found["warnings"] = [f"{it.path}: {it.message}" for it in warnings]
        return answer([found])

    def get(
        self, namespace: str, flow_id: str, query: Annotated[FlowParameters, Query()]
    ) -> Response:
        """A flow: its latest revision, or the one that is asked for."""
        found = self._web.revision(namespace, flow_id, query.revision)
        return answer(self._web.flow_json(found, with_source=query.source))

    def of_namespace(self, namespace: str, _query: Annotated[Parameters, Query()]) -> Response:
        """The flows of a namespace, not of those below it."""
        found = [it for it in self._web.flows.heads() if it.namespace == namespace]
        return answer([self._web.flow_json(it, with_source=False) for it in found])

    def search(self, query: Annotated[FlowSearchParameters, Query()]) -> Response:
        """Flows by a part of their name, sorted by it."""
        wanted, below = query.q.casefold(), query.namespace + "."
        found = [
            it
            for it in self._web.flows.heads()
            if wanted in f"{it.namespace}.{it.flow_id}".casefold()
            and (not query.namespace or f"{it.namespace}.".startswith(below))
        ]
        page = found[(query.page - 1) * query.size :][: query.size]
        results = [self._web.flow_json(it, with_source=False) for it in page]
        return answer({"results": results, "total": len(found)})

    def revisions(
        self, namespace: str, flow_id: str, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """All revisions of a flow, oldest first."""
        found = self._web.flows.revisions(namespace, flow_id)
        if not found:
            raise NotFound(f"there is no flow {namespace}.{flow_id}")
        return answer([self._web.flow_json(it, with_source=True) for it in found])

    def _parse(self, source: str) -> Flow:
        flow = parse_flow(source, self._web.registry, groups=self._web.groups)
        require_runnable(flow, self._web.registry)
        return flow

    def _answer(self, revision: FlowRevision) -> Response:
        return answer(self._web.flow_json(revision, with_source=True))

    def _save(self, flow: Flow) -> FlowRevision:
        """Have the flow numbered, and wait for the revision that carries its source."""
        flows = self._web.flows
        before = flows.latest(flow.namespace, flow.id)
        lowest = before.revision if before else 1
        self._web.sender.send(self._web.router.message(save_requested(flow)))

        def numbered() -> list[FlowRevision]:
            revisions = flows.revisions(flow.namespace, flow.id)
            return [it for it in revisions if it.revision >= lowest and it.source == flow.source]

        if not flows.wait_for(lambda: bool(numbered()), SAVE_TIMEOUT):
            raise LogUnavailable(
                f"{flow.namespace}.{flow.id} will be saved, but no executor has numbered its"
                f" revision in {SAVE_TIMEOUT:g} s: is one running?"
            )
        return numbered()[-1]


def save_requested(flow: Flow) -> FlowSaveRequested:
    """What saves a flow, its triggers included."""
    triggers = tuple(
        TriggerDefinition(
            id=it.id,
            type=it.type,
            disabled=it.disabled,
            allow_concurrent=it.allow_concurrent,
            inputs=msgspec.json.encode(it.inputs).decode(),
            properties=msgspec.json.encode(it.properties).decode(),
        )
        for it in flow.triggers
    )
    return FlowSaveRequested(
        namespace=flow.namespace,
        flow_id=flow.id,
        source=flow.source,
        disabled=flow.disabled,
        triggers=triggers,
        limit=0 if flow.concurrency is None else flow.concurrency.limit,
    )
