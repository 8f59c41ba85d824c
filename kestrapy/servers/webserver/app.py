"""The webserver: Kestra's REST API over storage and the log. It keeps nothing itself."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

import kestrapy
from kestrapy.model.flow import TENANT
from kestrapy.servers.group_metrics import GroupCollector
from kestrapy.servers.health import health_report
from kestrapy.servers.webserver.answers import answer, answer_errors
from kestrapy.servers.webserver.concurrency import ConcurrencyEndpoints
from kestrapy.servers.webserver.events import EventEndpoint
from kestrapy.servers.webserver.executions import ExecutionEndpoints
from kestrapy.servers.webserver.flows import FlowEndpoints
from kestrapy.servers.webserver.logs import LogEndpoints
from kestrapy.servers.webserver.many_executions import ManyEndpoints
from kestrapy.servers.webserver.many_restarts import ManyRestartEndpoints
from kestrapy.servers.webserver.namespaces import NamespaceEndpoints
from kestrapy.servers.webserver.restarts import RestartEndpoints
from kestrapy.servers.webserver.submission import SubmissionEndpoint
from kestrapy.servers.webserver.web import Web, WebDependencies
from kestrapy.servers.webserver.worker_groups import WorkerGroupEndpoints
from kestrapy.servers.webserver.workers import WorkerEndpoints

_CHECK_TIMEOUT = 2.0
_GRACE_S = 5
"""How long requests may take to end when the server stops; followers are cut off then."""


def build_app(given: WebDependencies) -> FastAPI:
    """The API as an ASGI app. Its lifespan ends what it started, not what it was given."""
    web = Web(given)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        web.close()

    app = FastAPI(
        title="kestrapy",
        version=kestrapy.__version__,
        summary="Flows, executions, logs, metrics and triggers, by Kestra's paths and JSON.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    answer_errors(app)
    for endpoints in (
        ConcurrencyEndpoints(web),  # its paths come before that which starts a flow
        FlowEndpoints(web),
        ManyEndpoints(web),
        ManyRestartEndpoints(web),
        RestartEndpoints(web),
        ExecutionEndpoints(web),  # its paths come before that which starts a flow
        SubmissionEndpoint(web),
        EventEndpoint(web),
        LogEndpoints(web),
        WorkerGroupEndpoints(web),
        WorkerEndpoints(web),
        NamespaceEndpoints(web),
    ):
        app.include_router(endpoints.router(), prefix=f"/api/v1/{TENANT}")
        # Paths of older clients, from before there were tenants.
        app.include_router(endpoints.router(), prefix="/api/v1", include_in_schema=False)
    _add_health(app, web)
    return app


def _add_health(app: FastAPI, web: Web) -> None:
    registry = CollectorRegistry()
    registry.register(GroupCollector(web.board, lambda: web.groups, web.clock))

    def check_log() -> None:
        web.log.topics().describe([web.catalogue.flows], _CHECK_TIMEOUT)

    @app.get("/health", tags=["health"])
    def health() -> Response:
        """Whether the log and the store answer."""
        status, report = health_report({"log": check_log, "store": web.queries.ping})
        return answer(report, status)

    @app.get("/metrics", tags=["health"])
    def metrics() -> Response:
        """Counters of this process, and worker groups as it knows them, for Prometheus."""
        return Response(
            generate_latest() + generate_latest(registry), media_type=CONTENT_TYPE_LATEST
        )


class WebServer:
    """An app over HTTP. It listens at once; port: the one it got, where 0 asked for any.

    Raises OSError when the address is taken.
    """

    def __init__(self, app: FastAPI, host: str, port: int):
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_S
        )
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server((host, port))
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        """Serve until ``stop``, or, in the main thread, until SIGINT or SIGTERM."""
        with self._socket:
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Take no more requests, and let ``run`` return; any thread may call it."""
        self._server.should_exit = True
