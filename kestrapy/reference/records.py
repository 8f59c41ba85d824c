"""``records.md``: the topics, and what stands in them, from the catalogue and the schemas."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

from kestrapy.machine import commands, outputs
from kestrapy.reference.markdown import page, table
from kestrapy.wire.schemas import NAMESPACE, Schema, bundled
from kestrapy.wire.topics import JOBS, TOPICS, Topic

_INTRODUCTION = """
Public records are [Avro](../../schemas/README.md), one schema file each in `schemas/`; other
services may read and write them. Internal records are MessagePack arrays that only kestrapy's own
servers write and read. Names of topics begin with `kafka.topicPrefix` (`kestrapy.`).
"""
_DAY = 86_400_000


def records_reference() -> str:
    """The reference of topics and records, as Markdown."""
    schemas = bundled().current
    public = [_public(schemas[it.__name__]) for it in (*commands.PUBLIC, *outputs.PUBLIC)]
    return page(
        "Topics and records",
        _INTRODUCTION,
        [_topics(), "## Public records", *public, _internal()],
    )


def _topics() -> str:
    heads = ("topic", "key", "partitions", "kept", "public", "what", "records")
    return "## Topics\n\n" + table(heads, [_topic(it) for it in (*TOPICS, JOBS)])


def _topic(topic: Topic) -> tuple[str, ...]:
    counts = {"shards": "`shards`", "job_partitions": "`jobPartitions`"}
    kept = "compacted" if topic.retention_ms is None else f"{topic.retention_ms // _DAY} d"
    return (
        f"`{topic.name}`" if topic is not JOBS else "`jobs.<group>`",
        topic.key,
        counts.get(str(topic.partitions), str(topic.partitions)),
        kept,
        "yes" if topic.public else "",
        topic.what,
        ", ".join(it.__name__ for it in topic.records),
    )


def _public(schema: Schema) -> str:
    places = [it.name for it in (*TOPICS, JOBS) if schema.name in _names(it)]
    where = ", ".join(f"`{it}<group>`" if it == JOBS.name else f"`{it}`" for it in places)
    note = f"On {where}. Fingerprint, as it stands in a record: `{schema.fingerprint.hex()}`."
    return "\n\n".join([f"### {schema.name}", schema.parsed["doc"], note, *_fields(schema.parsed)])


def _names(topic: Topic) -> set[str]:
    return {it.__name__ for it in topic.records}


def _fields(record: dict[str, Any]) -> Iterator[str]:
    """A table of the record's fields, and then one of each record that is inside of it."""
    rows = []
    inside: list[dict[str, Any]] = []
    for field in record["fields"]:
        default = f"`{json.dumps(field['default'])}`" if "default" in field else ""
        rows.append((f"`{field['name']}`", _type(field["type"], inside), default, field["doc"]))
    yield table(("field", "type", "default", "meaning"), rows)
    for nested in inside:
        yield f"**{_short(nested['name'])}**: {nested['doc']}"
        yield from _fields(nested)


def _type(schema: Any, inside: list[dict[str, Any]]) -> str:
    match schema:
        case list():
            return " or ".join(_type(branch, inside) for branch in schema)
        case {"type": "array", "items": items}:
            return f"list of {_type(items, inside)}"
        case {"type": "map", "values": values}:
            return f"map of {_type(values, inside)}"
        case {"type": "record", "name": name}:
            inside.append(schema)
            return _short(name)
    return _short(str(schema))


def _short(name: str) -> str:
    return name.removeprefix(f"{NAMESPACE}.")


def _internal() -> str:
    rows = []
    for kind in commands.INTERNAL:
        places = [f"`{it.name}`" for it in TOPICS if kind in it.records]
        first = (inspect.getdoc(kind) or "").split("\n\n")[0]
        rows.append((kind.__name__, ", ".join(places), first))
    return "## Internal records\n\n" + table(("record", "topics", "what it says"), rows)
