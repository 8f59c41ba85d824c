"""The functions of jq that take values alone, and jq's order of values."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from kestrapy.language.expression.calls import Unfit, as_list, as_map, as_number, as_text
from kestrapy.language.expression.library.patterns import pattern_for
from kestrapy.language.expression.operators import equal, fits, is_number, kind
from kestrapy.language.expression.scope import Scope

_KINDS = {"map": "object", "list": "array"}


def rank(value: Any) -> Any:
    """A key in jq's order: null, false, true, numbers, strings, lists, maps."""
    match value:
        case None:
            return (0,)
        case bool():
            return (2 if value else 1,)
        case int() | float():
            return (3, value)
        case str():
            return (4, value)
        case Mapping():
            names = sorted(value)
            return (6, names, [rank(value[name]) for name in names])
        case _:
            return (5, [rank(item) for item in value])


def type_name(value: Any) -> str:
    return _KINDS.get(kind(value), kind(value))


def json_text(scope: Scope, value: Any) -> str:
    if isinstance(value, str):
        return scope.grow(msgspec.json.encode(value).decode())
    return "null" if value is None else scope.text(value)


def plain_text(scope: Scope, value: Any) -> str:
    return value if isinstance(value, str) else json_text(scope, value)


def length(scope: Scope, value: Any) -> Any:
    if value is None:
        return 0
    return abs(value) if is_number(value) else len(value)


def add(scope: Scope, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, str) and isinstance(right, str):
        return scope.grow(left + right)
    if isinstance(left, list) and isinstance(right, list):
        return scope.weigh([*left, *right])
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return scope.weigh({**left, **right})
    return fits(scope, as_number(left) + as_number(right))


def subtract(scope: Scope, left: Any, right: Any) -> Any:
    if isinstance(left, list) and isinstance(right, list):
        scope.step(len(left) * len(right))
        return [it for it in left if not any(equal(scope, it, other) for other in right)]
    return fits(scope, as_number(left) - as_number(right))


def multiply(scope: Scope, left: Any, right: Any) -> Any:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return scope.weigh(_merged(left, right))
    if isinstance(left, str) and is_number(right):
        count = max(0, int(right))
        scope.room(len(left) * count)
        return scope.grow(left * count) if count else None
    return fits(scope, as_number(left) * as_number(right))


def _merged(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(left)
    for key, item in right.items():
        own = merged.get(key)
        both = isinstance(own, Mapping) and isinstance(item, Mapping)
        merged[key] = _merged(own, item) if both else item  # type: ignore[arg-type]
    return merged


def divide(scope: Scope, left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return split(scope, left, right)
    found = as_number(left) / as_number(right)
    return fits(scope, int(found) if found.is_integer() and abs(found) < 1 << 53 else found)


def remainder(scope: Scope, left: Any, right: Any) -> Any:
    return int(math.fmod(int(as_number(left)), int(as_number(right))))


def split(scope: Scope, value: Any, separator: Any) -> list[str]:
    text, by = as_text(value), as_text(separator)
    return (text.split(by) if by else list(text)) if text else []


def join(scope: Scope, value: Any, separator: Any) -> str:
    items = ["" if it is None else plain_text(scope, it) for it in as_list(value)]
    scope.room(sum(map(len, items)) + len(items) * len(as_text(separator)))
    return scope.grow(as_text(separator).join(items))


def flatten(scope: Scope, value: Any, depth: Any = 1000) -> list[Any]:
    scope.weigh(value)
    found: list[Any] = []
    todo = [(item, depth) for item in reversed(as_list(value))]
    while todo:
        item, left = todo.pop()
        if isinstance(item, list) and left > 0:
            todo += [(it, left - 1) for it in reversed(item)]
        else:
            found.append(item)
    return found


def add_all(scope: Scope, value: Any) -> Any:
    items = list(value.values()) if isinstance(value, Mapping) else as_list(value)
    if items and all(isinstance(it, str) for it in items):
        return join(scope, items, "")
    total: Any = None
    for item in items:
        scope.step()
        total = add(scope, total, item)
    return total


def from_entries(scope: Scope, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for entry in as_list(value):
        names = [it for it in ("key", "k", "name", "Name", "Key", "K") if it in as_map(entry)]
        values = [it for it in ("value", "v", "Value", "V") if it in entry]
        key = entry[names[0]] if names else None
        made[plain_text(scope, key)] = entry[values[0]] if values else None
    return made


def contains(scope: Scope, value: Any, part: Any) -> bool:
    scope.step()
    if isinstance(value, Mapping) and isinstance(part, Mapping):
        return all(key in value and contains(scope, value[key], it) for key, it in part.items())
    if isinstance(value, list) and isinstance(part, list):
        return all(any(contains(scope, own, it) for own in value) for it in part)
    if isinstance(value, str) and isinstance(part, str):
        return part in value
    return equal(scope, value, part)


def has(scope: Scope, value: Any, key: Any) -> bool:
    if isinstance(value, Mapping):
        return as_text(key) in value
    return 0 <= as_number(key) < len(as_list(value))


def to_number(scope: Scope, value: Any) -> Any:
    if is_number(value):
        return value
    try:
        found = msgspec.json.decode(as_text(value))
    except msgspec.DecodeError:
        found = None
    if not is_number(found):
        raise Unfit(f"can't read `{value[:80]}` as a number")
    return fits(scope, found)


def from_json(scope: Scope, value: Any) -> Any:
    try:
        return scope.weigh(msgspec.json.decode(as_text(value)))
    except msgspec.DecodeError as error:
        raise Unfit(f"can't read JSON: {error}") from None


def _whole(change: Callable[[float], int]) -> Callable[[Scope, Any], Any]:
    return lambda scope, value: change(as_number(value))


def _text(change: Callable[[str], str]) -> Callable[[Scope, Any], Any]:
    return lambda scope, value: change(as_text(value))


def _keys(scope: Scope, value: Any) -> list[Any]:
    return sorted(value) if isinstance(value, Mapping) else list(range(len(as_list(value))))


def _unique(scope: Scope, value: Any) -> list[Any]:
    made: list[Any] = []
    for item in sorted(as_list(value), key=rank):
        if not made or not equal(scope, made[-1], item):
            made.append(item)
    return made


def _prefix(scope: Scope, value: Any, prefix: Any) -> Any:
    fitting = isinstance(value, str) and isinstance(prefix, str)
    return value.removeprefix(prefix) if fitting else value


def _suffix(scope: Scope, value: Any, suffix: Any) -> Any:
    fitting = isinstance(value, str) and isinstance(suffix, str)
    return value.removesuffix(suffix) if fitting else value


def _found(scope: Scope, value: Any, part: Any) -> Any:
    index = as_text(value).find(as_text(part))
    return None if index < 0 else index


FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = {
    ("abs", 0): lambda scope, value: abs(as_number(value)),
    ("add", 0): add_all,
    ("ascii_downcase", 0): _text(str.lower),
    ("ascii_upcase", 0): _text(str.upper),
    ("ceil", 0): _whole(math.ceil),
    ("contains", 1): contains,
    ("endswith", 1): lambda scope, value, end: as_text(value).endswith(as_text(end)),
    ("flatten", 0): flatten,
    ("flatten", 1): flatten,
    ("floor", 0): _whole(math.floor),
    ("from_entries", 0): from_entries,
    ("fromjson", 0): from_json,
    ("has", 1): has,
    ("index", 1): _found,
    ("inside", 1): lambda scope, value, whole: contains(scope, whole, value),
    ("join", 1): join,
    ("keys", 0): _keys,
    ("keys_unsorted", 0): lambda scope, value: list(as_map(value)),
    ("length", 0): length,
    ("ltrimstr", 1): _prefix,
    ("max", 0): lambda scope, value: max(as_list(value), key=rank, default=None),
    ("min", 0): lambda scope, value: min(as_list(value), key=rank, default=None),
    ("not", 0): lambda scope, value: value is None or value is False,
    ("reverse", 0): lambda scope, value: (value or [])[::-1],
    ("round", 0): _whole(lambda it: math.floor(it + 0.5)),
    ("rtrimstr", 1): _suffix,
    ("sort", 0): lambda scope, value: sorted(as_list(value), key=rank),
    ("split", 1): split,
    ("sqrt", 0): lambda scope, value: math.sqrt(as_number(value)),
    ("startswith", 1): lambda scope, value, start: as_text(value).startswith(as_text(start)),
    ("test", 1): lambda scope, it, pattern: bool(
        pattern_for(scope, as_text(pattern), as_text(it)).search(as_text(it))
    ),
    ("to_entries", 0): lambda scope, value: [
        {"key": key, "value": it} for key, it in as_map(value).items()
    ],
    ("tojson", 0): json_text,
    ("tonumber", 0): to_number,
    ("tostring", 0): plain_text,
    ("trim", 0): _text(str.strip),
    ("type", 0): lambda scope, value: type_name(value),
    ("unique", 0): _unique,
}
"""By name and number of arguments: called with the scope, the input, and a value per argument."""


def _row(scope: Scope, value: Any, separator: str) -> str:
    cells = []
    for item in as_list(value):
        text = "" if item is None else plain_text(scope, item)
        quoted = isinstance(item, str) and separator == ","
        scope.grow(text)
        cells.append('"' + text.replace('"', '""') + '"' if quoted else text)
    return separator.join(cells)


FORMATS: dict[str, Callable[[Scope, Any], str]] = {
    "@base64": lambda scope, it: base64.b64encode(plain_text(scope, it).encode()).decode(),
    "@base64d": lambda scope, it: base64.b64decode(as_text(it)).decode(),
    "@csv": lambda scope, it: _row(scope, it, ","),
    "@html": lambda scope, it: html.escape(plain_text(scope, it)),
    "@json": json_text,
    "@text": plain_text,
    "@tsv": lambda scope, it: _row(scope, it, "\t"),
    "@uri": lambda scope, it: quote(plain_text(scope, it), safe="-_.~"),
}
