"""What the endpoints share: the ports they were given, the sender, and flows by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from kestrapy.errors import NotFound
from kestrapy.language.flow import parse_flow
from kestrapy.machine.outputs import FlowRevision
from kestrapy.model.flow import Flow
from kestrapy.model.registry import Registry
from kestrapy.model.worker_group import GroupSettings
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.cipher import Cipher
from kestrapy.ports.clock import Clock, Entropy
from kestrapy.ports.log import Log
from kestrapy.ports.store import Queries, StoredExecution
from kestrapy.servers.declarations import Declarations
from kestrapy.servers.flow_catalogue import FlowCatalogue
from kestrapy.servers.group_documents import waiting_json
from kestrapy.servers.router import Router
from kestrapy.servers.settings_catalogue import SettingsCatalogue
from kestrapy.servers.webserver.sender import Sender
from kestrapy.servers.worker_board import WorkerBoard
from kestrapy.wire.kestra_json import Json, execution_json, flow_json

_PARSED_FLOWS = 1000


@dataclass(frozen=True)
class WebDependencies:
    """Ports of a webserver. flows, settings, board: each read by a thread of its own, see
    ``TopicView.start``. cipher: None without a key.
    """

    log: Log
    router: Router
    queries: Queries
    flows: FlowCatalogue
    blobs: Blobs
    registry: Registry
    settings: SettingsCatalogue
    board: WorkerBoard
    clock: Clock
    entropy: Entropy
    cipher: Cipher | None = None


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
        self.settings = given.settings
        self.board = given.board
        self.clock = given.clock
        self.entropy = given.entropy
        self.seal = given.cipher.encrypt if given.cipher else None
        self.sender = Sender(given.log)
        self.declarations = Declarations(given.log, given.router, given.settings, self.sender.send)
        # A revision never changes, so that the cache can't be seen.
        self._parsed = lru_cache(_PARSED_FLOWS)(self._parse)

    def close(self) -> None:
        self.sender.close()

    @property
    def groups(self) -> Mapping[str, GroupSettings]:
        """The declared worker groups by key."""
        return self.settings.groups()

    def stored_json(self, stored: StoredExecution, *, now: bool = True) -> Json:
        """An execution as it is stored. now: of each task run that waits for a worker, why."""
        found = execution_json(
            stored.execution_id,
            stored.namespace,
            stored.flow_id,
            stored.flow_revision,
            stored.snapshot,
            stored.task_runs,
        )
        if now and not stored.snapshot.state.is_terminal:
            self._explain_waiting(found, stored)
        return found

    def _explain_waiting(self, document: Json, stored: StoredExecution) -> None:
        groups, loads, certain = self.groups, self.board.groups(), self.board.is_settled
        shown = {it["id"]: it for it in document["taskRunList"]}
        for run in stored.task_runs:
            waiting = waiting_json(run, groups, loads, certain=certain)
            if waiting is not None:
                shown[run.id]["waiting"] = waiting

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
