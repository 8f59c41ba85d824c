"""Trace context is passed on, left aside, or continued by derived ids."""

from __future__ import annotations

import pytest

from kestrapy.wire.trace import child_traceparent, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("text", [PARENT, f"01-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-more"])
def test_a_context_is_kept_as_it_is(text: str) -> None:
    assert parse_traceparent(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        PARENT[:-1],
        PARENT.upper(),
        f"{PARENT}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{PARENT}\n",
    ],
)
def test_a_broken_context_is_none(text: str) -> None:
    assert parse_traceparent(text) == ""
    assert child_traceparent(text, "run-1") == ""


def test_a_child_keeps_trace_and_flags_and_has_a_span_of_its_own() -> None:
    child = child_traceparent(PARENT, "run-1", 2)
    version, trace, span, flags = child.split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != SPAN
    assert parse_traceparent(child) == child


def test_a_childs_span_follows_from_what_it_is_about() -> None:
    assert child_traceparent(PARENT, "run-1", 2) == child_traceparent(PARENT, "run-1", 2)
    spans = {child_traceparent(PARENT, *ids) for ids in (("run-1", 2), ("run-1", 3), ("run-12",))}
    assert len(spans) == 3
