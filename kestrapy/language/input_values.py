"""The types of inputs and outputs: what a value of each is, and what converts to it.

Values are JSON: an instant, a date, a time and a duration are texts of ISO 8601.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never

from kestrapy.errors import FlowRefused
from kestrapy.language import temporals
from kestrapy.language.fields import plain
from kestrapy.language.problems import shown
from kestrapy.language.yaml_source import parse
from kestrapy.model.inputs import ENCRYPTED, SECRET_DEFAULT, Input

_INT = re.compile(r"[-+]?[0-9]{1,19}", re.ASCII)
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_EMAIL_WORD = r"[\w!#$%&'*+/=?`{|}~^-]+"
_EMAIL = re.compile(rf"{_EMAIL_WORD}(\.{_EMAIL_WORD})*@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*")
_LONG = 1 << 63
STORED = "kestra:///"
"""What URIs of files in internal storage begin with."""
DEFAULT_FILES = ("file:///", "nsfile:///", STORED)
"""What the default of a FILE may begin with."""


class Unfit(Exception):
    """A value that is not of its type, or outside what its input allows; each cause says why."""

    def __init__(self, *causes: str):
        self.causes = causes
        super().__init__("; ".join(causes))


def convert(declared: Input, value: Any, options: Sequence[str] | None = None) -> Any:
    """A value that is not null as what its input declares. Raises Unfit.

    options: the values of a SELECT or MULTISELECT; None where they aren't known yet.
    """
    if not declared.contradiction:
        return _convert(declared, value, options)
    causes: tuple[str, ...] = ()
    try:
        _convert(declared, value, options)
    except Unfit as error:
        causes = error.causes
    raise Unfit(declared.contradiction, *causes)


def _convert(declared: Input, value: Any, options: Sequence[str] | None) -> Any:
    if declared.type in ("ARRAY", "MULTISELECT"):
        typed: Any = _items(declared, value)
    else:
        typed = TYPES[declared.type](value)
    if isinstance(typed, dict | list) and declared.type != "SECRET":
        _check_seals(typed)
    _check_bounds(declared, typed)
    _check_text(declared, typed)
    if options is not None and not declared.allow_custom_value:
        _check_options(declared, typed, options)
    return typed


def convert_default(declared: Input, value: Any, options: Sequence[str] | None = None) -> Any:
    """The same for what the flow's author gives: a file may also lie elsewhere."""
    if declared.type != "FILE":
        return convert(declared, value, options)
    if not isinstance(value, str) or not value.startswith(DEFAULT_FILES):
        _refuse("the URI of a file, file:/// or nsfile:/// and its path", value)
    _check_text(declared, value)
    return value


def is_encrypted(value: Any) -> bool:
    """Whether this is a secret as it may stand in a record."""
    return is_sealed(value) and value["type"] == ENCRYPTED


def has_mixed(value: Any) -> bool:
    """Whether a sealed value was written into a text of a JSON value, where it can't be opened any
    more; those that stand alone can.
    """
    todo = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, str):
            if ENCRYPTED in each or SECRET_DEFAULT in each:
                return True
        elif isinstance(each, Mapping) and not is_sealed(each):
            todo += each.values()
        elif isinstance(each, list | tuple):
            todo += each
    return False


def is_sealed(value: Any) -> bool:
    """Whether this is a secret in a form that a worker opens: encrypted, or its flow's default."""
    return (
        isinstance(value, dict)
        and value.keys() == {"type", "value"}
        and value["type"] in (ENCRYPTED, SECRET_DEFAULT)
        and isinstance(value["value"], str)
    )


def _check_seals(value: Any) -> None:
    """Whoever could put such a map into an input would have a worker open it for them."""
    todo = [value]
    while todo:
        each = todo.pop()
        if is_sealed(each):
            raise Unfit(
                f"a map with the type `{each['type']}` stands for a secret, which this isn't"
            )
        items = each.values() if isinstance(each, dict) else each
        todo += [it for it in items if isinstance(it, dict | list)]


def matches(pattern: str, text: str) -> None:
    """Raises Unfit where the pattern doesn't describe all of the text."""
    if pattern and not re.fullmatch(pattern, text):
        raise Unfit(f"it must match the pattern `{pattern}`")


def _check_bounds(declared: Input, typed: Any) -> None:
    key: Callable[[Any], Any] = temporals.length if declared.type == "DURATION" else _itself
    if declared.min is not None and key(typed) < key(declared.min):
        raise Unfit(f"it must be more than `{_bound(declared.min)}`")
    if declared.max is not None and key(typed) > key(declared.max):
        raise Unfit(f"it must be less than `{_bound(declared.max)}`")
    if declared.after and typed.rstrip("Z") < declared.after.rstrip("Z"):
        raise Unfit(f"it must be after `{declared.after}`")
    if declared.before and typed.rstrip("Z") > declared.before.rstrip("Z"):
        raise Unfit(f"it must be before `{declared.before}`")


def _itself(value: Any) -> Any:
    return value


def _bound(value: float | str) -> str:
    return value if isinstance(value, str) else plain(value)


def _check_text(declared: Input, typed: Any) -> None:
    if isinstance(typed, str):
        matches(declared.validator, typed)
        allowed = declared.allowed_file_extensions
        if allowed and not typed.lower().endswith(tuple(it.lower() for it in allowed)):
            raise Unfit(f"the file's name must end with one of `[{', '.join(allowed)}]`")


def _check_options(declared: Input, typed: Any, options: Sequence[str]) -> None:
    choices = f"the values `[{', '.join(options)}]`"
    if declared.type == "MULTISELECT":
        strange = dict.fromkeys(it for it in map(plain_text, typed) if it not in options)
        if strange:
            raise Unfit(*(f"value `{it}` doesn't match {choices}" for it in strange))
    elif declared.type == "SELECT" and typed not in options:
        raise Unfit(f"it must match {choices}")


def plain_text(value: Any) -> str:
    """A scalar, list or map as an error or an option shows it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return plain(value)
    return json.dumps(value, ensure_ascii=False)


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


def _temporal(read: Callable[[str], str], expected: str) -> Callable[[Any], str]:
    def convert_it(value: Any) -> str:
        if isinstance(value, str):
            try:
                return read(value)
            except ValueError:
                pass
        _refuse(expected, value)

    return convert_it


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=lambda name: _refuse("JSON", name))
    except (ValueError, RecursionError):
        _refuse("JSON", value)


def _yaml(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse(value).data
    except FlowRefused as refusal:
        first = refusal.problems[0]
        raise Unfit(f"expected YAML: line {first.line}: {first.message}") from None


def _uri(value: Any) -> str:
    if isinstance(value, str) and _URI.fullmatch(value):
        return value
    raise Unfit(f"Invalid URI format. Expected a scheme and what it asks for, got {shown(value)}")


def _email(value: Any) -> str:
    if isinstance(value, str) and _EMAIL.fullmatch(value):
        return value
    raise Unfit(f"The input must be a valid email, got {shown(value)}")


def _file(value: Any) -> str:
    if isinstance(value, str) and value.startswith(STORED):
        return value
    _refuse("the URI of a file in internal storage, such as kestra:///team/data.csv", value)


def _secret(value: Any) -> Any:
    """What is typed in is encrypted before it gets here; the value is never shown."""
    if is_encrypted(value):
        return value
    raise Unfit(
        "a secret must come encrypted: start the execution by the REST API or by `kestrapy run`,"
        f' which do so, or send {{"type": "{ENCRYPTED}", "value": …}}'
    )


def _list(value: Any) -> list[Any]:
    found = _json(value)
    if isinstance(found, list):
        return found
    _refuse("a list", value)


def _items(declared: Input, value: Any) -> list[Any]:
    of_type = declared.item_type or "STRING"
    found = []
    for item in _list(value):
        try:
            found.append(TYPES[of_type](item))
        except Unfit as error:
            shown_item = plain_text(item)[:80]
            raise Unfit(
                f"Unable to parse array element as `{of_type}` on `{shown_item}`: {error}"
            ) from None
    return found


TYPES: dict[str, Callable[[Any], Any]] = {
    "STRING": _string,
    "INT": _int,
    "FLOAT": _float,
    "BOOL": _bool,
    "DATETIME": _temporal(temporals.instant, "an instant such as 2026-01-31T12:30:00Z"),
    "DATE": _temporal(temporals.local_date, "a date such as 2026-01-31"),
    "TIME": _temporal(temporals.local_time, "a time such as 12:30:00"),
    "DURATION": _temporal(temporals.duration, "a duration such as PT5M or P1DT2H"),
    "FILE": _file,
    "JSON": _json,
    "YAML": _yaml,
    "URI": _uri,
    "EMAIL": _email,
    "SECRET": _secret,
    "ARRAY": _list,
    "SELECT": _string,
    "MULTISELECT": _list,
}
"""By name, how a value becomes one of the type; each raises Unfit."""
