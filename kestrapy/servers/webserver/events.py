"""Following an execution by server-sent events."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from kestrapy.model.state import State
from kestrapy.ports.store import StoreUnavailable
from kestrapy.servers.webserver.executions import ExecutionEndpoints
from kestrapy.servers.webserver.parameters import Parameters
from kestrapy.servers.webserver.watch import Gone, follow
from kestrapy.servers.webserver.web import Web
from kestrapy.wire.kestra_json import Json

_LOG = logging.getLogger(__name__)
HEARTBEAT_MS = 15_000
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventEndpoint:
    def __init__(self, web: Web):
        self._web = web
        self._executions = ExecutionEndpoints(web)

    def router(self) -> APIRouter:
        router = APIRouter(tags=["executions"])
        router.add_api_route("/executions/{execution_id}/follow", self.follow)
        return router

    async def follow(
        self, execution_id: str, request: Request, _query: Annotated[Parameters, Query()]
    ) -> Response:
        """The execution each time that something of it changes, until it has ended.

        Server-sent events `start`, `progress` and `end`, whose data is the execution in JSON.
        """
        await self._executions.found(execution_id, request)
        stream = event_stream(self._web, execution_id, request.is_disconnected)
        return StreamingResponse(stream, headers=_HEADERS, media_type="text/event-stream")


async def event_stream(web: Web, execution_id: str, gone: Gone) -> AsyncGenerator[bytes, None]:
    """Ends with the execution, or with the client. A comment each 15 s keeps proxies quiet."""
    clock = web.clock
    name, told_at = "start", clock.monotonic()
    try:
        async with aclosing(follow(web.queries, execution_id, gone)) as news:
            async for found in news:
                if found is not None:
                    yield _event(name, web.stored_json(found), found.snapshot.state)
                    name, told_at = "progress", clock.monotonic()
                elif clock.monotonic() - told_at >= HEARTBEAT_MS:
                    yield b": still here\n\n"
                    told_at = clock.monotonic()
    except StoreUnavailable as error:
        # The client connects again by itself, and then gets all that is new.
        _LOG.warning("following %s ends early: %s", execution_id, error)


def _event(name: str, document: Json, state: State) -> bytes:
    if state.is_terminal:
        name = "end"
    data = msgspec.json.encode(document)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (name.encode(), name.encode(), data)
