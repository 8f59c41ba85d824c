"""Telling executions something by a command: the store says which, the log is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.assembly.servers import TOPICS_TIMEOUT, parts_of
from kestrapy.config import Settings
from kestrapy.errors import LogUnavailable
from kestrapy.ports.log import Message, SendError
from kestrapy.servers.many import Many


@contextmanager
def opened_executions(settings: Settings, client: str) -> Iterator[Many]:
    """Raises LogUnavailable, StoreUnavailable."""
    parts = parts_of(settings, client)
    queries, producer = SqlQueries(settings.store_url), parts.log.producer()

    def send(messages: Sequence[Message]) -> None:
        failed: list[SendError] = []
        for message in messages:
            producer.send(message, lambda error: failed.append(error) if error else None)
        if producer.flush(TOPICS_TIMEOUT):
            raise LogUnavailable(f"no answer from the log in {TOPICS_TIMEOUT:g} s")
        if failed:
            raise LogUnavailable(f"the log did not take it: {failed[0].detail}")

    try:
        yield Many(queries, parts.router, send)
    finally:
        producer.close()
        queries.close()
