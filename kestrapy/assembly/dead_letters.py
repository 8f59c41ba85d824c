"""Reading the dead-letter topic, and sending what stands there again."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kestrapy.assembly.parts import Parts
from kestrapy.errors import LogUnavailable, NotFound, RecordRefused
from kestrapy.machine.outputs import DeadLetter
from kestrapy.ports.log import Message, Partition, Record
from kestrapy.wire.envelope import write_headers

TIMEOUT = 15.0


class DeadLetters:
    """A letter's number is its offset in the topic, which has one partition."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self._partition = Partition(parts.catalogue.dead_letter, 0)

    def newest(self, limit: int) -> Iterator[tuple[int, DeadLetter]]:
        """In the order of their numbers. Raises LogUnavailable."""
        reader = self._parts.log.reader()
        try:
            end = reader.end_offset(self._partition, TIMEOUT)
            first = max(reader.beginning_offset(self._partition, TIMEOUT), end - limit)
        finally:
            reader.close()
        yield from self._read(first, end)

    def get(self, number: int) -> DeadLetter:
        """Raises NotFound."""
        for _, letter in self._read(number, number + 1):
            return letter
        raise NotFound(f"there is no dead letter {number}")

    def content(self, letter: DeadLetter) -> str:
        """The record as text, as far as it can be read."""
        try:
            return repr(self._parts.codec.decode(_as_record(letter)).record)
        except RecordRefused:
            return repr(letter.value)

    def redrive(self, number: int) -> DeadLetter:
        """Raises NotFound, LogUnavailable. The source topic gets the very bytes that it had."""
        letter = self._whole(self.get(number))
        message = Message(
            letter.topic,
            letter.value,
            letter.key,
            None,
            write_headers((), None, "", letter.redrives + 1),
        )
        producer = self._parts.log.producer()
        failures: list[object] = []
        producer.send(message, lambda error: failures.append(error) if error else None)
        unanswered = producer.flush(TIMEOUT)
        producer.close()
        if unanswered or failures:
            raise LogUnavailable(f"dead letter {number} was not sent: {failures or 'no answer'}")
        return letter

    def _whole(self, letter: DeadLetter) -> DeadLetter:
        """With its value; one that was too large for the letter is read where it stands."""
        if letter.value is not None:
            return letter
        place = Partition(letter.topic, letter.partition)
        for record in self._records(place, letter.offset, letter.offset + 1):
            return msgspec.structs.replace(letter, value=record.value)
        raise NotFound(f"{place.topic}/{place.index}/{letter.offset} is not kept any more")

    def _read(self, first: int, end: int) -> Iterator[tuple[int, DeadLetter]]:
        for record in self._records(self._partition, first, end):
            yield record.offset, self._parts.codec.decode(record, (DeadLetter,)).record

    def _records(self, partition: Partition, first: int, end: int) -> Iterator[Record]:
        """Those at the offsets from first to before end; nothing where any of them is not there."""
        reader = self._parts.log.reader()
        try:
            if not reader.beginning_offset(partition, TIMEOUT) <= first < end:
                return
            if end > reader.end_offset(partition, TIMEOUT):
                return
            reader.assign({partition: first})
            deadline = self._parts.clock.monotonic() + int(TIMEOUT * 1000)
            while reader.position(partition) < end:
                if self._parts.clock.monotonic() > deadline:
                    raise LogUnavailable(f"{partition.topic} could not be read")
                yield from (it for it in reader.poll(500, 0.2) if it.offset < end)
        finally:
            reader.close()


def _as_record(letter: DeadLetter) -> Record:
    return Record(
        letter.topic, letter.partition, letter.offset, letter.at, letter.key, letter.value, ()
    )
