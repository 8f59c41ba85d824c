"""What flowable tasks make of a rendered value: a truth, or the values to go through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.errors import UserError
from kestrapy.model.flow import CORRELATION_ID, SYSTEM_LABELS


def is_true(value: Any) -> bool:
    """Kestra's truth: false, "false", 0, "" and null are false."""
    return value not in (False, None, 0, "", "false", "0", "-0")


def values_from(rendered: Any) -> list[str]:
    """The values of a loop, each once: of a list, of a JSON text of one, or a map's entries.

    A value that is no text is written as JSON. Raises UserError for anything else, and where one is
    null.
    """
    found = _decoded(rendered) if isinstance(rendered, str) else rendered
    if isinstance(found, Mapping):
        found = [{"key": key, "value": value} for key, value in found.items()]
    if not isinstance(found, list | tuple):
        raise UserError(f"values must be a list, a map, or JSON of one, not {_java(found)[:200]}")
    if any(value is None for value in found):
        raise UserError(f"Found '1' null values on Each, with values={_java(found)}")
    return list(dict.fromkeys(map(_text, found)))


def labels_from(rendered: Any) -> dict[str, str]:
    """Labels of a map, of a list of maps with key and value, or of JSON of one; a later one counts.
    A value that is a map or a list is written as JSON.

    Raises UserError: for those of the system, and for an empty key or value, too.
    """
    found = _decoded(rendered) if isinstance(rendered, str) else rendered
    if isinstance(found, list | tuple):
        pairs = [(it.get("key"), it.get("value")) for it in found if isinstance(it, Mapping)]
        if len(pairs) < len(found):
            raise UserError(f"a label is a map with key and value, not in {_java(found)[:200]}")
    elif isinstance(found, Mapping):
        pairs = list(found.items())
    else:
        raise UserError(f"labels must be a map or a list, not {_java(found)[:200]}")
    labels: dict[str, str] = {}
    for key, value in pairs:
        shown = _java(value) if not isinstance(value, Mapping | list | tuple) else _text(value)
        if not isinstance(key, str) or not key or value is None or not shown:
            raise UserError(f"a label has a key and a value, got {_java(key)}={shown[:80]}")
        if key.startswith(SYSTEM_LABELS):
            raise UserError(f"labels of the system can't be set: {key}={shown[:80]}")
        labels[key] = shown
    return labels


def offending_label(labels: Mapping[str, str]) -> str:
    """A label that whoever asks for an execution may not set, as ``key=value``; empty for none."""
    for key, value in labels.items():
        if key.startswith(SYSTEM_LABELS) and key != CORRELATION_ID:
            return f"{key}={value}"
    return ""


def nested_labels(labels: Mapping[str, str]) -> dict[str, Any]:
    """Labels as expressions read them: a dot in a key is a step, as in ``labels.system.x``; where
    one of the steps is a label itself, the key stays as it is.
    """
    nested: dict[str, Any] = {}
    for key in sorted(labels, key=lambda it: it.count(".")):
        *steps, last = key.split(".")
        place: Any = nested
        for step in steps:
            place = place.setdefault(step, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = labels[key]
        else:
            nested[key] = labels[key]
    return nested


def merged(old: Any, new: Any) -> Any:
    """Variables with others put over them, as SetVariables does: maps are merged at any depth,
    lists are joined, each item once, null changes nothing; anything else is replaced.
    """
    if new is None or old is None:
        return old if new is None else new
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return [*old, *(it for it in new if it not in old)]
    return new


def without(variables: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Variables but for one; a dot in its name is a step into a map, unless one is called so.
    -> None where it isn't there.
    """
    if name in variables:
        return {key: it for key, it in variables.items() if key != name}
    first, _, rest = name.partition(".")
    inner = variables.get(first)
    kept = without(inner, rest) if rest and isinstance(inner, Mapping) else None
    return None if kept is None else {**variables, first: kept}


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _java(value: Any) -> str:
    """A value as Kestra's messages show it: as Java prints lists and maps."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case Mapping():
            return "{" + ", ".join(f"{key}={_java(it)}" for key, it in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_java, value)) + "]"
    return str(value)
