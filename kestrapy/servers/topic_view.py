"""A topic, read into memory. What is kept of it, those say that derive from ``TopicView``.

An executor polls its views from its loop; a webserver lets a thread of each one's own do so.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from kestrapy.errors import LogUnavailable, OperatorError, RecordRefused, TopicUnfit
from kestrapy.ports.log import Log, Partition, Reader, Record
from kestrapy.wire.codec import Codec

_LOG = logging.getLogger(__name__)
_BATCH = 500
_POLL_TIMEOUT = 0.5
_PAUSE = 1.0
ASK_TIMEOUT = 10.0
"""Seconds for one question about a topic or an offset."""


class TopicView(ABC):
    """Look-ups may be made in any thread; ``poll`` and ``catch_up`` only in the one that reads.

    records: what may stand in the topic; anything else is logged and passed.
    """

    def __init__(self, log: Log, codec: Codec, topic: str, records: tuple[type, ...]):
        self._log = log
        self._codec = codec
        self._topic = topic
        self._records = records
        self._reader: Reader | None = None
        self._partitions: list[Partition] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _take(self, content: Any, record: Record) -> None:
        """Keep what a record says; called with ``_changed`` held. Raises RecordRefused."""

    def _first(self, reader: Reader, partition: Partition) -> int:
        """The offset to begin at, each time that reading begins: all that there is."""
        return reader.beginning_offset(partition, ASK_TIMEOUT)

    def poll(self, timeout: float = 0.0) -> int:
        """Read what is there; waits up to timeout seconds for it. -> how many records came.

        Raises LogUnavailable, TopicUnfit; the next call starts anew.
        """
        try:
            records = self._open().poll(_BATCH, timeout)
            for record in records:
                self._read(record)
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
        self._thread = threading.Thread(target=self._run, name=self._topic, daemon=True)
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
                _LOG.warning("%s can't be read, trying again: %s", self._topic, error)
                self._closing.wait(_PAUSE)

    def _open(self) -> Reader:
        if self._reader is None:
            described = self._log.topics().describe([self._topic], ASK_TIMEOUT)
            if self._topic not in described:
                raise TopicUnfit(f"topic {self._topic} is missing: create the topics first")
            count = described[self._topic].partitions
            self._partitions = [Partition(self._topic, index) for index in range(count)]
            reader = self._log.reader()
            try:
                reader.assign({it: self._first(reader, it) for it in self._partitions})
            except OperatorError:
                reader.close()
                raise
            self._reader = reader
        return self._reader

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read(self, record: Record) -> None:
        if record.value is None:
            return
        try:
            content = self._codec.decode(record, self._records).record
            with self._changed:
                self._take(content, record)
                self._changed.notify_all()
        except RecordRefused as error:
            # Whoever has to act on the record sends it to the dead letter; here it is passed.
            _LOG.error("%s[%d] %d: %s", self._topic, record.partition, record.offset, error)
