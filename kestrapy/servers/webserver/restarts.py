"""Endpoints of executions that go on after their end: restart, replay, change of a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from kestrapy.model.flow import Flow
from kestrapy.ports.store import StoredExecution
from kestrapy.servers.many import Outgoing
from kestrapy.servers.restarts import Restarts, Revived, restarts_of
from kestrapy.servers.webserver.answers import answer
from kestrapy.servers.webserver.executions import ExecutionEndpoints
from kestrapy.servers.webserver.parameters import (
    ReplayParameters,
    RestartParameters,
    StateBody,
    StatusParameters,
)
from kestrapy.servers.webserver.watch import wait_for_news
from kestrapy.servers.webserver.web import Web

TAKEN_UP_TIMEOUT = 2.0
"""Seconds for the news that an execution was taken up again."""


def restarts_by(web: Web) -> Restarts:
    def flow(namespace: str, flow_id: str, revision: int) -> Flow:
        return web.parsed(web.revision(namespace, flow_id, revision))

    shared = web.registry, web.catalogue.shards, web.clock, web.entropy, web.queries
    return restarts_of(flow, *shared)


class RestartEndpoints:
    def __init__(self, web: Web):
        self._web = web
        self._executions = ExecutionEndpoints(web)
        self._restarts = restarts_by(web)

    def router(self) -> APIRouter:
        router = APIRouter(tags=["executions"])
        for name, endpoint in (
            ("restart", self.restart),
            ("replay", self.replay),
            ("state", self.state),
            ("change-status", self.change_status),
        ):
            router.add_api_route(f"/executions/{{execution_id}}/{name}", endpoint, methods=["POST"])
        return router

    async def restart(
        self,
        execution_id: str,
        request: Request,
        query: Annotated[RestartParameters, Query()],
    ) -> Response:
        """Run again what failed of an execution that has ended, in its subflows too, and what
        follows.

        With a revision as a new execution. The answer is the execution once that is stored; 202
        where it is not within 2 s, as where another restart was faster.
        """
        return await self._revive(
            execution_id, request, lambda it: self._restarts.restart(it, query.revision)
        )

    async def replay(
        self,
        execution_id: str,
        request: Request,
        query: Annotated[ReplayParameters, Query()],
    ) -> Response:
        """Do again, as a new execution, what one did, from its beginning or from a task run on."""
        return await self._revive(
            execution_id,
            request,
            lambda it: self._restarts.replay(it, query.task_run_id, query.revision),
        )

    async def state(self, execution_id: str, request: Request, body: StateBody) -> Response:
        """Give a task run another state; its execution goes on from there."""
        return await self._revive(
            execution_id,
            request,
            lambda it: self._restarts.mark(it, body.task_run_id, body.state),
        )

    async def change_status(
        self,
        execution_id: str,
        request: Request,
        query: Annotated[StatusParameters, Query()],
    ) -> Response:
        """Give an execution that has ended another state; nothing of it runs."""
        return await self._revive(
            execution_id,
            request,
            lambda it: self._restarts.change_status(it, query.status),
        )

    async def _revive(
        self, execution_id: str, request: Request, revive: Callable[[StoredExecution], Revived]
    ) -> Response:
        found = await self._executions.found(execution_id, request)
        revived = await run_in_threadpool(revive, found)
        await run_in_threadpool(self._send, revived)
        is_new = revived.execution_id != execution_id
        stored = await wait_for_news(
            self._web.queries,
            revived.execution_id,
            -1 if is_new else found.number,
            TAKEN_UP_TIMEOUT,
            request.is_disconnected,
        )
        if stored is None:  # none of it yet, or it was out of date: then nothing comes of it
            return answer({"message": f"asked for; see execution {revived.execution_id}"}, 202)
        return answer(self._web.stored_json(stored))

    def _send(self, revived: Revived) -> None:
        outgoing = Outgoing(self._web.router, self._web.sender.send_all)
        for record in revived.records:
            outgoing.add(record)
        outgoing.flush()
