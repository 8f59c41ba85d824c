"""Every record comes back as it went; whatever else comes in is refused, with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrapy.errors import InvariantViolated, RecordRefused
from kestrapy.machine.commands import (
    Claimed,
    ExecutionRequested,
    KillRequested,
    Result,
    Returned,
    Source,
    TimerDue,
)
from kestrapy.model.state import State
from kestrapy.ports.log import Headers, Record
from kestrapy.wire.codec import Codec
from kestrapy.wire.envelope import Envelope
from kestrapy.wire.schemas import bundled, load, parse
from tests.unit.wire.samples import RECORDS, any_of, any_record

CODEC = Codec()
CLAIM = Claimed("run-1", 3, "worker-1")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def read(value: bytes | None, headers: Headers = ()) -> Record:
    return Record("executions", 2, 7, 1_700_000_000_000, b"key", value, headers)


def reason(value: bytes | None, headers: Headers = (), codec: Codec = CODEC) -> str:
    with pytest.raises(RecordRefused) as refused:
        codec.decode(read(value, headers))
    return str(refused.value)


@pytest.mark.parametrize("kind", RECORDS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_record_comes_back(kind: type, data: st.DataObject) -> None:
    record = data.draw(any_of(kind))
    value, headers = CODEC.encode(record)
    assert headers == (("kestrapy-record", type(record).__name__.encode()),)
    assert CODEC.decode(read(value, headers)) == Envelope(record, None, "", 0)
    assert type(CODEC.decode(read(value)).record) is type(record)


@given(any_record())
def test_equal_records_are_equal_bytes(record: Any) -> None:
    """A replay must put out what the first fold did; another codec stands for another process."""
    assert CODEC.encode(record) == Codec().encode(record)


def test_what_goes_with_a_record_comes_back() -> None:
    source = Source("executions", 3, 41, 2)
    value, headers = CODEC.encode(CLAIM, source=source, traceparent=TRACE, redrives=2)
    assert headers == (
        ("kestrapy-record", b"Claimed"),
        ("kestrapy-source", b"executions/3/41/2"),
        ("traceparent", TRACE.encode()),
        ("kestrapy-redrives", b"2"),
    )
    assert CODEC.decode(read(value, headers)) == Envelope(CLAIM, source, TRACE, 2)


def test_public_records_are_avro_single_objects() -> None:
    value, _ = CODEC.encode(CLAIM)
    fingerprint = bundled().current["Claimed"].fingerprint
    assert value == b"\xc3\x01" + fingerprint + b"\x0arun-1\x06\x10worker-1"


def test_internal_records_are_messagepack_arrays() -> None:
    assert CODEC.encode(TimerDue("run-1", 5))[0] == b"\x93\xa8TimerDue\xa5run-1\x05"


def test_states_are_written_by_name() -> None:
    value, _ = CODEC.encode(Result("run-1", 1, "w", State.SUCCESS))
    assert b"\x0eSUCCESS" in value


def test_another_type_than_expected_is_refused() -> None:
    value, headers = CODEC.encode(CLAIM)
    assert CODEC.decode(read(value, headers), (Claimed, Result)).record == CLAIM
    with pytest.raises(RecordRefused) as refused:
        CODEC.decode(read(value, headers), frozenset({KillRequested, Result}))
    assert str(refused.value) == (
        "Claimed does not belong on executions; expected: KillRequested, Result"
    )


def test_a_headers_name_is_not_trusted() -> None:
    value, _ = CODEC.encode(CLAIM)
    assert CODEC.decode(read(value, (("kestrapy-record", b"Result"),))).record == CLAIM


CLAIM_BYTES = CODEC.encode(CLAIM)[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "no value"),
        (b"", "an empty value"),
        (b'{"taskRunId": "x"}', "starts with 7b22: neither Avro"),
        (CLAIM_BYTES[:-1], "Claimed is unreadable"),
        (CLAIM_BYTES[:5], "unknown schema fingerprint"),
        (CLAIM_BYTES + b"!", "Claimed has 1 bytes too many"),
        (b"\xc3\x01" + b"\xff" * 8, "unknown schema fingerprint ffffffffffffffff"),
        (CLAIM_BYTES.replace(b"run-1", b"run\xff\xfe"), "Claimed is unreadable"),
        (b"\x00\x00\x00\x00\x07!", "written with id 7 of a schema registry, and none"),
        (b"\x00\x00", "truncated after 2 bytes"),
        (b"\x91\xa7Unknown", "Unknown"),
        (b"\x92\xa8TimerDue\xa5run-1", "unreadable"),
        (b"\x93\xa8TimerDue\xa5run-1\xa5later", "unreadable"),
    ],
)
def test_the_reason_says_what_is_wrong(value: bytes | None, expected: str) -> None:
    assert expected in reason(value)


def test_an_unknown_state_is_named() -> None:
    value, _ = CODEC.encode(Result("run-1", 1, "w", State.SUCCESS))
    text = reason(value.replace(b"SUCCESS", b"SUCCEED"))
    assert "Result" in text
    assert "SUCCEED" in text
    assert "state" in text


@pytest.mark.parametrize(
    "header",
    [b"", b"executions", b"executions/1/2", b"/1/2/3", b"s/1/-2/3", b"s/1/2/x", b"\xff/1/2/3"],
)
def test_a_malformed_source_is_refused(header: bytes) -> None:
    assert "kestrapy-source" in reason(CLAIM_BYTES, (("kestrapy-source", header),))


@pytest.mark.parametrize("header", [b"", b"-1", b"two", b"1_0", b"9" * 5000])
def test_malformed_redrives_are_refused(header: bytes) -> None:
    assert "kestrapy-redrives" in reason(CLAIM_BYTES, (("kestrapy-redrives", header),))


def test_a_malformed_traceparent_is_left_aside() -> None:
    """The W3C standard says so: a trace must not stop what is traced."""
    for header in (b"", b"\xff", b"00-0-0-0"):
        assert CODEC.decode(read(CLAIM_BYTES, (("traceparent", header),))).traceparent == ""


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xc3\x01", b"\x00", b"\x92", b"\xdc"]))
def test_noise_is_refused_and_nothing_else(noise: bytes, start: bytes) -> None:
    refused_or_read(start + noise)


@given(any_record(), st.data())
def test_a_damaged_record_is_read_or_refused(record: Any, data: st.DataObject) -> None:
    value = bytearray(CODEC.encode(record)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    refused_or_read(bytes(value[: data.draw(st.integers(0, len(value)))]))
    refused_or_read(bytes(value))


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=30)), max_size=3), st.data())
def test_any_headers_are_read_or_refused(headers: list[Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["kestrapy-source", "traceparent", "kestrapy-redrives"]))
    headers.append((name, data.draw(st.binary(max_size=60))))
    refused_or_read(CLAIM_BYTES, tuple(headers))


def refused_or_read(value: bytes, headers: Headers = ()) -> None:
    try:
        CODEC.decode(read(value, headers))
    except RecordRefused as refused:
        assert str(refused)


@pytest.fixture
def with_older_release(tmp_path: Path) -> tuple[Codec, Callable[[], bytes]]:
    """A codec whose release 0.0.9 had another Returned; and what that one wrote."""
    current = tmp_path / "schemas"
    released = current / "released" / "0.0.9"
    released.mkdir(parents=True)
    for name, schema in bundled().current.items():
        (current / f"{name}.avsc").write_text(schema.text)
    older = json.loads(bundled().current["Returned"].text)
    assert older["fields"].pop()["name"] == "reason"
    # Bytes are promoted to a string by resolution alone; what fills in the reason is not seen.
    older["fields"][2]["type"] = "bytes"
    (released / "Returned.avsc").write_text(json.dumps(older))
    fingerprint = parse(json.dumps(older)).fingerprint
    return Codec(schemas=load(current)), lambda: b"\xc3\x01" + fingerprint + b"\x02a\x02\x02w"


def test_an_older_releases_record_is_read(
    with_older_release: tuple[Codec, Callable[[], bytes]],
) -> None:
    codec, write = with_older_release
    assert codec.decode(read(write())).record == Returned("a", 1, "w", reason="")


def test_what_its_schema_does_not_allow_is_a_bug() -> None:
    for record in (
        Claimed("run-1", 2**63, "w"),
        Claimed("\ud800", 1, "w"),
        Claimed("r", None, "w"),
    ):  # type: ignore[arg-type]
        with pytest.raises(InvariantViolated, match="Claimed can't be encoded"):
            CODEC.encode(record)
    with pytest.raises(InvariantViolated, match="object can't be encoded"):
        CODEC.encode(object())  # type: ignore[arg-type]


def test_a_foreign_request_needs_no_headers() -> None:
    value, _ = CODEC.encode(ExecutionRequested("key-1", "company", "hello"))
    assert CODEC.decode(read(value)).record == ExecutionRequested("key-1", "company", "hello")
