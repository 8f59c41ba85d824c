"""What tasks have others do, said in topics. What storage is to delete stands in the topics of what
is deleted: the indexer obeys in their order, and a worker needs no database to write to.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kestrapy.errors import LogUnavailable, UserError
from kestrapy.machine.commands import TriggerToggled
from kestrapy.machine.outputs import ExecutionPurge, LogPurge
from kestrapy.model.ids import shard_of
from kestrapy.ports.log import Log, SendError
from kestrapy.servers.router import Router
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue

_TIMEOUT = 30.0


class TaskSender:
    """Safe from any thread."""

    def __init__(self, log: Log, codec: Codec, topics: Catalogue):
        self._log = log
        self._router = Router(codec, topics)

    def purge_lines(self, purge: LogPurge) -> None:
        """On each shard that may have such lines, whatever its own shard. Raises UserError for what
        is no execution id, LogUnavailable.
        """
        try:
            shards: Iterable[int] = range(self._router.catalogue.shards)
            if purge.execution_id:
                shards = [shard_of(purge.execution_id)]
        except ValueError as error:
            raise UserError(str(error)) from None
        self._send(msgspec.structs.replace(purge, shard=it) for it in shards)

    def purge_executions(self, purges: Iterable[ExecutionPurge]) -> None:
        """Raises LogUnavailable."""
        self._send(purges)

    def toggle(self, uid: str, disabled: bool) -> None:
        """Raises LogUnavailable."""
        self._send([TriggerToggled(uid, disabled)])

    def _send(self, records: Iterable[LogPurge | ExecutionPurge | TriggerToggled]) -> None:
        """Returns once all are in the log."""
        answers: list[SendError | None] = []
        producer = self._log.producer()
        try:
            sent = 0
            for record in records:
                producer.send(self._router.message(record), answers.append)
                sent += 1
            producer.flush(_TIMEOUT)
        finally:
            producer.close()
        failures = [it for it in answers if it is not None]
        if failures or len(answers) < sent:
            why = failures[0].detail if failures else f"no answer in {_TIMEOUT} s"
            raise LogUnavailable(f"what the task asks for can't be written: {why}")
