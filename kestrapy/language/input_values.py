"""The types of inputs and outputs: what a value of each is, and what converts to it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Never

from kestrapy.language.fields import plain
from kestrapy.language.problems import shown
from kestrapy.model.flow import Input

_INT = re.compile(r"[-+]?[0-9]{1,19}", re.ASCII)
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_LONG = 1 << 63


class Unfit(Exception):
    """A value that is not of its type, or outside what its input allows; the text says why."""


def convert(declared: Input, value: Any) -> Any:
    """A value that is not null as what its input declares. Raises Unfit."""
    typed = TYPES[declared.type](value)
    if declared.min is not None and typed < declared.min:
        raise Unfit(f"it must be more than `{plain(declared.min)}`")
    if declared.max is not None and typed > declared.max:
        raise Unfit(f"it must be less than `{plain(declared.max)}`")
    if declared.validator and not re.fullmatch(declared.validator, typed):
        raise Unfit(f"it must match the pattern `{declared.validator}`")
    return typed


def _refuse(expected: str, value: Any) -> Never:
    raise Unfit(f"expected {expected}, got {shown(value)}")


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return plain(value)
    _refuse("a string", value)


def _int(value: Any) -> int:
    if isinstance(value, str) and _INT.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -_LONG <= value < _LONG:
        return value
    _refuse("a whole number of 64 bits", value)


def _float(value: Any) -> float:
    if isinstance(value, str) and _FLOAT.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    _refuse("a number", value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    _refuse("true or false", value)


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=lambda name: _refuse("JSON", name))
    except (ValueError, RecursionError):
        _refuse("JSON", value)


def _file(value: Any) -> str:
    if isinstance(value, str) and value.startswith("kestra:///"):
        return value
    _refuse("the URI of a file in internal storage, such as kestra:///team/data.csv", value)


TYPES: dict[str, Callable[[Any], Any]] = {
    "STRING": _string,
    "INT": _int,
    "FLOAT": _float,
    "BOOL": _bool,
    "JSON": _json,
    "FILE": _file,
}
"""By name, how a value becomes one of the type; each raises Unfit."""
