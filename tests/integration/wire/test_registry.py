"""The codec against a real schema registry (Apicurio)."""

from __future__ import annotations

import json
import re
import socket

import pytest

from kestrapy.errors import RecordRefused, SchemaRegistryFailed, SettingsRefused
from kestrapy.machine.commands import Claimed, TimerDue
from kestrapy.ports.log import Headers, Record
from kestrapy.wire.codec import Codec
from kestrapy.wire.registry import SchemaRegistry
from kestrapy.wire.schemas import bundled, parse

CLAIM = Claimed("run-1", 3, "worker-1")


def read(value: bytes | None, headers: Headers = ()) -> Record:
    return Record("executions", 0, 7, 1_700_000_000_000, None, value, headers)


def test_what_one_process_writes_another_reads(registry_url: str) -> None:
    value, headers = Codec(SchemaRegistry(registry_url)).encode(CLAIM)
    assert value[0] == 0
    assert Codec(SchemaRegistry(registry_url)).decode(read(value, headers)).record == CLAIM


def test_a_registry_can_be_introduced_and_taken_away(registry_url: str) -> None:
    single_object, _ = Codec().encode(CLAIM)
    assert Codec(SchemaRegistry(registry_url)).decode(read(single_object)).record == CLAIM

    framed, _ = Codec(SchemaRegistry(registry_url)).encode(CLAIM)
    with pytest.raises(RecordRefused, match="none is configured"):
        Codec().decode(read(framed))


def test_internal_records_need_no_schema(registry_url: str) -> None:
    value, headers = Codec(SchemaRegistry(registry_url)).encode(TimerDue("run-1", 5))
    assert Codec().decode(read(value, headers)).record == TimerDue("run-1", 5)


@pytest.mark.parametrize("name", bundled().current)
def test_every_schema_is_taken_and_keeps_its_id_and_meaning(name: str, registry_url: str) -> None:
    schema = bundled().current[name]
    schema_id = SchemaRegistry(registry_url).register(schema)
    assert SchemaRegistry(registry_url).register(schema) == schema_id
    assert json.loads(SchemaRegistry(registry_url).schema(schema_id).text) == json.loads(
        schema.text
    )


def test_a_foreign_compatible_schema_is_resolved(registry_url: str) -> None:
    registry = SchemaRegistry(registry_url)
    codec = Codec(registry)
    document = json.loads(bundled().current["Claimed"].text)
    document["fields"].append({"name": "region", "type": "string", "default": ""})
    schema_id = registry.register(parse(json.dumps(document)))
    value = b"\0" + schema_id.to_bytes(4, "big") + b"\x0arun-1\x06\x10worker-1\x04eu"
    assert codec.decode(read(value)).record == CLAIM


def test_another_services_record_is_refused_by_its_name(registry_url: str) -> None:
    registry = SchemaRegistry(registry_url)
    text = '{"type": "record", "name": "Order", "namespace": "shop", "fields": []}'
    value = b"\0" + registry.register(parse(text)).to_bytes(4, "big")
    with pytest.raises(RecordRefused, match=r"'shop\.Order', which is no record here"):
        Codec(registry).decode(read(value))


def test_an_unknown_id_is_the_records_fault(registry_url: str) -> None:
    codec = Codec(SchemaRegistry(registry_url))
    with pytest.raises(RecordRefused, match="knows no schema 999999"):
        codec.decode(read(b"\0" + (999_999).to_bytes(4, "big")))


def test_an_incompatible_schema_is_refused_when_it_is_registered(registry_url: str) -> None:
    from confluent_kafka.schema_registry import SchemaRegistryClient

    registry = SchemaRegistry(registry_url)
    registry.register(bundled().current["Kill"])
    SchemaRegistryClient({"url": registry_url}).set_compatibility(
        "io.kestrapy.Kill", "BACKWARD_TRANSITIVE"
    )
    document = json.loads(bundled().current["Kill"].text)
    document["fields"].append({"name": "why", "type": "string"})
    with pytest.raises(SchemaRegistryFailed, match=r"did not register io\.kestrapy\.Kill"):
        registry.register(parse(json.dumps(document)))


def test_a_registry_that_does_not_answer_is_the_operators_affair() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(SchemaRegistryFailed, match=re.escape(url)):
            Codec(SchemaRegistry(url, timeout=1.0))


def test_a_password_is_in_no_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(SchemaRegistryFailed) as refused:
            SchemaRegistry(f"http://me:swordfish@127.0.0.1:{port}", timeout=1.0).schema(1)
    assert "swordfish" not in str(refused.value)


def test_a_url_without_host_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="schemaRegistryUrl"):
        SchemaRegistry("registry:8081")
