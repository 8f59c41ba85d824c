"""Lines of a process: how bytes are cut, and what the lines may say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from kestrapy.plugins.runners.output_lines import (
    MAX_LINE,
    MAX_OUTPUTS,
    LineSplitter,
    OutputLines,
)
from kestrapy.ports.tasks import TaskFailed


class Heard:
    """The part of a TaskContext that lines reach."""

    def __init__(self) -> None:
        self.logs: list[tuple[str, str]] = []
        self.metrics: list[tuple[str, str, float, Mapping[str, str]]] = []

    def log(self, level: str, message: str) -> None:
        self.logs.append((level, message))

    def metric(self, name: str, kind: str, value: float, tags: Mapping[str, str]) -> None:
        self.metrics.append((name, kind, value, tags))


def hear(*lines: str) -> tuple[OutputLines, Heard]:
    heard = Heard()
    output = OutputLines(heard)  # type: ignore[arg-type]
    for line in lines:
        output.take(line, "INFO")
    return output, heard


def split(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in (*chunks, b"") for line in splitter.feed(chunk)]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b\r\nc"], ["ab", "c"]),
        ([b"\n\n"], ["", ""]),
        ([], []),
        ([b"\xc3", b"\xa4\n\xff\n"], ["ä", "\ufffd"]),
    ],
)
def test_lines(chunks: list[bytes], lines: list[str]) -> None:
    assert split(*chunks) == lines


def test_an_endless_line_comes_in_pieces() -> None:
    splitter = LineSplitter()
    pieces = [line for _ in range(40) for line in splitter.feed(b"x" * 65_536)]
    assert {len(piece) for piece in pieces} == {MAX_LINE}
    assert len(pieces) * MAX_LINE >= 40 * 65_536 - MAX_LINE


def test_outputs_metrics_and_logs() -> None:
    said: dict[str, Any] = {
        "outputs": {"a": 1},
        "metrics": [{"name": "n", "type": "counter", "value": 2, "tags": {"t": 1}}],
        "logs": [{"level": "error", "message": "m"}, {"message": "k"}],
    }
    output, heard = hear("before", f"::{json.dumps(said)}::", '::{"outputs":{"b":[]}}::')
    assert output.vars == {"a": 1, "b": []}
    assert heard.metrics == [("n", "counter", 2.0, {"t": "1"})]
    assert heard.logs == [("INFO", "before"), ("ERROR", "m"), ("INFO", "k")]


@pytest.mark.parametrize(
    "line",
    [
        "::{nonsense}::",
        '::{"assets":[]}::',
        '::{"metrics":[{"name":"n","type":"gauge","value":1}]}::',
        '::{"outputs":3}::',
        '::{"metrics":[{"type":"timer"}]}::',
    ],
)
def test_what_is_not_understood_is_said_and_logged(line: str) -> None:
    output, heard = hear(line)
    assert output.vars == {}
    assert [level for level, _ in heard.logs] == ["WARN", "INFO"]
    assert heard.logs[1] == ("INFO", line)


def test_too_long_an_output_line_is_not_lost_silently() -> None:
    _, heard = hear("::{" + "x" * MAX_LINE)
    assert heard.logs[0][0] == "WARN"
    assert "outputFiles" in heard.logs[0][1]


def test_outputs_are_bounded() -> None:
    line = "::" + json.dumps({"outputs": {"a": "x" * 100_000}}) + "::"
    with pytest.raises(TaskFailed, match="larger than"):
        hear(*[line] * (MAX_OUTPUTS // 100_000 + 1))
