"""The log, folded once by nobody's process: what every owner's state and outputs must equal."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from kestrapy.machine.commands import Source
from kestrapy.machine.entities import Entity
from kestrapy.machine.folds import encode_entity
from kestrapy.machine.outputs import Refusal
from kestrapy.machine.stage import Arrival, Folded, Position, Stage
from kestrapy.ports.log import Message, Record
from kestrapy.servers.router import Router
from kestrapy.wire.envelope import Envelope

Mark = tuple[int, int, int, str]
"""Of a state: the sum of its entities' hashes, and what its position says beside the offset."""


class Place(NamedTuple):
    """A partition of a command topic."""

    topic: str
    partition: int


def entity_mark(key: str, entity: Entity | None) -> int:
    if entity is None:
        return 0
    hasher = blake2b(key.encode(), digest_size=8)
    hasher.update(encode_entity(entity))
    return int.from_bytes(hasher.digest(), "big")


def mark_of(stage: Stage) -> Mark:
    """Of a whole state."""
    total = sum(entity_mark(key, entity) for key, entity in stage.state.items())
    return _mark(total, stage.position)


def _mark(total: int, position: Position) -> Mark:
    sources = " ".join(f"{name}={mark}" for name, mark in sorted(position.sources.items()))
    return total % (1 << 64), position.at, position.version, sources


class Reference:
    """stages: as they are now. arrivals: all that was folded, in order. marks: by place and
    offset.
    """

    def __init__(self, router: Router, begin: Callable[[Place], Stage]):
        self.stages: dict[Place, Stage] = {}
        self.arrivals: dict[Place, list[Arrival]] = {}
        self.marks: dict[tuple[Place, int], Mark] = {}
        self._router = router
        self._begin = begin
        self._of_key: dict[tuple[Place, str], int] = {}
        self._totals: dict[Place, int] = {}
        self._seen: set[Source] = set()
        self._said: dict[tuple[str, int, int], list[list[Message]]] = {}

    def fold(self, record: Record) -> tuple[Envelope, Folded]:
        """Fold the next record of its partition."""
        place = Place(record.topic, record.partition)
        stage = self._stage(place)
        envelope = self._router.codec.decode(record)
        arrival = Arrival(
            envelope.record,
            record.timestamp,
            record.offset,
            envelope.source,
            envelope.redrives,
            envelope.traceparent,
        )
        folded = stage.fold(arrival)
        self.arrivals[place].append(arrival)
        total = self._totals[place]
        for key, entity in folded.changes.items():
            fresh = entity_mark(key, entity)
            total += fresh - self._of_key.get((place, key), 0)
            self._of_key[place, key] = fresh
        self._totals[place] = total
        self.marks[place, stage.position.offset] = _mark(total, stage.position)
        self._say(stage.name, record, folded)
        return envelope, folded

    def _stage(self, place: Place) -> Stage:
        if place not in self.stages:
            stage = self.stages[place] = self._begin(place)
            self.arrivals[place], self._totals[place] = [], 0
            self.marks[place, 0] = _mark(0, stage.position)
        return self.stages[place]

    def _say(self, name: str, record: Record, folded: Folded) -> None:
        self._said[name, record.partition, record.offset] = [
            [] if isinstance(output, Refusal) else self._router.messages(output)
            for output in folded.outputs
        ]

    def problem_of_output(self, record: Record, source: Source) -> str | None:
        """Why a record that says that it comes from a fold is not what the fold puts out."""
        self._seen.add(source)
        outputs = self._said.get((source.stage, source.partition, source.offset))
        if outputs is None:
            return f"its command {source} was never folded"
        if source.index >= len(outputs):
            return f"the command of {source} has {len(outputs)} outputs"
        for message in outputs[source.index]:
            if (message.topic, message.key, message.value) == (
                record.topic,
                record.key,
                record.value,
            ):
                return None
        return f"another fold of {source} put out something else"

    def unsent(self) -> list[Source]:
        """Outputs that stand nowhere in the log, though a fold puts them out."""
        return [
            source
            for (stage, partition, offset), outputs in self._said.items()
            for index, messages in enumerate(outputs)
            if messages and (source := Source(stage, partition, offset, index)) not in self._seen
        ]

    def problem_of_state(self, place: Place, stage: Stage) -> str | None:
        """Why an owner's state is not that of the log up to its position."""
        offset = stage.position.offset
        expected = self.marks.get((place, offset))
        if expected is None and offset == 0:
            expected = _mark(0, Position())
        if expected is None:
            return None  # between two records: gaps are passed without a command
        found = mark_of(stage)
        if found == expected:
            return None
        return f"the state at offset {offset} is {found}, folded from the beginning {expected}"
