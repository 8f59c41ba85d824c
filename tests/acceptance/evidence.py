"""What the topics of a cluster say, read once everything is over."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from kestrapy.assembly.parts import Parts
from kestrapy.machine.outputs import ExecutionEvent
from kestrapy.model.state import State
from kestrapy.ports.log import Partition, Record
from kestrapy.wire.envelope import Envelope

TIMEOUT = 15.0


class Seen(NamedTuple):
    """A record where it stands, and what is in it."""

    record: Record
    envelope: Envelope

    @property
    def content(self) -> Any:
        return self.envelope.record


def partitions_of(parts: Parts, topic: str) -> list[Partition]:
    described = parts.log.topics().describe([topic], TIMEOUT)[topic]
    return [Partition(topic, index) for index in range(described.partitions)]


def read_topic(parts: Parts, topic: str) -> list[Seen]:
    """Everything that stands there now, by partition and offset."""
    found = [Seen(it, parts.codec.decode(it)) for it in read_records(parts, topic)]
    return sorted(found, key=lambda it: (it.record.partition, it.record.offset))


def read_records(parts: Parts, topic: str) -> Iterator[Record]:
    reader = parts.log.reader()
    try:
        places = partitions_of(parts, topic)
        ends = {it: reader.end_offset(it, TIMEOUT) for it in places}
        reader.assign({it: reader.beginning_offset(it, TIMEOUT) for it in places})
        deadline = time.monotonic() + TIMEOUT
        while any(reader.position(it) < end for it, end in ends.items()):
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            yield from reader.poll(5_000, 0.2)
    finally:
        reader.close()


class Ends:
    """Follows ``execution-events`` from their beginning, to know which executions have ended."""

    def __init__(self, parts: Parts):
        self.states: dict[str, State] = {}
        self._parts = parts
        self._reader = parts.log.reader()
        places = partitions_of(parts, parts.catalogue.execution_events)
        self._reader.assign({it: self._reader.beginning_offset(it, TIMEOUT) for it in places})

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def await_all(self, execution_ids: Collection[str], timeout: float) -> None:
        """Until each of them has ended, however it did."""
        deadline = time.monotonic() + timeout
        waiting = set(execution_ids)
        while waiting := waiting - self.states.keys():
            if time.monotonic() > deadline:
                some = sorted(waiting)[:10]
                raise AssertionError(f"{len(waiting)} executions have not ended: {some}")
            for record in self._reader.poll(5_000, 0.2):
                self._take(self._parts.codec.decode(record, (ExecutionEvent,)).record)

    def _take(self, event: ExecutionEvent) -> None:
        if event.execution is not None and event.execution.state.is_terminal:
            self.states[event.execution_id] = event.execution.state
