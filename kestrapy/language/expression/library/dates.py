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
_LAST_SECOND = 60_000_000_000
ISO = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"
_FRACTION = "'\0'"
"""In a pattern: as many digits after the second as are needed, with a point before them."""
_NAMED = {
    "iso": ISO,
    "iso_sec": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "sql": "yyyy-MM-dd HH:mm:ss.SSSSSS",
    "sql_seq": "yyyy-MM-dd HH:mm:ss",
    "iso_date_time": f"yyyy-MM-dd'T'HH:mm:ss{_FRACTION}XXX'['VV']'",
    "iso_date": "yyyy-MM-ddXXX",
    "iso_time": f"HH:mm:ss{_FRACTION}XXX",
    "iso_local_date": "yyyy-MM-dd",
    "iso_instant": f"yyyy-MM-dd'T'HH:mm:ss{_FRACTION}XXX",
    "iso_local_date_time": f"yyyy-MM-dd'T'HH:mm:ss{_FRACTION}",
    "iso_local_time": f"HH:mm:ss{_FRACTION}",
    "iso_offset_time": f"HH:mm:ss{_FRACTION}XXX",
    "iso_ordinal_date": "yyyy-DDD[XXX]",
    "iso_week_date": "YYYY-'W'ww-eXXX",
    "iso_zoned_date_time": f"yyyy-MM-dd'T'HH:mm:ss{_FRACTION}XXX'['VV']'",
    "rfc_1123_date_time": "EEE, d MMM yyyy HH:mm:ss 'GMT'",
}
_STYLES = ("full", "long", "medium", "short")
_OWN = re.compile("\ue000")
"""The mark of a part that is put in after Babel has written the others."""
_UTC_NAMED = ("iso_instant", "rfc_1123_date_time")
_BY_ISO = (
    "iso",
    "iso_sec",
    "iso_date",
    "iso_date_time",
    "iso_instant",
    "iso_local_date",
    "iso_local_date_time",
    "iso_week_date",
    "iso_zoned_date_time",
)
"""Formats that are read as any date of ISO 8601 is."""
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?")
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[\[\]]|[^A-Za-z'\[\]]+")
"""Of a pattern: quoted text, a letter and its like, a bracket around what may be left out, text."""
_ZONE_LAST = re.compile(r"(.*) (?:VV|z{1,3})")
"""A pattern that ends with the name of a zone, which stands after a blank."""
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
        if abs(value) > _LAST_SECOND:
            raise Unfit(f"needs epoch seconds, not {value}: that is beyond the year 9999")
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
    if pattern in _BY_ISO:
        return _by_iso(text)
    if len(pattern) > 100 or len(text) > 200:
        raise Unfit("needs a format of at most 100 characters, and a date of at most 200")
    if "S" in pattern:
        text = re.sub(r"([.,]\d{6})\d+", r"\1", text)
    letters, where = _NAMED.get(pattern, pattern), None
    if zoned := _ZONE_LAST.fullmatch(letters):
        letters = zoned[1]
        text, _, place = text.rpartition(" ")
        where = zone(place)
    for directives in dict.fromkeys(_directives(letters, optional) for optional in (True, False)):
        try:
            found = datetime.strptime(text, directives)
        except (ValueError, re.error):
            continue
        return found.replace(tzinfo=UTC if pattern in _UTC_NAMED else where or found.tzinfo)
    raise Unfit(f"can't read `{text[:80]}` as `{pattern}`")


def _directives(pattern: str, optional: bool) -> str:
    """For ``strptime``. optional: with what stands in brackets."""
    found, depth = [], 0
    for token in _TOKEN.finditer(pattern):
        if token[0] in "[]":
            depth += 1 if token[0] == "[" else -1
        elif optional or depth <= 0:
            found.append(_directive(token))
    return "".join(found)


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
    own: list[str] = []
    tokens = _TOKEN.finditer(_NAMED.get(name, name))
    letters = "".join(_ldml(it, local, own) for it in tokens if it[0] not in "[]")
    filled = iter(own)
    return _OWN.sub(lambda _: next(filled, ""), format_datetime(local, letters, locale=spoken))


def _ldml(token: re.Match[str], local: datetime, own: list[str]) -> str:
    """A part of Java's pattern in the letters of Babel. What Babel writes otherwise than Java is
    added to own, with a mark for its place.
    """
    text = _as_java(token, local)
    if text is not None:
        own.append(text)
        return _OWN.pattern
    return token[0].replace("u", "y") if token[2] == "u" else token[0]


def _as_java(token: re.Match[str], local: datetime) -> str | None:
    letter, name = token[2], local.tzname() or ""
    if token[0] == _FRACTION:
        return _fraction(local)
    if letter == "z" and len(token[0]) < 4 and name.isalpha():
        return name
    if letter == "V":
        return str(getattr(local.tzinfo, "key", name if name == "UTC" else name[3:]))
    if letter == "O" or token[0] == "ZZZZ":
        return _offset(local, short=token[0] == "O")
    if letter in ("n", "N"):
        day = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
        before = day // timedelta(microseconds=1) if letter == "N" else 0
        return str((before + local.microsecond) * 1000)
    return None


def _offset(local: datetime, short: bool) -> str:
    """GMT+2 or GMT+02:00."""
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    if minutes == 0:
        return "GMT"
    shown = f"{hours}:{rest:02}" if rest else f"{hours}"
    return f"GMT{'-' if minutes < 0 else '+'}{shown if short else f'{hours:02}:{rest:02}'}"


def _fraction(local: datetime) -> str:
    return f".{local.microsecond:06}".rstrip("0") if local.microsecond else ""


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
