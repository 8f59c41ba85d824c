"""Tasks on key-value pairs of a namespace: Set, Put, Get, GetKeys, Delete, PurgeKV."""

from __future__ import annotations

import json
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import TypeAdapter

from kestrapy.plugins.pairs import Pair, Pairs, PairType, namespaces_with_pairs
from kestrapy.plugins.properties import (
    Duration,
    Expression,
    Properties,
    Text,
    from_json,
    parse_duration,
    to_text,
)
from kestrapy.plugins.tasks.namespaces import OfNamespaces
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

_DATETIME = TypeAdapter(datetime)
_DATE = TypeAdapter(date)


class _OfNamespace(Properties):
    """namespace: whose pairs; the flow's own by default."""

    namespace: Text | None = None

    def pairs(self, context: TaskContext) -> Pairs:
        return Pairs(context.shared, self.namespace or context.namespace, context.now())


class _OfKey(_OfNamespace):
    """key: of the pair."""

    key: Text


class SetProperties(_OfKey):
    """value: any. overwrite: true by default; else the task fails where the key is there.

    ttl: how long the pair is there; for ever by default. kvType: STRING, NUMBER, BOOLEAN, DATETIME,
    DATE, DURATION or JSON, to read a text as; by default a value is of its own type.
    kvDescription: for people.
    """

    value: Any
    overwrite: bool | Expression = True
    ttl: Duration | None = None
    kv_type: PairType | Expression | None = None
    kv_description: Text | None = None


class SetTask:
    """``io.kestra.plugin.core.kv.Set``."""

    def run(self, properties: SetProperties, context: TaskContext) -> TaskOutcome:
        kind = properties.kv_type or _type_of(properties.value)
        ttl = properties.ttl
        pair = Pair(
            value=read_as(kind, properties.value),
            type=kind,
            description=properties.kv_description,
            expires=context.now() + parse_duration(ttl) if ttl is not None else None,
        )
        properties.pairs(context).put(properties.key, pair, bool(properties.overwrite))
        return TaskOutcome()


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "BOOLEAN"
        case int() | float():
            return "NUMBER"
        case str():
            return "STRING"
        case _:
            return "JSON"


def read_as(kind: str, value: Any) -> Any:
    """The value of a pair of a type. Raises TaskFailed where value can't be read as one."""
    if kind == "STRING":
        return to_text(value)
    if not isinstance(value, str):
        if kind not in ("JSON", _type_of(value)):
            raise TaskFailed(f"value: {to_text(value)[:80]!r} is no {kind}")
        return value
    try:
        return _read_text(kind, value.strip())
    except ValueError:
        raise TaskFailed(f"value: {value[:80]!r} is no {kind}") from None


def _read_text(kind: str, text: str) -> Any:
    match kind:
        case "DATETIME":
            _DATETIME.validate_strings(text)
        case "DATE":
            _DATE.validate_strings(text)
        case "DURATION":
            parse_duration(text)
        case _:
            value = json.loads(text.lower() if kind == "BOOLEAN" else text)
            if kind not in ("JSON", _type_of(value)):
                raise ValueError
            return value
    return text


class PutProperties(_OfKey):
    """value: any; a map is merged into the map that is there. A list of maps with ``key`` and
    ``value`` changes fields, whose keys may be paths with dots; one of a single ``value`` replaces
    all. errorOnMissing: fail where the key isn't there, false by default.
    """

    value: Any
    error_on_missing: bool | Expression = False


class PutTask:
    """``io.kestra.plugin.core.kv.Put``: changes a pair, or makes it."""

    def run(self, properties: PutProperties, context: TaskContext) -> TaskOutcome:
        pairs = properties.pairs(context)
        before = pairs.get(properties.key)
        if before is None and properties.error_on_missing:
            raise _missing(properties, context)
        value = _changed(before.value if before else None, from_json(properties.value))
        pairs.put(
            properties.key,
            Pair(
                value=value,
                type=before.type
                if before and before.type != "JSON" and _fits(before, value)
                else _type_of(value),
                description=before.description if before else None,
                expires=before.expires if before else None,
            ),
        )
        return TaskOutcome()


def _fits(before: Pair, value: Any) -> bool:
    try:
        return bool(read_as(before.type, value) == value)
    except TaskFailed:
        return False


def _changed(before: Any, value: Any) -> Any:
    if isinstance(value, list) and value and all(_is_change(it) for it in value):
        if len(value) == 1 and value[0].get("key") is None:
            return value[0]["value"]
        if before is not None and not isinstance(before, dict):
            raise TaskFailed("value: fields can be changed of a map, and the pair's value is none")
        value = _nested(value)
    return merged(before, value) if isinstance(before, dict) else value


def _is_change(item: Any) -> bool:
    return isinstance(item, dict) and "value" in item and item.keys() <= {"key", "value"}


def _nested(changes: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for change in changes:
        key = change.get("key")
        if not isinstance(key, str) or not key.strip():
            raise TaskFailed("value: each `key` is a text, unless a `value` stands alone")
        field: Any = change["value"]
        for name in reversed(key.split(".")):
            field = {name: field}
        found = merged(found, field)
    return found


def merged(old: Any, new: Any) -> Any:
    """new over old: maps are merged at any depth, anything else is replaced."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}


class GetProperties(_OfKey):
    """errorOnMissing: fail where the key isn't there, false by default."""

    error_on_missing: bool | Expression = False


class GetTask:
    """``io.kestra.plugin.core.kv.Get``: ``outputs.value``, null where the key isn't there."""

    def run(self, properties: GetProperties, context: TaskContext) -> TaskOutcome:
        pair = properties.pairs(context).get(properties.key)
        if pair is None and properties.error_on_missing:
            raise _missing(properties, context)
        return TaskOutcome(outputs={"value": pair.value if pair else None})


class GetKeysProperties(_OfNamespace):
    """prefix: what the keys begin with."""

    prefix: Text = ""


class GetKeysTask:
    """``io.kestra.plugin.core.kv.GetKeys``: ``outputs.keys`` in order."""

    def run(self, properties: GetKeysProperties, context: TaskContext) -> TaskOutcome:
        found = properties.pairs(context).entries(properties.prefix)
        return TaskOutcome(outputs={"keys": [key for key, _ in found]})


class DeleteProperties(_OfKey):
    """errorOnMissing: fail where the key isn't there, false by default."""

    error_on_missing: bool | Expression = False


class DeleteTask:
    """``io.kestra.plugin.core.kv.Delete``: ``outputs.deleted``."""

    def run(self, properties: DeleteProperties, context: TaskContext) -> TaskOutcome:
        deleted = properties.pairs(context).delete(properties.key)
        if properties.error_on_missing and not deleted:
            raise _missing(properties, context)
        return TaskOutcome(outputs={"deleted": deleted})


def _missing(properties: _OfKey, context: TaskContext) -> TaskFailed:
    namespace = properties.namespace or context.namespace
    return TaskFailed(
        f"the namespace {namespace} has no key {properties.key!r}, and `errorOnMissing` is true"
    )


class _Behavior(Properties):
    """type: key. expiredOnly: true by default."""

    type: Literal["key"] | Expression = "key"
    expired_only: bool | Expression = True


class PurgeProperties(OfNamespaces):
    """keyPattern: of the keys, with ``*`` and ``?``. behavior: whether only pairs past their end of
    life are deleted; they are by default. expiredOnly: an older place of it.
    """

    key_pattern: Text | None = None
    behavior: _Behavior = _Behavior()
    expired_only: bool | Expression | None = None


class PurgeTask:
    """``io.kestra.plugin.core.kv.PurgeKV``: ``outputs.size`` is how many pairs were deleted."""

    def run(self, properties: PurgeProperties, context: TaskContext) -> TaskOutcome:
        older = properties.expired_only
        expired_only = bool(properties.behavior.expired_only if older is None else older)
        size = 0
        for namespace in namespaces_with_pairs(context.shared):
            if properties.chooses(namespace):
                size += _purge(
                    Pairs(context.shared, namespace, context.now()),
                    properties,
                    expired_only,
                    context,
                )
        return TaskOutcome(outputs={"size": size})


def _purge(
    pairs: Pairs, properties: PurgeProperties, expired_only: bool, context: TaskContext
) -> int:
    keys = (key for key, _ in pairs.entries(expired=True)) if expired_only else pairs.keys_stored()
    pattern = properties.key_pattern
    size = 0
    for key in keys:
        if context.ending:
            raise TaskFailed("The run was ended before its time", {"size": size})
        if pattern is None or fnmatchcase(key, pattern):
            size += pairs.remove(key)
    return size
