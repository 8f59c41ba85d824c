"""Instants, dates, times and durations as texts, in the one form that Java writes each of them in.

Every function takes a text of ISO 8601 and raises ValueError for any other. Of one type, the forms
without their ``Z`` are in the order of what they stand for; durations excepted.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction

from kestrapy.language.durations import seconds_of

_TIME = re.compile(r"(\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?", re.ASCII)
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NANOS = 10**9


def instant(text: str) -> str:
    """``2019-10-06T20:27:49+02:00`` → ``2019-10-06T18:27:49Z``; a fraction has 3, 6 or 9 digits."""
    found = _INSTANT.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    seconds, fraction, offset = found.groups()
    try:
        at = datetime.fromisoformat(f"{seconds}{offset}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error
    digits = (fraction or "").ljust(9, "0")
    while digits.endswith("000"):
        digits = digits[:-3]
    return at.replace(tzinfo=None).isoformat() + (f".{digits}Z" if digits else "Z")


def epoch_ms(text: str) -> int:
    """An instant in ms since 1970."""
    at = datetime.fromisoformat(instant(text))
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def local_date(text: str) -> str:
    """``2019-10-06``."""
    if not _DATE.fullmatch(text.strip()):
        raise ValueError(text)
    return date.fromisoformat(text.strip()).isoformat()


def local_time(text: str) -> str:
    """``18:27`` → ``18:27:00``; a fraction has as many digits as it needs."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    digits = (found[2] or "").rstrip("0")
    return time.fromisoformat(found[1]).isoformat() + (f".{digits}" if digits else "")


def duration(text: str) -> str:
    """``P1DT60S`` → ``PT24H1M``. Exact to a nanosecond."""
    nanos = int(seconds_of(text) * _NANOS)
    minutes, nanos = divmod(nanos, 60 * _NANOS)
    hours, minutes = divmod(minutes, 60)
    seconds, nanos = divmod(nanos, _NANOS)
    shown = f"{hours}H" if hours else ""
    shown += f"{minutes}M" if minutes else ""
    if seconds or nanos or not shown:
        fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
        shown += f"{seconds}{fraction}S"
    return "PT" + shown


def length(text: str) -> Fraction:
    """Seconds of a duration, to compare it by."""
    return seconds_of(text)
