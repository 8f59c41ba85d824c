"""Records ⇄ bytes.

The first byte of a value tells its format, so that a reader accepts all of them at any time:

=============  ==========================================================================
``C3 01`` …    Avro single-object encoding: 8 bytes of fingerprint, little-endian, then Avro binary
``00`` …       Confluent's wire format: 4 bytes of schema id, big-endian, then Avro binary
``9x DC DD``   MessagePack array of an internal record: its name, then its fields
=============  ==========================================================================

Public records are written in the first format without a schema registry, in the second with one.
What an older release wrote is resolved to today's schema: its fingerprint is known from
``schemas/released``.
"""

from __future__ import annotations

from collections.abc import Collection
from io import BytesIO
from typing import Any, NamedTuple, Union

import msgspec
from fastavro import schemaless_reader, schemaless_writer

from kestrapy.errors import InvariantViolated, OperatorError, RecordRefused
from kestrapy.machine import commands, outputs
from kestrapy.machine.commands import Internal, Public, Source
from kestrapy.ports.log import Headers, Record
from kestrapy.wire.envelope import RECORD, Envelope, read_headers, write_headers
from kestrapy.wire.registry import SchemaRegistry
from kestrapy.wire.schemas import Schema, Schemas, bundled

SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"

_FINGERPRINT_END = len(SINGLE_OBJECT) + 8
_ID_END = len(CONFLUENT) + 4

_PUBLIC: dict[str, type[Public]] = {
    kind.__name__: kind for kind in (*commands.PUBLIC, *outputs.PUBLIC)
}


class _Writing(NamedTuple):
    """How a public type is written. branches: (field, full name) of optional nested records."""

    prefix: bytes
    schema: Any
    branches: tuple[tuple[str, str], ...]
    headers: Headers


class _Reading(NamedTuple):
    """How a value of some schema is read. resolve: today's schema; None: it is the writer's."""

    kind: type[Public]
    schema: Any
    resolve: Any


class Codec:
    """Encodes and decodes records; may be shared by threads.

    registry: registers all current schemas at once (RecordNameStrategy), and is asked for ids
    that come in from others. Raises its errors.
    """

    def __init__(self, registry: SchemaRegistry | None = None, schemas: Schemas | None = None):
        schemas = schemas or bundled()
        self._registry = registry
        self._current = schemas.current
        self._by_fingerprint = _readings(schemas)
        self._by_id: dict[bytes, _Reading] = {}
        self._writings = {
            kind: _writing(schemas.current[name], self._prefix(schemas.current[name]))
            for name, kind in _PUBLIC.items()
        }
        self._internal_headers: dict[type[Internal], Headers] = {
            kind: ((RECORD, kind.__name__.encode()),) for kind in commands.INTERNAL
        }
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder(Union[commands.INTERNAL]).decode  # noqa: UP007

    def encode(
        self,
        record: Public | Internal,
        *,
        source: Source | None = None,
        traceparent: str = "",
        redrives: int = 0,
    ) -> tuple[bytes, Headers]:
        """-> value and headers. Raises InvariantViolated for what its schema does not allow."""
        writing = self._writings.get(type(record))  # type: ignore[arg-type]
        try:
            if writing is not None:
                named, value = writing.headers, _write(record, writing)
            else:
                named = self._internal_headers[type(record)]  # type: ignore[index]
                value = self._pack(record)
        except Exception as cause:
            raise InvariantViolated(
                f"{type(record).__name__} can't be encoded: {type(cause).__name__}: {cause}"
            ) from cause
        return value, write_headers(named, source, traceparent, redrives)

    def decode(self, record: Record, expected: Collection[type] | None = None) -> Envelope:
        """The record with what its headers say. expected: types that may stand there, None: any.

        Raises RecordRefused, and OperatorError where a registry does not answer; nothing else.
        """
        value = record.value
        if not value:
            raise RecordRefused("no value" if value is None else "an empty value")
        try:
            decoded = self._read(value)
        except (RecordRefused, OperatorError):
            raise
        except Exception as cause:
            # Bytes from anywhere: whatever a decoder says of them, the partition must go on.
            raise RecordRefused(f"unreadable: {type(cause).__name__}: {cause}") from cause
        if expected is not None and type(decoded) not in expected:
            raise RecordRefused(_unexpected(type(decoded), record.topic, expected))
        return Envelope(decoded, *read_headers(record.headers))

    def _read(self, value: bytes) -> Any:
        if value.startswith(SINGLE_OBJECT):
            return self._read_single_object(value)
        if value.startswith(CONFLUENT):
            return self._read_confluent(value)
        if value[0] & 0xF0 == 0x90 or value[0] in (0xDC, 0xDD):
            return self._unpack(value)
        raise RecordRefused(
            f"starts with {value[:2].hex()}: neither Avro (c301: with its fingerprint, 00: with a"
            " registry's id) nor a record of kestrapy's own"
        )

    def _read_single_object(self, value: bytes) -> Public:
        digest = value[len(SINGLE_OBJECT) : _FINGERPRINT_END]
        reading = self._by_fingerprint.get(digest)
        if reading is None:
            raise RecordRefused(
                f"unknown schema fingerprint {digest.hex()}: write it by a schema of this or an"
                " earlier release, or through a schema registry"
            )
        return _read_avro(value, _FINGERPRINT_END, reading)

    def _read_confluent(self, value: bytes) -> Public:
        if len(value) < _ID_END:
            raise RecordRefused(f"truncated after {len(value)} bytes, within the schema's id")
        key = value[len(CONFLUENT) : _ID_END]
        reading = self._by_id.get(key)
        if reading is None:
            reading = self._by_id[key] = self._look_up(int.from_bytes(key, "big"))
        return _read_avro(value, _ID_END, reading)

    def _look_up(self, schema_id: int) -> _Reading:
        if self._registry is None:
            raise RecordRefused(
                f"written with id {schema_id} of a schema registry, and none is configured:"
                " set kafka.schemaRegistryUrl"
            )
        found = self._registry.schema(schema_id)
        if found.name not in _PUBLIC:
            raise RecordRefused(f"schema {schema_id} is of {found.name!r}, which is no record here")
        return _reading(found, self._current[found.name])

    def _prefix(self, schema: Schema) -> bytes:
        if self._registry is None:
            return SINGLE_OBJECT + schema.fingerprint
        return CONFLUENT + self._registry.register(schema).to_bytes(4, "big")


def _readings(schemas: Schemas) -> dict[bytes, _Reading]:
    known = [*schemas.released.values(), schemas.current]
    return {
        schema.fingerprint: _reading(schema, schemas.current[name])
        for release in known
        for name, schema in release.items()
        if name in _PUBLIC
    }


def _reading(schema: Schema, current: Schema) -> _Reading:
    same = schema.fingerprint == current.fingerprint
    return _Reading(_PUBLIC[current.name], schema.parsed, None if same else current.parsed)


def _writing(schema: Schema, prefix: bytes) -> _Writing:
    branches = tuple(
        (field["name"], branch["name"])
        for field in schema.parsed["fields"]
        if isinstance(field["type"], list)
        for branch in field["type"]
        if isinstance(branch, dict)
    )
    return _Writing(prefix, schema.parsed, branches, ((RECORD, schema.name.encode()),))


def _write(record: Public | Internal, writing: _Writing) -> bytes:
    fields = msgspec.to_builtins(record, builtin_types=(bytes,))
    for field, name in writing.branches:
        # Named, fastavro takes the branch as it is; else it checks every value of it first.
        if (nested := fields[field]) is not None:
            fields[field] = (name, nested)
    buffer = BytesIO()
    buffer.write(writing.prefix)
    schemaless_writer(buffer, writing.schema, fields)
    return buffer.getvalue()


def _read_avro(value: bytes, start: int, reading: _Reading) -> Public:
    buffer = BytesIO(value)
    buffer.seek(start)
    try:
        fields = schemaless_reader(buffer, reading.schema, reading.resolve)
        decoded = msgspec.convert(fields, reading.kind)
    except Exception as cause:
        raise RecordRefused(f"{reading.kind.__name__} is unreadable: {cause}") from cause
    if rest := len(value) - buffer.tell():
        raise RecordRefused(f"{reading.kind.__name__} has {rest} bytes too many")
    return decoded


def _unexpected(kind: type, topic: str, expected: Collection[type]) -> str:
    names = ", ".join(sorted(each.__name__ for each in expected)) or "nothing"
    return f"{kind.__name__} does not belong on {topic}; expected: {names}"
