"""What the endpoints share: the ports they were given, the sender, and flows by name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from kestrapy.errors import NotFound
from kestrapy.language.flow import parse_flow
from kestrapy.machine.outputs import FlowRevision
from kestrapy.model.flow import Flow
from kestrapy.model.registry import Registry
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.clock import Clock, Entropy
from kestrapy.ports.log import Log
from kestrapy.ports.store import Queries
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.router import Router
from kestrapy.servers.webserver.sender import Sender
from kestrapy.wire.kestra_json import Json, flow_json

_PARSED_FLOWS = 1000


@dataclass(frozen=True)
class WebDependencies:
    """Ports of a webserver. flows: read by a thread of its own, see ``FlowCatalogue.start``.

    groups: the declared worker groups.
    """

    log: Log
    router: Router
    queries: Queries
    flows: FlowCatalogue
    blobs: Blobs
    registry: Registry
    groups: Collection[str]
    clock: Clock
    entropy: Entropy


class Web:
    """The dependencies, and what is made of them once."""

    def __init__(self, given: WebDependencies):
        self.log = given.log
        self.router = given.router
        self.catalogue = given.router.catalogue
        self.queries = given.queries
        self.flows = given.flows
        self.blobs = given.blobs
        self.registry = given.registry
        self.groups = given.groups
        self.clock = given.clock
        self.entropy = given.entropy
        self.sender = Sender(given.log)
        # A revision never changes, so that the cache can't be seen.
        self._parsed = lru_cache(_PARSED_FLOWS)(self._parse)

    def close(self) -> None:
        self.sender.close()

    def revision(self, namespace: str, flow_id: str, revision: int | None = None) -> FlowRevision:
        """That revision of a flow, or its latest. Raises NotFound."""
        if revision is None:
            found = self.flows.latest(namespace, flow_id)
        else:
            found = self.flows.get(namespace, flow_id, revision)
        if found is None:
            which = "flow" if revision is None else f"revision {revision} of flow"
            raise NotFound(f"there is no {which} {namespace}.{flow_id}")
        return found

    def parsed(self, revision: FlowRevision) -> Flow:
        return self._parsed(revision.namespace, revision.flow_id, revision.revision)

    def flow_json(self, revision: FlowRevision, *, with_source: bool) -> Json:
        return flow_json(self.parsed(revision), revision, with_source=with_source)

    def _parse(self, namespace: str, flow_id: str, revision: int) -> Flow:
        # It was accepted with the groups of its time; it is shown whatever they are now.
        return parse_flow(self.revision(namespace, flow_id, revision).source, self.registry)
