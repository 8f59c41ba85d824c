"""A webserver over a log in memory, a real SQLite and a real indexer."""

from __future__ import annotations

import threading
from pathlib import Path

from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.schema import upgrade
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.adapters.system import SystemClock, SystemEntropy
from kestrapy.plugins.registry import REGISTRY
from kestrapy.ports.cipher import Cipher
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.indexer import Indexer
from kestrapy.servers.router import Router
from kestrapy.servers.settings_catalogue import SettingsCatalogue
from kestrapy.servers.webserver.app import WebServer, build_app
from kestrapy.servers.webserver.web import WebDependencies
from kestrapy.servers.worker_board import WorkerBoard
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue
from tests.integration.servers.stand_in import StandIn


class Site:
    """A webserver and what it talks to."""

    def __init__(self, folder: Path, cipher: Cipher | None = None):
        self.log = MemoryLog(SystemClock())
        self.router = Router(Codec(), Catalogue("t.", shards=2))
        self.log.topics().create(self.router.catalogue.specs(), 5)
        url = f"sqlite:///{folder}/store.db"
        upgrade(url)
        self.queries = SqlQueries(url)
        self._writer = SqlIndexWriter(url)
        indexer = Indexer(self.log, self.router, self._writer, SystemClock())
        self.executor = StandIn(self.log, self.router, indexer)
        self._flows = FlowCatalogue(self.log, self.router.codec, self.router.catalogue)
        self.settings = SettingsCatalogue(self.log, self.router.codec, self.router.catalogue)
        parts = self.log, self.router.codec, self.router.catalogue, SystemClock()
        self.board = WorkerBoard(*parts, heartbeat_interval=1_000, lost_after=60_000)
        self._views = self._flows, self.settings, self.board
        for view in self._views:
            view.start()
        self.blobs = LocalBlobs(folder / "files")
        app = build_app(
            WebDependencies(
                log=self.log,
                router=self.router,
                queries=self.queries,
                flows=self._flows,
                blobs=self.blobs,
                registry=REGISTRY,
                settings=self.settings,
                board=self.board,
                clock=SystemClock(),
                entropy=SystemEntropy(),
                cipher=cipher,
            )
        )

        self._server = WebServer(app, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.port}"

    def close(self) -> None:
        self._server.stop()
        self._thread.join()
        self.executor.close()
        for view in self._views:
            view.close()
        self.queries.close()
        self._writer.close()
