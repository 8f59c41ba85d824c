"""All revisions of all flows, read from the topic ``flows`` and kept in memory.

A revision's content never changes, so that whoever finds one here may rely on it; only "the latest"
may be behind the topic. The executor polls it from its loop; the webserver lets a thread of its own
do so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from kestrapy.errors import LogUnavailable, OperatorError, RecordRefused, TopicUnfit
from kestrapy.machine.outputs import FlowRevision
from kestrapy.ports.log import Log, Partition, Reader, Record
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

_LOG = logging.getLogger(__name__)
_BATCH = 500
_POLL_TIMEOUT = 0.5
_PAUSE = 1.0
_ASK_TIMEOUT = 10.0


class FlowCatalogue:
    """Look-ups may be made in any thread; ``poll`` and ``catch_up`` only in the one that reads."""

    def __init__(self, log: Log, codec: Codec, catalogue: Catalogue):
        self._log = log
        self._codec = codec
        self._topic = catalogue.flows
        self._reader: Reader | None = None
        self._partitions: list[Partition] = []
        self._flows: dict[tuple[str, str], dict[int, FlowRevision]] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

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

    def poll(self, timeout: float = 0.0) -> int:
        """Read what is there; waits up to timeout seconds for it. -> how many records came.

        Raises LogUnavailable, TopicUnfit; the next call starts anew.
        """
        try:
            records = self._open().poll(_BATCH, timeout)
            for record in records:
                self._take(record)
        except OperatorError:
            self._drop_reader()
            raise
        return len(records)

    def catch_up(self, timeout: float) -> None:
        """Read up to where the topic ends now.

        Raises LogUnavailable when timeout seconds were not enough, TopicUnfit.
        """
        reader = self._open()
        ends = {it: reader.end_offset(it, timeout) for it in self._partitions}
        waited = 0.0
        while any(reader.position(it) < end for it, end in ends.items()):
            if self.poll(min(0.1, timeout)) == 0:
                waited += 0.1
            if waited > timeout:
                raise LogUnavailable(f"{self._topic} could not be read to its end in {timeout} s")

    def wait_for(self, found: Callable[[], bool], timeout: float) -> bool:
        """Wait until found() holds, asked after each record; for threads other than the reading
        one.

        -> whether it did within timeout seconds.
        """
        with self._changed:
            return self._changed.wait_for(found, timeout)

    def start(self) -> None:
        """Read in a thread of its own from now on, until ``close``."""
        self._thread = threading.Thread(target=self._run, name="flow-catalogue", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._drop_reader()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.poll(_POLL_TIMEOUT)
            except OperatorError as error:
                _LOG.warning("flows can't be read, trying again: %s", error)
                self._closing.wait(_PAUSE)

    def _open(self) -> Reader:
        if self._reader is None:
            described = self._log.topics().describe([self._topic], _ASK_TIMEOUT)
            if self._topic not in described:
                raise TopicUnfit(f"topic {self._topic} is missing: create the topics first")
            count = described[self._topic].partitions
            self._partitions = [Partition(self._topic, index) for index in range(count)]
            reader = self._log.reader()
            reader.assign(
                {it: reader.beginning_offset(it, _ASK_TIMEOUT) for it in self._partitions}
            )
            self._reader = reader
        return self._reader

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _take(self, record: Record) -> None:
        if record.value is None:
            return
        try:
            revision: FlowRevision = self._codec.decode(record, (FlowRevision,)).record
        except RecordRefused as error:
            # The indexer sends it to the dead-letter topic; here it is only passed.
            _LOG.error("%s[%d] %d: %s", self._topic, record.partition, record.offset, error)
            return
        with self._changed:
            revisions = self._flows.setdefault((revision.namespace, revision.flow_id), {})
            revisions[revision.revision] = revision
            self._changed.notify_all()
