"""The indexer as a process, from settings."""

from __future__ import annotations

import logging

from kestrapy.adapters.sql.schema import upgrade
from kestrapy.adapters.sql.writer import SqlIndexWriter
from kestrapy.assembly.servers import endpoint, ensure_topics, instance_id, parts_of, stopping
from kestrapy.config import Settings
from kestrapy.servers.indexer import Indexer
from kestrapy.servers.loop import run_until

log = logging.getLogger(__name__)


def run_indexer(settings: Settings) -> None:
    parts = parts_of(settings, "indexer")
    ensure_topics(parts)
    settings.home.mkdir(parents=True, exist_ok=True)
    upgrade(settings.store_url)
    writer = SqlIndexWriter(settings.store_url)
    indexer = Indexer(
        parts.log,
        parts.router,
        writer,
        parts.clock,
        instance_id=instance_id(),
        batch=settings.indexer.batch_size,
    )
    with (
        stopping() as stop,
        endpoint(settings, settings.endpoints.indexer, {"store": lambda: indexer.trouble}),
    ):
        log.info("indexer is up")
        try:
            run_until(indexer, parts.clock, stop)
        finally:
            indexer.close()
            writer.close()
