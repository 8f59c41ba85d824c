"""The schemas say what the structs say, and read what released ones wrote."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import msgspec
import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.utils import generate_one

from kestrapy.model.state import State
from kestrapy.wire.schemas import NAMESPACE, bundled, parse
from tests.unit.wire.samples import PUBLIC

SCHEMAS = bundled()
SIMPLE = {
    str: "string",
    State: "string",
    int: "long",
    float: "double",
    bool: "boolean",
    bytes: "bytes",
}
VALUES_PER_SCHEMA = 50


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SCHEMAS.current[name].text)
    return loaded


def said_by_struct(kind: Any, seen: set[str]) -> Any:
    """The Avro type that a field's type asks for; records in full where they stand first."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, options = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (other,) = (each for each in options if each is not NoneType)
        return ["null", said_by_struct(other, seen)]
    if origin is list:
        return {"type": "array", "items": said_by_struct(options[0], seen)}
    if origin is dict:
        return {"type": "map", "values": said_by_struct(options[1], seen)}
    if kind.__name__ in seen:
        return kind.__name__
    seen.add(kind.__name__)
    fields = [said_by_field(each, seen) for each in msgspec.structs.fields(kind)]
    return {"type": "record", "name": kind.__name__, "fields": fields}


def said_by_field(info: msgspec.structs.FieldInfo, seen: set[str]) -> dict[str, Any]:
    said = {"name": info.encode_name, "type": said_by_struct(info.type, seen)}
    if isinstance(said["type"], list):
        said["default"] = None
    elif info.default is not msgspec.NODEFAULT:
        said["default"] = info.default
    elif info.default_factory is not msgspec.NODEFAULT:
        said["default"] = info.default_factory()
    return said


def without_docs(node: Any) -> Any:
    if isinstance(node, list):
        return [without_docs(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {key: without_docs(node[key]) for key in node if key not in ("doc", "namespace")}


def parts_without_doc(node: Any, place: str) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from parts_without_doc(each, place)
    elif isinstance(node, dict):
        named = f"{place}.{node['name']}" if "name" in node else place
        if "name" in node and not node.get("doc", "").strip():
            yield named
        for key in ("fields", "type", "items", "values"):
            yield from parts_without_doc(node.get(key), named)


def unreadable(old: Any, new: Any) -> str | None:
    """Why new can't read what old wrote; None when it reads all that was tried."""
    for number in range(VALUES_PER_SCHEMA):
        buffer = io.BytesIO()
        schemaless_writer(buffer, old, generate_one(old))
        buffer.seek(0)
        try:
            schemaless_reader(buffer, old, new)
        except Exception as error:
            return f"value {number}: {type(error).__name__}: {error}"
    return None


def test_there_is_a_schema_for_each_public_record() -> None:
    assert set(SCHEMAS.current) == {kind.__name__ for kind in PUBLIC}


@pytest.mark.parametrize("kind", PUBLIC)
def test_schema_and_struct_agree(kind: type) -> None:
    assert without_docs(document(kind.__name__)) == said_by_struct(kind, set())


@pytest.mark.parametrize("name", SCHEMAS.current)
def test_records_and_fields_are_explained(name: str) -> None:
    assert document(name)["namespace"] == NAMESPACE
    assert list(parts_without_doc(document(name), "")) == []


def test_the_current_release_is_kept() -> None:
    assert "0.1.0" in SCHEMAS.released


@pytest.mark.parametrize("version", SCHEMAS.released)
def test_todays_schemas_read_what_a_release_wrote(version: str) -> None:
    for name, old in SCHEMAS.released[version].items():
        assert name in SCHEMAS.current, f"{name} of {version} is gone"
        assert unreadable(old.parsed, SCHEMAS.current[name].parsed) is None, name


def planted(**field: Any) -> Any:
    changed = document("Claimed")
    changed["fields"].append(field)
    return parse_schema(changed)


def renamed() -> Any:
    changed = document("Claimed")
    changed["fields"][0]["name"] = "taskRun"
    return parse_schema(changed)


def retyped() -> Any:
    changed = document("Claimed")
    changed["fields"][0]["type"] = "long"
    return parse_schema(changed)


@pytest.mark.parametrize(
    "incompatible", [planted(name="region", type="string"), renamed(), retyped()]
)
def test_the_check_finds_an_incompatible_schema(incompatible: Any) -> None:
    assert unreadable(SCHEMAS.current["Claimed"].parsed, incompatible) is not None


def test_the_check_allows_a_new_field_with_a_default() -> None:
    compatible = planted(name="region", type="string", default="")
    assert unreadable(SCHEMAS.current["Claimed"].parsed, compatible) is None


def test_a_fingerprint_is_avros() -> None:
    """The known answer for ``"int"`` in Avro's own tests: 0x7275d51a3f395c8f."""
    assert parse('"int"').fingerprint == (0x7275D51A3F395C8F).to_bytes(8, "little")


def test_docs_and_defaults_leave_the_fingerprint_as_it_is() -> None:
    original = document("Claimed")
    changed = copy.deepcopy(original)
    changed["doc"] = "Said otherwise."
    changed["fields"][1]["default"] = 7
    assert parse(json.dumps(changed)).fingerprint == parse(json.dumps(original)).fingerprint
