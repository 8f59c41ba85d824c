"""The functions of jq for dates. What reads the clock or the machine's zone is not among them."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from kestrapy.language.expression.calls import Unfit, as_list, as_number, as_text
from kestrapy.language.expression.scope import Scope

_ISO = "%Y-%m-%dT%H:%M:%SZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMAT = re.compile(r"(?:[^%]|%[aAbBdeFHIjmMnpSTuUwWyYzZ%]){1,100}+", re.DOTALL)


def _moment(value: Any) -> datetime:
    """Of epoch seconds, or of a list of year, month from 0, day, hour, minute and second."""
    try:
        if not isinstance(value, list):
            return _EPOCH + timedelta(seconds=as_number(value))
        year, month, day, hour, minute, second = (as_number(it) for it in as_list(value)[:6])
        start = datetime(int(year), int(month) + 1, int(day), int(hour), int(minute), tzinfo=UTC)
        return start + timedelta(seconds=second)
    except (OverflowError, ValueError) as error:
        raise Unfit(f"needs a date, not {str(value)[:80]}: {error}") from None


def _parts(scope: Scope, value: Any) -> list[Any]:
    when = _moment(value)
    second = when.second + when.microsecond / 1_000_000
    whole = int(second) if second.is_integer() else second
    day = when.timetuple().tm_yday - 1
    weekday = when.isoweekday() % 7
    return [when.year, when.month - 1, when.day, when.hour, when.minute, whole, weekday, day]


def _seconds(scope: Scope, value: Any) -> int:
    return calendar.timegm(_moment(as_list(value)).timetuple())


def _written(scope: Scope, value: Any, form: Any) -> str:
    return _moment(value).strftime(_known(form))


def _read(scope: Scope, value: Any, form: Any) -> list[Any]:
    text = as_text(value)
    if len(text) > 200:
        raise Unfit("needs a date of at most 200 characters")
    try:
        when = datetime.strptime(text, _known(form))
    except (ValueError, re.error):
        raise Unfit(f"can't read `{text[:80]}` as `{form}`") from None
    moment = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return _parts(scope, calendar.timegm(moment.utctimetuple()))


def _known(form: Any) -> str:
    if not _FORMAT.fullmatch(as_text(form)):
        raise Unfit(f"can't use the date format `{form[:80]}`")
    return str(form).replace("%e", "%d").replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S")


def _from_iso(scope: Scope, value: Any) -> int:
    return _seconds(scope, _read(scope, value, _ISO))


def _to_iso(scope: Scope, value: Any) -> str:
    return _written(scope, value, _ISO)


FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = {
    ("date", 0): _to_iso,
    ("fromdate", 0): _from_iso,
    ("fromdateiso8601", 0): _from_iso,
    ("gmtime", 0): _parts,
    ("mktime", 0): _seconds,
    ("strftime", 1): _written,
    ("strptime", 1): _read,
    ("todate", 0): _to_iso,
    ("todateiso8601", 0): _to_iso,
}
"""By name and number of arguments."""
