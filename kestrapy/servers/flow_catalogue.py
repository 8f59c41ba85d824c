"""All revisions of all flows, read from the topic ``flows`` and kept in memory.

A revision's content never changes, so that whoever finds one here may rely on it; only "the latest"
may be behind the topic.
"""

from __future__ import annotations

from kestrapy.machine.outputs import FlowRevision
from kestrapy.ports.log import Log, Record
from kestrapy.servers.topic_view import TopicView
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import FLOWS, Catalogue


class FlowCatalogue(TopicView):
    """The topic ``flows``."""

    def __init__(self, log: Log, codec: Codec, catalogue: Catalogue):
        super().__init__(log, codec, catalogue.flows, FLOWS.records)
        self._flows: dict[tuple[str, str], dict[int, FlowRevision]] = {}

    def latest(self, namespace: str, flow_id: str) -> FlowRevision | None:
        revisions = self.revisions(namespace, flow_id)
        return revisions[-1] if revisions else None

    def get(self, namespace: str, flow_id: str, revision: int) -> FlowRevision | None:
        with self._changed:
            return self._flows.get((namespace, flow_id), {}).get(revision)

    def revisions(self, namespace: str, flow_id: str) -> list[FlowRevision]:
        """Oldest first; empty where there is no such flow."""
        with self._changed:
            found = self._flows.get((namespace, flow_id), {})
            return [found[revision] for revision in sorted(found)]

    def heads(self) -> list[FlowRevision]:
        """The latest revision of each flow, by namespace and id."""
        with self._changed:
            return [found[max(found)] for _, found in sorted(self._flows.items())]

    def _take(self, content: FlowRevision, record: Record) -> None:
        revisions = self._flows.setdefault((content.namespace, content.flow_id), {})
        revisions[content.revision] = content
