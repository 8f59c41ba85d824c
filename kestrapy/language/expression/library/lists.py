"""Filters and tests of lists and maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.language.expression.calls import (
    Unfit,
    as_integer,
    as_list,
    as_map,
    filters,
)
from kestrapy.language.expression.operators import equal, is_number, kind
from kestrapy.language.expression.scope import Scope


def first(scope: Scope, value: Any) -> Any:
    items = _sequence(value)
    return items[0] if items else None


def last(scope: Scope, value: Any) -> Any:
    items = _sequence(value)
    return items[-1] if items else None


def _sequence(value: Any) -> Any:
    """What has items in an order; of a map, its values."""
    if isinstance(value, Mapping):
        return list(value.values())
    if value is None or isinstance(value, str | list | tuple):
        return value
    raise Unfit(f"needs a list, map or string, not a {kind(value)}")


def length(scope: Scope, value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str | Mapping | list | tuple):
        return len(value)
    raise Unfit(f"needs a list, map or string, not a {kind(value)}")


def reverse(scope: Scope, value: Any) -> Any:
    return (
        None if value is None else value[::-1] if isinstance(value, str) else as_list(value)[::-1]
    )


def slice_(scope: Scope, value: Any, from_index: Any = 0, to_index: Any = None) -> Any:
    """From an index, from 0, up to another, which is left out; by default to the end."""
    if value is None:
        return None
    items = value if isinstance(value, str) else as_list(value)
    start = as_integer(from_index)
    end = len(items) if to_index is None else as_integer(to_index)
    if not 0 <= start <= end <= len(items):
        raise Unfit(f"has no part from {start} to {end} in what has {len(items)} items")
    return items[start:end]


def sort(scope: Scope, value: Any) -> Any:
    return None if value is None else _sorted(scope, value)


def rsort(scope: Scope, value: Any) -> Any:
    return None if value is None else _sorted(scope, value)[::-1]


def _sorted(scope: Scope, value: Any) -> list[Any]:
    items = as_list(value)
    scope.step(len(items))
    if all(map(is_number, items)) or all(isinstance(it, str) for it in items):
        return sorted(items)
    kinds = ", ".join(dict.fromkeys(map(kind, items)))
    raise Unfit(f"needs numbers or strings alone, not {kinds}")


def distinct(scope: Scope, value: Any) -> Any:
    """Each item once, where it stood first."""
    if value is None:
        return None
    scope.weigh(value)
    found: dict[Any, Any] = {}
    for item in as_list(value):
        found.setdefault(_identity(item), item)
    return list(found.values())


def _identity(value: Any) -> Any:
    """Equal for equal values, which are otherwise not to be hashed."""
    if isinstance(value, Mapping | list | tuple):
        return msgspec.json.encode(value, order="sorted")
    return (kind(value), value)


def flatten(scope: Scope, value: Any) -> Any:
    """A list with the items of the lists in it, instead of these; lists in those stay."""
    if value is None:
        return None
    found: list[Any] = []
    for item in as_list(value):
        scope.step()
        found += item if isinstance(item, list | tuple) else [item]
    return found


def chunk(scope: Scope, value: Any, size: Any) -> Any:
    """Lists of size items each; the last may have fewer."""
    if value is None:
        return None
    items, count = as_list(value), as_integer(size)
    if count < 1:
        raise Unfit(f"needs a size of 1 or more, not {count}")
    return [items[at : at + count] for at in range(0, len(items), count)]


def merge(scope: Scope, value: Any, items: Any) -> Any:
    """The items of two lists, or the entries of two maps, in which the second one wins."""
    if value is None or items is None:
        return items if value is None else value
    if isinstance(value, Mapping):
        if isinstance(items, Mapping):
            return {**value, **items}
        return {**value, **{scope.text(it): it for it in as_list(items)}}
    if isinstance(items, Mapping):
        return [*as_list(value), *({key: item} for key, item in items.items())]
    return as_list(value) + as_list(items)


def keys(scope: Scope, value: Any) -> Any:
    """Of a map its keys, of a list its indexes."""
    if value is None:
        return None
    return list(value) if isinstance(value, Mapping) else list(range(len(as_list(value))))


def values(scope: Scope, value: Any) -> Any:
    return None if value is None else list(as_map(value).values())


def default(scope: Scope, value: Any, default: Any) -> Any:
    """Instead of what is missing, null, an empty string, list or map."""
    return default if empty(scope, value) else value


def empty(scope: Scope, value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, Mapping | list | tuple) and not value)


def is_null(scope: Scope, value: Any) -> bool:
    return value is None


def is_map(scope: Scope, value: Any) -> bool:
    return isinstance(value, Mapping)


def iterable(scope: Scope, value: Any) -> bool:
    return isinstance(value, list | tuple)


def equal_to(scope: Scope, value: Any, value_: Any) -> bool:
    return equal(scope, value, value_)


FILTERS = tuple(
    filters(
        {
            "chunk": chunk,
            "distinct": distinct,
            "first": first,
            "flatten": flatten,
            "keys": keys,
            "last": last,
            "length": length,
            "merge": merge,
            "reverse": reverse,
            "rsort": rsort,
            "slice": slice_,
            "sort": sort,
            "values": values,
        }
    )
) + tuple(filters({"default": default}, takes_undefined=True))
TESTS = tuple(
    filters(
        {
            "empty": empty,
            "equalTo": equal_to,
            "iterable": iterable,
            "map": is_map,
            "null": is_null,
        }
    )
)
