"""Endpoints of concurrency limits: who runs, who waits, and letting one run all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from kestrapy.errors import Conflict, NotFound
from kestrapy.machine.commands import ForceRun
from kestrapy.model.flow import TENANT, Flow
from kestrapy.model.state import State
from kestrapy.ports.store import ExecutionSearch
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.executions import ExecutionEndpoints
from kestrapy.servers.webserver.parameters import Parameters, UnqueueParameters
from kestrapy.servers.webserver.web import Web
from kestrapy.wire.kestra_json import Json

RUNNING = (State.RUNNING, State.PAUSED, State.KILLING)
"""States of executions that hold a slot."""


class ConcurrencyEndpoints:
    def __init__(self, web: Web):
        self._web = web
        self._executions = ExecutionEndpoints(web)

    def router(self) -> APIRouter:
        router = APIRouter(tags=["executions"])
        add = router.add_api_route
        add("/concurrency-limit/search", self.search)
        add("/concurrency-limit/{namespace}/{flow_id}", self.get)
        path = "/executions/{execution_id}"
        add(f"{path}/force-run", self.force_run, methods=["POST"], status_code=202)
        add(f"{path}/unqueue", self.unqueue, methods=["POST"], status_code=202)
        return router

    def search(self, _query: Annotated[Parameters, Query()]) -> Response:
        """Each flow with a concurrency limit: the limit, how many of its executions run, and how
        many are queued.
        """
        found = [self._described(it) for it in self._limited()]
        return answer({"results": found, "total": len(found)})

    def get(self, namespace: str, flow_id: str, _query: Annotated[Parameters, Query()]) -> Response:
        """One of them."""
        for flow in self._limited():
            if (flow.namespace, flow.id) == (namespace, flow_id):
                return answer(self._described(flow))
        raise NotFound(f"there is no flow {namespace}.{flow_id} with a concurrency limit")

    def _limited(self) -> Iterator[Flow]:
        flows = (self._web.parsed(it) for it in self._web.flows.heads())
        return (it for it in flows if it.concurrency is not None)

    def _described(self, flow: Flow) -> Json:
        limit = 0 if flow.concurrency is None else flow.concurrency.limit
        return {
            "tenantId": TENANT,
            "namespace": flow.namespace,
            "flowId": flow.id,
            "limit": limit,
            "running": self._count(flow, *RUNNING),
            "queued": self._count(flow, State.QUEUED),
        }

    def _count(self, flow: Flow, *states: State) -> int:
        search = ExecutionSearch(
            namespace=flow.namespace, flow_id=flow.id, states=[str(it) for it in states], size=1
        )
        return self._web.queries.executions(search).total

    async def force_run(
        self, execution_id: str, request: Request, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """Let a queued execution run at once, beyond its flow's concurrency limit."""
        return await self._let_run(execution_id, request)

    async def unqueue(
        self, execution_id: str, request: Request, _query: Annotated[UnqueueParameters, Query()]
    ) -> Response:
        """Take an execution out of the queue, and let it run beyond its flow's concurrency
        limit.
        """
        return await self._let_run(execution_id, request)

    async def _let_run(self, execution_id: str, request: Request) -> Response:
        found = await self._executions.found(execution_id, request)
        if found.snapshot.state is not State.QUEUED:
            raise Conflict(f"execution {execution_id} is not queued: {found.snapshot.state}")
        message = self._web.router.message(ForceRun(execution_id))
        await run_in_threadpool(self._web.sender.send, message)
        return answer({"message": f"execution {execution_id} will run"}, 202)
