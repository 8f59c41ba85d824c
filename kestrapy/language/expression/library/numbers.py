"""Filters and functions of numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from babel.core import UnknownLocaleError
from babel.numbers import format_decimal

from kestrapy.language.expression.calls import (
    Unfit,
    as_integer,
    as_list,
    as_number,
    as_text,
    filters,
    functions,
)
from kestrapy.language.expression.operators import LONG, fits, is_number, kind
from kestrapy.language.expression.scope import Scope

_INT = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]{1,16}|#[0-9a-fA-F]{1,16}|\d{1,19})[lL]?")
_FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?[fFdD]?")
_TYPES = ("INT", "LONG", "BIGINTEGER", "FLOAT", "DOUBLE", "BIGDECIMAL")


def number(scope: Scope, value: Any, type_: Any = "") -> Any:
    """A text → a number. type: INT, LONG, BIGINTEGER, FLOAT, DOUBLE or BIGDECIMAL."""
    if value is None:
        return None
    text, wanted = as_text(value).strip(), "" if type_ is None else as_text(type_)
    if wanted and wanted not in _TYPES:
        raise Unfit(f"needs a type of {', '.join(_TYPES)}, not `{wanted}`")
    found = _INT.fullmatch(text)
    if found and wanted in ("", *_TYPES[:3]):
        limit = 1 << 31 if wanted == "INT" else LONG
        whole = _whole(found[1], found[2])
        if not -limit <= whole < limit:
            raise Unfit(f"can't hold `{text}`")
        return whole
    if wanted not in _TYPES[:3] and len(text) <= 400 and _FLOAT.fullmatch(text):
        return fits(scope, float(text.rstrip("fFdD")))
    raise Unfit(f"needs the text of a {wanted or 'number'}, not `{text[:80]}`")


def _whole(sign: str, digits: str) -> int:
    if digits.startswith("#"):
        size = int(digits[1:], 16)
    else:
        size = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
    return -size if sign == "-" else size


def absolute(scope: Scope, value: Any) -> Any:
    return None if value is None else fits(scope, abs(as_number(value)))


def number_format(scope: Scope, value: Any, format_: Any = "#,##0.###", locale: Any = "en") -> Any:
    """format: of Java's DecimalFormat, such as ``#,##0.00``."""
    if value is None:
        return None
    pattern = as_text(format_)
    if len(pattern) > 100:
        raise Unfit("needs a format of at most 100 characters")
    exact = Decimal(repr(as_number(value)))
    try:
        return format_decimal(exact, pattern, as_text(locale).replace("-", "_"))
    except UnknownLocaleError as error:
        raise Unfit(str(error)) from None


def largest(scope: Scope, *values: Any) -> Any:
    return _outermost(scope, values, 1)


def smallest(scope: Scope, *values: Any) -> Any:
    return _outermost(scope, values, -1)


def _outermost(scope: Scope, values: tuple[Any, ...], direction: int) -> Any:
    items = as_list(values[0]) if len(values) == 1 and not is_number(values[0]) else list(values)
    scope.step(len(items))
    if not items:
        return None
    if not (all(map(is_number, items)) or all(isinstance(it, str) for it in items)):
        kinds = ", ".join(dict.fromkeys(map(kind, items)))
        raise Unfit(f"needs numbers or strings alone, not {kinds}")
    return max(items) if direction > 0 else min(items)


def range_(scope: Scope, start: Any, end: Any, increment: Any = 1) -> list[Any]:
    """From start to end, both included; whole numbers or single letters. None where the end comes
    before the start, unless the increment is below 0.
    """
    letters = isinstance(start, str) and isinstance(end, str) and len(start) == len(end) == 1
    first, last = (ord(start), ord(end)) if letters else (as_integer(start), as_integer(end))
    by = as_integer(increment)
    if by == 0:
        raise Unfit("needs an increment other than 0")
    found = range(first, last + (1 if by > 0 else -1), by)
    scope.step(_size(found))
    return [chr(it) for it in found] if letters else list(found)


def _size(found: range) -> int:
    return max(0, (found.stop - found.start) // found.step)  # len() has a limit of its own


def _remainder(value: Any) -> int:
    return as_integer(value) % 2


def even(scope: Scope, value: Any) -> bool:
    return _remainder(value) == 0


def odd(scope: Scope, value: Any) -> bool:
    return _remainder(value) == 1


def max_of(scope: Scope, value: Any, *more: Any) -> Any:
    return largest(scope, value, *more)


def min_of(scope: Scope, value: Any, *more: Any) -> Any:
    return smallest(scope, value, *more)


FILTERS = tuple(
    filters(
        {
            "abs": absolute,
            "max": max_of,
            "min": min_of,
            "number": number,
            "numberFormat": number_format,
            "numberformat": number_format,
        }
    )
)
FUNCTIONS = tuple(functions({"max": largest, "min": smallest, "range": range_}))
TESTS = tuple(filters({"even": even, "odd": odd}))
