"""Telling executions something by a command: the store says which, the log is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.assembly.groups import CATCH_UP_TIMEOUT
from kestrapy.assembly.parts import Parts
from kestrapy.assembly.servers import TOPICS_TIMEOUT, cipher_of, parts_of
from kestrapy.assembly.storage import blobs_of
from kestrapy.config import Settings
from kestrapy.errors import LogUnavailable, NotFound
from kestrapy.language.flow import parse_flow
from kestrapy.model.flow import Flow
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.log import Message, SendError
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.many import Many
from kestrapy.servers.pauses import Pauses
from kestrapy.servers.restarts import Restarts, restarts_of

_PARSED_FLOWS = 1000


@contextmanager
def opened_executions(settings: Settings, client: str) -> Iterator[Many]:
    """Raises LogUnavailable, StoreUnavailable."""
    with _opened(parts_of(settings, client), settings) as (many, _):
        yield many


@contextmanager
def opened_restarts(settings: Settings, client: str) -> Iterator[tuple[Many, Restarts]]:
    """With all flows, read up to now. Raises LogUnavailable, StoreUnavailable."""
    parts = parts_of(settings, client)
    shared = parts.registry, parts.catalogue.shards, parts.clock, parts.entropy
    with _flows(parts) as flow, _opened(parts, settings) as (many, queries):
        yield many, restarts_of(flow, *shared, queries)


@contextmanager
def opened_pauses(settings: Settings, client: str) -> Iterator[tuple[Many, Pauses, Blobs]]:
    """The same. Secrets are encrypted with the settings' key, where there is one."""
    parts, cipher = parts_of(settings, client), cipher_of(settings)
    with _flows(parts) as flow, _opened(parts, settings) as (many, _):
        pauses = Pauses(flow, parts.registry, cipher.encrypt if cipher else None)
        yield many, pauses, blobs_of(settings)


@contextmanager
def _flows(parts: Parts) -> Iterator[Callable[[str, str, int], Flow]]:
    flows = FlowCatalogue(parts.log, parts.codec, parts.catalogue)

    @lru_cache(_PARSED_FLOWS)
    def flow(namespace: str, flow_id: str, revision: int) -> Flow:
        found = flows.get(namespace, flow_id, revision)
        if found is None:
            raise NotFound(f"there is no revision {revision} of flow {namespace}.{flow_id}")
        return parse_flow(found.source, parts.registry)

    try:
        flows.catch_up(CATCH_UP_TIMEOUT)
        yield flow
    finally:
        flows.close()


@contextmanager
def _opened(parts: Parts, settings: Settings) -> Iterator[tuple[Many, SqlQueries]]:
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
        yield Many(queries, parts.router, send), queries
    finally:
        producer.close()
        queries.close()
