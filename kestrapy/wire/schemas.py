"""The Avro schemas of public records: ``schemas/*.avsc``, and the released ones below them.

They live beside the package in a checkout (and an editable install), and inside of it in a wheel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

from fastavro import parse_schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

from kestrapy.errors import InvariantViolated

NAMESPACE = "io.kestrapy"


class Schema(NamedTuple):
    """One schema of a record.

    name: without namespace, such as ``Job``. text: JSON, as a registry wants it.
    parsed: what fastavro reads and writes with.
    fingerprint: CRC-64-AVRO of the parsing canonical form, 8 bytes, little-endian.
    """

    name: str
    text: str
    parsed: Any
    fingerprint: bytes


class Schemas(NamedTuple):
    """current: by name, what is written. released: by version, then by name, what was written."""

    current: Mapping[str, Schema]
    released: Mapping[str, Mapping[str, Schema]]


def parse(text: str) -> Schema:
    """A schema from its JSON. Raises ValueError or fastavro's SchemaParseException."""
    parsed = parse_schema(json.loads(text))
    digest = fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO")
    name = parsed.get("name", "") if isinstance(parsed, dict) else ""
    return Schema(name.removeprefix(f"{NAMESPACE}."), text, parsed, bytes.fromhex(digest))


def load(folder: Traversable) -> Schemas:
    """All schemas of a folder that is laid out like ``schemas/``."""
    released = folder / "released"
    versions = [each for each in released.iterdir() if each.is_dir()] if released.is_dir() else []
    return Schemas(_parse_all(folder), {each.name: _parse_all(each) for each in versions})


@cache
def bundled() -> Schemas:
    """The schemas that came with this build, parsed once."""
    inside = files("kestrapy") / "schemas"
    beside = Path(__file__).parents[2] / "schemas"
    for folder in (inside, beside):
        if folder.is_dir():
            return load(folder)
    raise InvariantViolated(f"no schemas in {inside} nor in {beside}: install kestrapy-server anew")


def _parse_all(folder: Traversable) -> dict[str, Schema]:
    texts = (each for each in folder.iterdir() if each.name.endswith(".avsc"))
    found = (parse(each.read_text(encoding="utf-8")) for each in texts)
    return {schema.name: schema for schema in found}
