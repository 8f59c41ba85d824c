"""Methods of Java's strings, lists and maps that flows call: a fixed table, nothing of Python's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kestrapy.language.expression.calls import (
    Unfit,
    as_integer,
    as_list,
    as_map,
    as_text,
    filters,
)
from kestrapy.language.expression.library.lists import length
from kestrapy.language.expression.operators import contains, equal
from kestrapy.language.expression.scope import Scope


def is_empty(scope: Scope, value: Any) -> bool:
    return length(scope, value) == 0


def contains_(scope: Scope, value: Any, item: Any) -> bool:
    if isinstance(value, list | tuple):
        return contains(scope, value, [item])
    return contains(scope, value, item)


def contains_key(scope: Scope, value: Any, key: Any) -> bool:
    return isinstance(key, str) and key in as_map(value)


def get(scope: Scope, value: Any, key: Any) -> Any:
    """Of a map by key, null where there is none; of a list by index."""
    if isinstance(value, Mapping):
        return value.get(key) if isinstance(key, str) else None
    items, index = as_list(value), as_integer(key)
    if not 0 <= index < len(items):
        raise Unfit(f"has no index {index} in a list of {len(items)}")
    return items[index]


def to_string(scope: Scope, value: Any) -> str:
    return scope.text(value)


def to_upper(scope: Scope, value: Any) -> str:
    return as_text(value).upper()


def to_lower(scope: Scope, value: Any) -> str:
    return as_text(value).lower()


def trim(scope: Scope, value: Any) -> str:
    return as_text(value).strip()


def starts_with(scope: Scope, value: Any, prefix: Any) -> bool:
    return as_text(value).startswith(as_text(prefix))


def ends_with(scope: Scope, value: Any, suffix: Any) -> bool:
    return as_text(value).endswith(as_text(suffix))


def equals(scope: Scope, value: Any, other: Any) -> bool:
    return equal(scope, value, other)


def index_of(scope: Scope, value: Any, part: Any) -> int:
    return as_text(value).find(as_text(part))


def substring(scope: Scope, value: Any, start: Any, end: Any = None) -> str:
    text = as_text(value)
    last = len(text) if end is None else as_integer(end)
    first = as_integer(start)
    if not 0 <= first <= last <= len(text):
        raise Unfit(f"has no part from {first} to {last} in {len(text)} characters")
    return text[first:last]


def replace(scope: Scope, value: Any, old: Any, new: Any) -> str:
    text, part, wanted = as_text(value), as_text(old), as_text(new)
    scope.room(text.count(part) * len(wanted))
    return text.replace(part, wanted)


METHODS = tuple(
    filters(
        {
            "contains": contains_,
            "containsKey": contains_key,
            "endsWith": ends_with,
            "equals": equals,
            "get": get,
            "indexOf": index_of,
            "isEmpty": is_empty,
            "length": length,
            "replace": replace,
            "size": length,
            "startsWith": starts_with,
            "substring": substring,
            "toLowerCase": to_lower,
            "toString": to_string,
            "toUpperCase": to_upper,
            "trim": trim,
        }
    )
)
