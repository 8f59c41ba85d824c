"""Dates: read as ISO 8601 or by a pattern of Java's, written by one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from babel.core import Locale, UnknownLocaleError
from babel.dates import format_datetime

from kestrapy.language.expression.calls import (
    Unfit,
    as_integer,
    as_text,
    as_text_or_none,
    filters,
)
from kestrapy.language.expression.scope import Scope

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ISO = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"
_NAMED = {
    "iso": ISO,
    "iso_sec": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "sql": "yyyy-MM-dd HH:mm:ss.SSSSSS",
    "sql_seq": "yyyy-MM-dd HH:mm:ss",
    "iso_date_time": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX'['VV']'",
    "iso_date": "yyyy-MM-ddXXX",
    "iso_time": "HH:mm:ss.SSSSSSXXX",
    "iso_local_date": "yyyy-MM-dd",
    "iso_instant": ISO,
    "iso_local_date_time": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
    "iso_local_time": "HH:mm:ss.SSSSSS",
    "iso_offset_time": "HH:mm:ss.SSSSSSXXX",
    "iso_ordinal_date": "yyyy-DDDXXX",
    "iso_week_date": "YYYY-'W'ww-eXXX",
    "iso_zoned_date_time": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX'['VV']'",
    "rfc_1123_date_time": "EEE, d MMM yyyy HH:mm:ss 'GMT'",
}
_STYLES = ("full", "long", "medium", "short")
_UTC_NAMED = ("iso_instant", "rfc_1123_date_time")
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?")
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")
_READ: dict[str, str] = {
    **dict.fromkeys(("y", "yyyy", "u", "uuuu"), "%Y"),
    **dict.fromkeys(("yy", "uu"), "%y"),
    **dict.fromkeys(("M", "MM", "L", "LL"), "%m"),
    "MMM": "%b",
    "MMMM": "%B",
    **dict.fromkeys(("d", "dd"), "%d"),
    **dict.fromkeys(("D", "DDD"), "%j"),
    **dict.fromkeys(("H", "HH"), "%H"),
    **dict.fromkeys(("h", "hh"), "%I"),
    **dict.fromkeys(("m", "mm"), "%M"),
    **dict.fromkeys(("s", "ss"), "%S"),
    **dict.fromkeys(("E", "EE", "EEE"), "%a"),
    "EEEE": "%A",
    "a": "%p",
    **dict.fromkeys(("X", "XX", "XXX", "x", "xx", "xxx", "Z", "ZZZZZ"), "%z"),
    **dict.fromkeys(("S" * count for count in range(1, 10)), "%f"),
}
"""Java's letters → those of ``strptime``."""

_UNITS: dict[str, Callable[[int], timedelta]] = {
    "NANOS": lambda n: timedelta(microseconds=n // 1000),
    "MICROS": lambda n: timedelta(microseconds=n),
    "MILLIS": lambda n: timedelta(milliseconds=n),
    "SECONDS": lambda n: timedelta(seconds=n),
    "MINUTES": lambda n: timedelta(minutes=n),
    "HOURS": lambda n: timedelta(hours=n),
    "HALF_DAYS": lambda n: timedelta(hours=12 * n),
    "DAYS": lambda n: timedelta(days=n),
    "WEEKS": lambda n: timedelta(weeks=n),
}
_MONTHS = {"MONTHS": 1, "YEARS": 12, "DECADES": 120, "CENTURIES": 1200, "MILLENNIA": 12_000}


def zone(name: Any) -> tzinfo:
    """A time zone by its name or offset; without one UTC."""
    if name is None:
        return UTC
    text = as_text(name)
    if text in ("UTC", "GMT", "Z"):
        return UTC
    if found := _OFFSET.fullmatch(text):
        span = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return timezone(-span if found[1] == "-" else span)
    try:
        return ZoneInfo(text)
    except (OSError, ValueError, KeyError):
        raise Unfit(f"knows no time zone `{text[:80]}`") from None


def moment(value: Any, where: tzinfo, existing_format: str | None) -> datetime:
    """A date. where: the zone of a text that names none. A whole number is epoch seconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return EPOCH + timedelta(seconds=value)
    text = as_text(value)
    found = _by_pattern(text, existing_format) if existing_format is not None else _by_iso(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=where)


def _by_iso(text: str) -> datetime:
    plain, bracket, place = text.partition("[")
    try:
        found = datetime.fromisoformat(plain)
    except ValueError:
        raise Unfit(f"needs a date of ISO 8601, not `{text[:80]}`") from None
    return found.astimezone(zone(place.rstrip("]"))) if bracket else found


def _by_pattern(text: str, pattern: str) -> datetime:
    if pattern in ("iso", "iso_sec", "iso_date_time", "iso_zoned_date_time", "iso_instant"):
        return _by_iso(text)
    if len(pattern) > 100 or len(text) > 200:
        raise Unfit("needs a format of at most 100 characters, and a date of at most 200")
    directives = "".join(_directive(it) for it in _TOKEN.finditer(_NAMED.get(pattern, pattern)))
    if "S" in pattern:
        text = re.sub(r"([.,]\d{6})\d+", r"\1", text)
    try:
        found = datetime.strptime(text, directives)
        return found.replace(tzinfo=UTC) if pattern in _UTC_NAMED else found
    except (ValueError, re.error):
        raise Unfit(f"can't read `{text[:80]}` as `{pattern}`") from None


def _directive(token: re.Match[str]) -> str:
    if token[2] is None:
        plain = token[0] if token[1] is None else token[1].replace("''", "'") or "'"
        return plain.replace("%", "%%")
    if token[0] not in _READ:
        raise Unfit(f"can't read dates with `{token[0]}` in a format")
    return _READ[token[0]]


def written(instant: datetime, format_: str | None, time_zone: Any, locale: str | None) -> str:
    """format: a name such as ``iso`` or ``sql``, a style such as ``short``, or a pattern."""
    name = "iso" if format_ is None else format_
    if len(name) > 200:
        raise Unfit("needs a format of at most 200 characters")
    local = instant.astimezone(UTC if name in _UTC_NAMED else zone(time_zone))
    try:
        spoken = Locale.parse((locale or "en").replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        raise Unfit(f"knows no locale `{(locale or '')[:80]}`") from None
    if name in _STYLES:
        return format_datetime(local, name, locale=spoken)
    pattern = _NAMED.get(name, name)
    letters = "".join(_ldml(token, local) for token in _TOKEN.finditer(pattern))
    return format_datetime(local, letters, locale=spoken)


def _ldml(token: re.Match[str], local: datetime) -> str:
    """A part of Java's pattern in the letters of Babel, which knows fewer short names of zones."""
    zone_name = local.tzname() or ""
    if token[2] == "z" and len(token[0]) < 4 and zone_name.isalpha():
        return f"'{zone_name}'"
    return token[0].replace("u", "y") if token[2] == "u" else token[0]


def date_(
    scope: Scope,
    value: Any,
    format_: Any = None,
    time_zone: Any = None,
    existing_format: Any = None,
    locale: Any = None,
) -> Any:
    if value is None:
        return None
    instant = moment(value, zone(time_zone), as_text_or_none(existing_format))
    return written(instant, as_text_or_none(format_), time_zone, as_text_or_none(locale))


def date_add(  # noqa: PLR0913 - Kestra's arguments
    scope: Scope,
    value: Any,
    amount: Any,
    unit: Any,
    format_: Any = None,
    time_zone: Any = None,
    existing_format: Any = None,
    locale: Any = None,
) -> Any:
    """unit: of Java's ChronoUnit, such as DAYS."""
    if value is None:
        return None
    where = zone(time_zone)
    instant = moment(value, where, as_text_or_none(existing_format))
    later = added(instant, as_integer(amount), as_text(unit))
    return written(later, as_text_or_none(format_), time_zone, as_text_or_none(locale))


def added(instant: datetime, amount: int, unit: str) -> datetime:
    """Days and longer units keep the time of day, shorter ones are exact."""
    if unit in _MONTHS:
        months = instant.year * 12 + instant.month - 1 + amount * _MONTHS[unit]
        year, month = divmod(months, 12)
        if not 1 <= year <= 9998:
            raise Unfit(f"leaves the years 1 to 9998 by {amount} {unit}")
        first, following = (
            date(year, month + 1, 1),
            date(year + month // 11, (month + 1) % 12 + 1, 1),
        )
        return instant.replace(
            year=year, month=month + 1, day=min(instant.day, (following - first).days)
        )
    if unit not in _UNITS:
        raise Unfit(f"needs a unit of {', '.join([*_UNITS, *_MONTHS])}, not `{unit[:80]}`")
    span = _UNITS[unit](amount)
    if unit in ("DAYS", "WEEKS"):
        return instant + span
    return (instant.astimezone(UTC) + span).astimezone(instant.tzinfo)


def _timestamp(microseconds: Callable[[int], Any]) -> Callable[..., Any]:
    def apply(scope: Scope, value: Any, time_zone: Any = None, existing_format: Any = None) -> Any:
        if value is None:
            return None
        instant = moment(value, zone(time_zone), as_text_or_none(existing_format))
        return microseconds((instant - EPOCH) // timedelta(microseconds=1))

    return apply


FILTERS = tuple(
    filters(
        {
            "date": date_,
            "dateAdd": date_add,
            "timestamp": _timestamp(lambda it: it // 1_000_000),
            "timestampMicro": _timestamp(lambda it: it),
            "timestampMilli": _timestamp(lambda it: it // 1000),
            "timestampNano": _timestamp(lambda it: it * 1000),
        }
    )
)
