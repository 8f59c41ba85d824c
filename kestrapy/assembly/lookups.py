"""The database that tasks ask: that of the settings, or one that is made from the log.

What speaks SQL is imported when it is needed: few workers do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kestrapy.assembly.parts import Parts
from kestrapy.config import Settings
from kestrapy.errors import RecordRefused, UserError
from kestrapy.ports.log import Partition
from kestrapy.ports.store import Queries, Row
from kestrapy.servers.indexer import rows_by_topic

if TYPE_CHECKING:
    from kestrapy.adapters.sql.writer import SqlIndexWriter

_BATCH = 500
_TIMEOUT = 10.0


class Once:
    """Opens a database when it is first asked for, and keeps it open. Safe from any thread."""

    def __init__(self, open_: Callable[[], Queries]):
        self._open = open_
        self._lock = threading.Lock()
        self._queries: Queries | None = None

    def __call__(self) -> Queries:
        with self._lock:
            if self._queries is None:
                self._queries = self._open()
            return self._queries


def open_store(settings: Settings) -> Queries:
    """Raises UserError where the settings name no database that is there."""
    from kestrapy.adapters.sql.engine import sqlite_file
    from kestrapy.adapters.sql.queries import SqlQueries

    file = sqlite_file(settings.store_url)
    if file is not None and not file.exists():
        raise UserError(
            f"this worker has no database to ask, there is no {file}: set `store.url`"
            " (KESTRAPY_STORE__URL) for it to that of indexer and webserver, or run the task in a"
            " worker group whose workers have it"
        )
    return SqlQueries(settings.store_url)


class IndexedLog:
    """A database of a log that nobody indexes. Whenever it is asked for, all that stands in the
    log is in it. Safe from any thread. folder: for its file.
    """

    def __init__(self, parts: Parts, folder: Path):
        self._parts = parts
        self._folder = folder
        self._lock = threading.Lock()
        self._next: dict[Partition, int] = {}
        self._queries: Queries | None = None
        self._writer: SqlIndexWriter | None = None

    def __call__(self) -> Queries:
        with self._lock:
            if self._queries is None or self._writer is None:
                self._queries, self._writer = self._make()
            self._catch_up(self._writer)
            return self._queries

    def close(self) -> None:
        with self._lock:
            for it in (self._queries, self._writer):
                if it is not None:
                    it.close()

    def _make(self) -> tuple[Queries, SqlIndexWriter]:
        from kestrapy.adapters.sql.queries import SqlQueries
        from kestrapy.adapters.sql.schema import upgrade
        from kestrapy.adapters.sql.writer import SqlIndexWriter

        self._folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{self._folder.absolute() / 'kestrapy.db'}"
        upgrade(url)
        return SqlQueries(url), SqlIndexWriter(url)

    def _catch_up(self, writer: SqlIndexWriter) -> None:
        topics = self._parts.catalogue
        wanted = rows_by_topic(topics)
        counts = {spec.name: spec.partitions for spec in topics.specs() if spec.name in wanted}
        places = [Partition(name, it) for name, count in counts.items() for it in range(count)]
        reader = self._parts.log.reader()
        try:
            ends = {it: reader.end_offset(it, _TIMEOUT) for it in places}
            reader.assign({it: self._next.get(it, 0) for it in places})
            while any(reader.position(it) < end for it, end in ends.items()):
                rows: list[Row] = []
                for record in reader.poll(_BATCH, _TIMEOUT):
                    try:
                        rows.append(self._parts.codec.decode(record, wanted[record.topic]).record)
                    except RecordRefused:
                        continue  # somebody else wrote what can't be read
                writer.write(rows, [])
            while writer.purge(_BATCH, self._parts.clock.wall()):
                pass
            self._next = {it: reader.position(it) for it in places}
        finally:
            reader.close()
