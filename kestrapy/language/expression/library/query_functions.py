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
from kestrapy.language.expression.library import query_dates
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


def true(value: Any) -> bool:
    return value is not None and value is not False


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


def indices(scope: Scope, value: Any, part: Any) -> Any:
    """Where a text has a part, or a list an item or a list's items in a row."""
    if value is None:
        return None
    if isinstance(value, str):
        return _indices_of_text(scope, value, as_text(part))
    items, wanted = as_list(value), part if isinstance(part, list) else [part]
    scope.step(len(items) * max(1, len(wanted)))
    size = len(wanted)
    starts = range(len(items) - size + 1) if size else ()
    return [at for at in starts if equal(scope, items[at : at + size], wanted)]


def _indices_of_text(scope: Scope, text: str, part: str) -> list[int]:
    found: list[int] = []
    at = text.find(part) if part else -1
    while at >= 0:
        scope.step()
        found.append(at)
        at = text.find(part, at + 1)
    return found


def _one_index(which: int) -> Callable[[Scope, Any, Any], Any]:
    def apply(scope: Scope, value: Any, part: Any) -> Any:
        found = indices(scope, value, part)
        return found[which] if found else None

    return apply


def _entries(scope: Scope, value: Any) -> list[dict[str, Any]]:
    keyed = value.items() if isinstance(value, Mapping) else enumerate(as_list(value))
    return [{"key": key, "value": item} for key, item in keyed]


def _real(change: Callable[..., float]) -> Callable[..., Any]:
    """Of numbers. A whole result is a whole number."""

    def apply(scope: Scope, *values: Any) -> Any:
        found = change(*(as_number(it) for it in values))
        return fits(scope, int(found) if found.is_integer() and abs(found) < 1 << 53 else found)

    return apply


def _power(scope: Scope, value: Any, base: Any, exponent: Any) -> Any:
    return _real(lambda left, right: math.pow(left, right))(scope, base, exponent)


def _codes(scope: Scope, value: Any) -> list[int]:
    scope.step(len(as_text(value)))
    return [ord(it) for it in value]


def _of_codes(scope: Scope, value: Any) -> str:
    scope.step(len(as_list(value)))
    return "".join(chr(int(as_number(it))) for it in value)


def _transposed(scope: Scope, value: Any) -> list[list[Any]]:
    rows = [as_list(it) for it in as_list(value)]
    width = max(map(len, rows), default=0)
    scope.step(width * len(rows))
    return [[row[at] if at < len(row) else None for row in rows] for at in range(width)]


def _shell(scope: Scope, value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    if any(isinstance(it, list | Mapping) for it in items):
        raise Unfit("can't write a list or map for a shell")
    return " ".join(
        "'" + it.replace("'", "'\\''") + "'" if isinstance(it, str) else plain_text(scope, it)
        for it in items
    )


FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = {
    **query_dates.FUNCTIONS,
    ("abs", 0): lambda scope, value: abs(as_number(value)),
    ("add", 0): add_all,
    ("ascii", 0): lambda scope, value: _of_codes(scope, [value]),
    ("ascii_downcase", 0): _text(str.lower),
    ("ascii_upcase", 0): _text(str.upper),
    ("ceil", 0): _whole(math.ceil),
    ("contains", 1): contains,
    ("endswith", 1): lambda scope, value, end: as_text(value).endswith(as_text(end)),
    ("exp", 0): _real(math.exp),
    ("exp10", 0): _real(lambda it: math.pow(10, it)),
    ("exp2", 0): _real(lambda it: math.pow(2, it)),
    ("explode", 0): _codes,
    ("fabs", 0): _real(lambda it: math.fabs(it)),
    ("flatten", 0): flatten,
    ("flatten", 1): flatten,
    ("floor", 0): _whole(math.floor),
    ("from_entries", 0): from_entries,
    ("fromjson", 0): from_json,
    ("has", 1): has,
    ("index", 1): _one_index(0),
    ("indices", 1): indices,
    ("implode", 0): _of_codes,
    ("in", 1): lambda scope, value, whole: has(scope, whole, value),
    ("inside", 1): lambda scope, value, whole: contains(scope, whole, value),
    ("join", 1): join,
    ("keys", 0): _keys,
    ("keys_unsorted", 0): lambda scope, value: list(as_map(value)),
    ("length", 0): length,
    ("log", 0): _real(math.log),
    ("log10", 0): _real(math.log10),
    ("log2", 0): _real(math.log2),
    ("ltrim", 0): _text(str.lstrip),
    ("ltrimstr", 1): _prefix,
    ("max", 0): lambda scope, value: max(as_list(value), key=rank, default=None),
    ("min", 0): lambda scope, value: min(as_list(value), key=rank, default=None),
    ("not", 0): lambda scope, value: value is None or value is False,
    ("pow", 2): _power,
    ("reverse", 0): lambda scope, value: (value or [])[::-1],
    ("round", 0): _whole(lambda it: math.floor(it + 0.5)),
    ("rindex", 1): _one_index(-1),
    ("rtrim", 0): _text(str.rstrip),
    ("rtrimstr", 1): _suffix,
    ("sort", 0): lambda scope, value: sorted(as_list(value), key=rank),
    ("split", 1): split,
    ("sqrt", 0): _real(math.sqrt),
    ("startswith", 1): lambda scope, value, start: as_text(value).startswith(as_text(start)),
    ("to_entries", 0): _entries,
    ("tojson", 0): json_text,
    ("tonumber", 0): to_number,
    ("toarray", 0): lambda scope, value: value if isinstance(value, list) else [value],
    ("tostring", 0): plain_text,
    ("transpose", 0): _transposed,
    ("trim", 0): _text(str.strip),
    ("type", 0): lambda scope, value: type_name(value),
    ("unique", 0): _unique,
    ("utf8bytelength", 0): lambda scope, value: len(as_text(value).encode("utf-8", "replace")),
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
    "@sh": _shell,
    "@text": plain_text,
    "@tsv": lambda scope, it: _row(scope, it, "\t"),
    "@uri": lambda scope, it: quote(plain_text(scope, it), safe="-_.~"),
}
