"""A record that can't be read or folded, as a dead letter."""

from __future__ import annotations

from kestrapy.machine.outputs import DeadLetter
from kestrapy.ports.log import Record

VALUE_LIMIT = 700_000
"""Bytes of a value that a letter holds; with the rest it has to stay below a record's limit."""


def letter_of(record: Record, reason: str, name: str = "", redrives: int = 0) -> DeadLetter:
    """name: of the record's type, where it is known. redrives: how often it was sent again before.

    A value beyond VALUE_LIMIT is left out: it stands at its place for as long as its topic keeps
    it, and ``redrive`` reads it from there.
    """
    value = record.value
    if value is not None and len(value) > VALUE_LIMIT:
        reason = f"{reason} (its {len(value)} bytes are not kept here, but at its place)"
        value = None
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        record_name=name,
        reason=reason[:10_000],
        at=record.timestamp,
        key=record.key,
        value=value,
        redrives=redrives,
    )
