"""What goes with a record beside its value: Kafka headers.

================== ====================================================================
``kestrapy-record``  name of the record's schema, for people and for filters; never trusted
``kestrapy-source``  ``stage/partition/offset/index`` of the command that a fold put it out for
``traceparent``      W3C trace context; one that is malformed is left aside
``kestrapy-redrives`` how often it was sent again from the dead-letter topic; absent for 0
================== ====================================================================

A record without any of them is as good: producers in other languages need none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kestrapy.errors import RecordRefused
from kestrapy.machine.commands import Source
from kestrapy.ports.log import Headers
from kestrapy.wire.trace import parse_traceparent

RECORD = "kestrapy-record"
SOURCE = "kestrapy-source"
TRACEPARENT = "traceparent"
REDRIVES = "kestrapy-redrives"

_INT64_DIGITS = 19


class Envelope(NamedTuple):
    """A decoded record. source None: not put out by a fold. traceparent "": no trace."""

    record: Any
    source: Source | None
    traceparent: str
    redrives: int


def write_headers(
    named: Headers, source: Source | None, traceparent: str, redrives: int
) -> Headers:
    """Headers of a record. named: the header ``kestrapy-record``, made once per type."""
    headers = named
    if source is not None:
        place = f"{source.stage}/{source.partition}/{source.offset}/{source.index}"
        headers += ((SOURCE, place.encode()),)
    if traceparent:
        headers += ((TRACEPARENT, traceparent.encode()),)
    if redrives:
        headers += ((REDRIVES, b"%d" % redrives),)
    return headers


def read_headers(headers: Headers) -> tuple[Source | None, str, int]:
    """-> source, traceparent, redrives; of a repeated header the last. Raises RecordRefused."""
    source, traceparent, redrives = None, "", 0
    for name, value in headers:
        if name == SOURCE:
            source = _read_source(value)
        elif name == TRACEPARENT:
            traceparent = parse_traceparent(str(value or b"", "ascii", "replace"))
        elif name == REDRIVES:
            redrives = _read_number(REDRIVES, value, value)
    return source, traceparent, redrives


def _read_source(value: bytes) -> Source:
    parts = (value or b"").rsplit(b"/", 3)
    if len(parts) != 4 or not parts[0]:
        raise RecordRefused(f"header {SOURCE} is {value!r}, expected stage/partition/offset/index")
    try:
        stage = parts[0].decode()
    except UnicodeDecodeError:
        raise RecordRefused(f"header {SOURCE} is {value!r}, which is not UTF-8") from None
    partition, offset, index = (_read_number(SOURCE, value, part) for part in parts[1:])
    return Source(stage, partition, offset, index)


def _read_number(header: str, value: bytes, digits: bytes) -> int:
    # isdigit of bytes knows ASCII alone; int() would also take signs, blanks and underscores.
    if not (digits or b"").isdigit() or len(digits) > _INT64_DIGITS:
        raise RecordRefused(f"header {header} is {value!r}, expected a whole number from 0")
    return int(digits)
