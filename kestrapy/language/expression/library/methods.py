"""Methods of Java's strings, lists and maps that flows call: a fixed table, nothing of Python's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kestrapy.language.expression.calls import (
    Unfit,
    as_integer,
    as_list,
    as_map,
    as_number,
    as_text,
    filters,
)
from kestrapy.language.expression.library import patterns
from kestrapy.language.expression.library.lists import length
from kestrapy.language.expression.library.patterns import pattern_for
from kestrapy.language.expression.library.text import split
from kestrapy.language.expression.operators import contains, equal, is_number
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


def _stripped(change: Callable[[str], str]) -> Callable[[Scope, Any], str]:
    return lambda scope, value: change(as_text(value))


def starts_with(scope: Scope, value: Any, prefix: Any) -> bool:
    return as_text(value).startswith(as_text(prefix))


def ends_with(scope: Scope, value: Any, suffix: Any) -> bool:
    return as_text(value).endswith(as_text(suffix))


def equals(scope: Scope, value: Any, other: Any) -> bool:
    return equal(scope, value, other)


def equals_ignore_case(scope: Scope, value: Any, other: Any) -> bool:
    return isinstance(other, str) and as_text(value).casefold() == other.casefold()


def index_of(scope: Scope, value: Any, part: Any) -> int:
    """The first place of a part of a text, or of an item of a list; -1 where there is none."""
    if isinstance(value, list | tuple):
        scope.step(len(value))
        found = (index for index, it in enumerate(value) if equal(scope, it, part))
        return next(found, -1)
    return as_text(value).find(as_text(part))


def last_index_of(scope: Scope, value: Any, part: Any) -> int:
    return as_text(value).rfind(as_text(part))


def char_at(scope: Scope, value: Any, index: Any) -> str:
    text, place = as_text(value), as_integer(index)
    if not 0 <= place < len(text):
        raise Unfit(f"has no index {place} in {len(text)} characters")
    return text[place]


def concat(scope: Scope, value: Any, other: Any) -> str:
    return as_text(value) + as_text(other)


def repeat(scope: Scope, value: Any, count: Any) -> str:
    text, times = as_text(value), as_integer(count)
    if times < 0:
        raise Unfit(f"needs 0 or more, not {times}")
    scope.room(len(text) * times)
    return text * times


def is_blank(scope: Scope, value: Any) -> bool:
    return not as_text(value).strip()


def get_first(scope: Scope, value: Any) -> Any:
    return get(scope, as_list(value), 0)


def get_last(scope: Scope, value: Any) -> Any:
    items = as_list(value)
    return get(scope, items, len(items) - 1)


def sub_list(scope: Scope, value: Any, start: Any, end: Any) -> list[Any]:
    items, first, last = as_list(value), as_integer(start), as_integer(end)
    if not 0 <= first <= last <= len(items):
        raise Unfit(f"has no part from {first} to {last} in a list of {len(items)}")
    return items[first:last]


def get_or_default(scope: Scope, value: Any, key: Any, default: Any) -> Any:
    found = as_map(value)
    return found[key] if isinstance(key, str) and key in found else default


def contains_value(scope: Scope, value: Any, item: Any) -> bool:
    scope.step(len(as_map(value)))
    return any(equal(scope, it, item) for it in value.values())


def key_set(scope: Scope, value: Any) -> list[str]:
    return list(as_map(value))


def values(scope: Scope, value: Any) -> list[Any]:
    return list(as_map(value).values())


def entry_set(scope: Scope, value: Any) -> list[dict[str, Any]]:
    """Maps of ``key`` and ``value``."""
    return [{"key": key, "value": item} for key, item in as_map(value).items()]


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


def replace_first(scope: Scope, value: Any, pattern: Any, new: Any) -> str:
    """Like ``replaceAll``, of the first place that the pattern fits."""
    return patterns.replace_all(scope, as_text(pattern), as_text(new), as_text(value), most=1)


def compare_to(scope: Scope, value: Any, other: Any) -> int:
    """-1, 0 or 1: where a text or number stands to another."""
    if is_number(value) and is_number(other):
        return int(value > other) - int(value < other)
    return int(as_text(value) > as_text(other)) - int(as_text(value) < as_text(other))


def whole(scope: Scope, value: Any) -> int:
    """A number without what follows the point."""
    return int(as_number(value))


def double(scope: Scope, value: Any) -> float:
    return float(as_number(value))


def contains_all(scope: Scope, value: Any, items: Any) -> bool:
    return contains(scope, as_list(value), as_list(items))


def of_entry(name: str) -> Callable[[Scope, Any], Any]:
    """What an entry of ``entrySet()`` has."""

    def get(scope: Scope, value: Any) -> Any:
        found = as_map(value)
        if found.keys() != {"key", "value"}:
            raise Unfit("needs an entry of a map")
        return found[name]

    return get


def reversed_(scope: Scope, value: Any) -> list[Any]:
    return as_list(value)[::-1]


def matches(scope: Scope, value: Any, pattern: Any) -> bool:
    """Whether a pattern fits all of a text."""
    text = as_text(value)
    return pattern_for(scope, as_text(pattern), text).fullmatch(text) is not None


def replace_all(scope: Scope, value: Any, pattern: Any, new: Any) -> str:
    """All that a pattern fits; ``$1`` stands for its first group."""
    return patterns.replace_all(scope, as_text(pattern), as_text(new), as_text(value))


METHODS = tuple(
    filters(
        {
            "charAt": char_at,
            "compareTo": compare_to,
            "concat": concat,
            "contains": contains_,
            "containsAll": contains_all,
            "containsKey": contains_key,
            "containsValue": contains_value,
            "doubleValue": double,
            "endsWith": ends_with,
            "entrySet": entry_set,
            "equals": equals,
            "equalsIgnoreCase": equals_ignore_case,
            "get": get,
            "getFirst": get_first,
            "getKey": of_entry("key"),
            "getLast": get_last,
            "getOrDefault": get_or_default,
            "getValue": of_entry("value"),
            "indexOf": index_of,
            "intValue": whole,
            "isBlank": is_blank,
            "isEmpty": is_empty,
            "keySet": key_set,
            "lastIndexOf": last_index_of,
            "length": length,
            "longValue": whole,
            "matches": matches,
            "repeat": repeat,
            "replace": replace,
            "replaceAll": replace_all,
            "replaceFirst": replace_first,
            "reversed": reversed_,
            "size": length,
            "split": split,
            "startsWith": starts_with,
            "strip": trim,
            "stripLeading": _stripped(str.lstrip),
            "stripTrailing": _stripped(str.rstrip),
            "subList": sub_list,
            "substring": substring,
            "toLowerCase": to_lower,
            "toString": to_string,
            "toUpperCase": to_upper,
            "trim": trim,
            "values": values,
        }
    )
)
