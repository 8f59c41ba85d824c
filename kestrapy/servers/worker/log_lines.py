"""Log lines read back from the log: what the task ``log.Fetch`` is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kestrapy.errors import RecordRefused, UserError
from kestrapy.machine.outputs import LogEntry
from kestrapy.model.ids import shard_of, time_of
from kestrapy.ports.log import Log, Partition, Record
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

_MARGIN = 60_000
"""Ms that the clocks of whoever made the execution's id and of the log may be apart."""
_TIMEOUT = 10.0
_BATCH = 500


class LogLines:
    """Of one execution at a time, from the partition of its shard since it was asked for.

    So it costs what all executions of the shard have logged since then. Safe from any thread.
    """

    def __init__(self, log: Log, codec: Codec, topics: Catalogue):
        self._log = log
        self._codec = codec
        self._topic = topics.logs

    def of(self, execution_id: str, stop: Callable[[], bool]) -> Iterator[LogEntry]:
        """In the order in which they came, up to now; lines of a moment ago may be on their way.

        stop: whether to end early. Raises UserError for what is no execution id, LogUnavailable.
        """
        try:
            partition = Partition(self._topic, shard_of(execution_id))
            start = max(0, time_of(execution_id) - _MARGIN)
        except ValueError as error:
            raise UserError(str(error)) from None
        reader = self._log.reader()
        try:
            offset = reader.offset_at(partition, start, _TIMEOUT)
            end = reader.end_offset(partition, _TIMEOUT)
            reader.assign({partition: offset})
            while reader.position(partition) < end and not stop():
                for record in reader.poll(_BATCH, 0.5):
                    if record.offset >= end:
                        return
                    if record.key == execution_id.encode():
                        yield from self._decoded(record)
        finally:
            reader.close()

    def _decoded(self, record: Record) -> Iterator[LogEntry]:
        """Nothing where somebody else wrote what can't be read: the indexer reports it."""
        try:
            entry = self._codec.decode(record).record
        except RecordRefused:
            return
        if isinstance(entry, LogEntry):
            yield entry
