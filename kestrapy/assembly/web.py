"""The webserver as a process, from settings."""

from __future__ import annotations

import logging

from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.schema import upgrade
from kestrapy.assembly.parts import board_of
from kestrapy.assembly.servers import cipher_of, ensure_topics, parts_of, stopping
from kestrapy.assembly.storage import blobs_of
from kestrapy.config import Settings
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.settings_catalogue import SettingsCatalogue
from kestrapy.servers.webserver.app import WebServer, build_app
from kestrapy.servers.webserver.web import WebDependencies

log = logging.getLogger(__name__)

CATCH_UP_TIMEOUT = 30.0


def run_webserver(settings: Settings) -> None:
    """Until SIGTERM or Ctrl-C. Answers once all flows are read."""
    parts = parts_of(settings, "webserver")
    ensure_topics(parts)
    settings.home.mkdir(parents=True, exist_ok=True)
    upgrade(settings.store_url)
    flows = FlowCatalogue(parts.log, parts.codec, parts.catalogue)
    flows.catch_up(CATCH_UP_TIMEOUT)
    flows.start()
    catalogue = SettingsCatalogue(parts.log, parts.codec, parts.catalogue, parts.groups)
    catalogue.catch_up(CATCH_UP_TIMEOUT)
    catalogue.start()
    board = board_of(parts, settings.worker.heartbeat_interval, settings.worker.lost_after)
    board.start()
    queries = SqlQueries(settings.store_url)
    app = build_app(
        WebDependencies(
            log=parts.log,
            router=parts.router,
            queries=queries,
            flows=flows,
            blobs=blobs_of(settings),
            registry=parts.registry,
            settings=catalogue,
            board=board,
            clock=parts.clock,
            entropy=parts.entropy,
            cipher=cipher_of(settings),
        )
    )
    server = WebServer(app, settings.webserver.host, settings.webserver.port)
    log.info("webserver is up on http://%s:%d", settings.webserver.host, server.port)
    try:
        # The HTTP server ends by the signal's own handler, and raises it again when it has ended:
        # the default one would make a failure of a stop that was asked for.
        with stopping():
            server.run()
    finally:
        for view in (flows, catalogue, board):
            view.close()
