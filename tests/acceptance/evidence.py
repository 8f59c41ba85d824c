"""What the topics of a cluster say, read once everything is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
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


def keep_newest(last: dict[str, ExecutionEvent], event: ExecutionEvent) -> None:
    """last: by execution, its own newest event. A new owner writes earlier ones once more."""
    known = last.get(event.execution_id)
    if event.execution is not None and (known is None or known.number < event.number):
        last[event.execution_id] = event


class Follower:
    """Follows ``execution-events`` from their beginning. last: by execution, of the execution
    itself; seen: all of them, in the order of reading."""

    def __init__(self, parts: Parts):
        self.last: dict[str, ExecutionEvent] = {}
        self.seen: list[ExecutionEvent] = []
        self._parts = parts
        self._reader = parts.log.reader()
        places = partitions_of(parts, parts.catalogue.execution_events)
        self._reader.assign({it: self._reader.beginning_offset(it, TIMEOUT) for it in places})

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @property
    def ended(self) -> dict[str, State]:
        """In which state, by execution."""
        states = {key: it.execution.state for key, it in self.last.items() if it.execution}
        return {key: state for key, state in states.items() if state.is_terminal}

    def await_ends(self, execution_ids: Collection[str], timeout: float = 60.0) -> None:
        """Until each of them has ended, however it did."""
        wanted = set(execution_ids)
        self.await_that(lambda: wanted <= self.ended.keys(), f"{len(wanted)} ends", timeout)

    def await_that(self, holds: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        """Until it holds; asked after each batch of events."""
        deadline = time.monotonic() + timeout
        while not holds():
            if time.monotonic() > deadline:
                live = sorted(self.last.keys() - self.ended.keys())
                raise AssertionError(f"{what} did not come; {len(live)} live: {live[:10]}")
            for record in self._reader.poll(5_000, 0.2):
                event = self._parts.codec.decode(record, (ExecutionEvent,)).record
                self.seen.append(event)
                keep_newest(self.last, event)
