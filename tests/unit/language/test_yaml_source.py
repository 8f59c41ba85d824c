"""YAML: how scalars are read, where values stand, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.errors import FlowRefused
from kestrapy.language.yaml_source import parse, path_text

SHARED_FLOWS = Path(__file__).parents[4] / "shared" / "flows"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("~", None),
        ("null", None),
        ("", None),
        ("42", 42),
        ("-1", -1),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("2020-01-01", "2020-01-01"),
        ("12:30:45", "12:30:45"),
        ("'42'", "42"),
        ("!!str 42", "42"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    read = parse(f"k: {text}").data["k"]
    assert (read, type(read)) == (value, type(value))


def test_keys_are_text() -> None:
    assert parse("1: a\ntrue: b\n~: c").data == {"1": "a", "true": "b", "~": "c"}


def test_places_are_of_keys_and_items() -> None:
    document = parse("id: x\ntasks:\n  - id: a\n    list: [1, 2]\n")
    assert document.place(("tasks", 0, "list")) == (4, 5)
    assert document.place(("tasks", 0)) == (3, 5)
    assert document.place(("tasks", 0, "list", 1)) == (4, 15)
    assert document.place(("tasks", 0, "nowhere", "at all")) == (3, 5)
    assert document.place(()) == (1, 1)
    assert path_text(("tasks", 0, "retry", "interval")) == "tasks[0].retry.interval"


def test_anchors_aliases_and_merge_keys() -> None:
    document = parse("a: &a {x: 1, y: {z: 2}}\nb: {<<: *a, x: 9}\nc: {<<: [{x: 3}, *a]}\nd: [*a]")
    assert document.data["b"] == {"x": 9, "y": {"z": 2}}
    assert document.data["c"] == {"x": 3, "y": {"z": 2}}
    assert document.data["d"] == [document.data["a"]]
    assert document.place(("b", "y", "z")) == (2, 1)


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", "Duplicate field 'c'", 4, 3),
        ("a: {{ inputs.x }}", "put text that starts with `{{`", 1, 5),
        ("a: [1", "a bracket or a brace is not closed", 2, 1),
        ("a:\n\tb: 1", "a tab can't indent, use blanks", 2, 1),
        ("a:\n  - b: 1\n   c: 2", "how far this line and the ones above are indented", 3, 4),
        ("a: 'b", "a quote, a bracket or a brace is not closed", 1, 6),
        ("a: b: c", "not YAML: mapping values are not allowed", 1, 5),
        ("a: 1\n---\nb: 1", "a second document", 2, 1),
        ("a: !java/object 1", "the tag `!java/object` is not supported", 1, 4),
        ("a: !!map [1]", "the tag", 1, 4),
        ("a: *b", "the alias `*b` has no anchor", 1, 4),
        ("a: &a [*a]", "the alias `*a` has no anchor", 1, 8),
        ("a: &a x\n*a : y", "an alias can't be a key", 2, 1),
        ("a: {<<: 3}", "`<<` takes a map", 1, 9),
        ("a: .inf", "put it in quotes", 1, 4),
        ("a: 1e999", "out of range", 1, 4),
        ("a: 9223372036854775808", "more than 64 bits", 1, 4),
        ("[" * 65, "more than 64 levels", 1, 65),
        ("a: \x00", "not YAML", 0, 0),
        ("a: \ud800", "not YAML", 0, 0),
    ],
)
def test_what_is_refused_has_its_place(text: str, message: str, line: int, column: int) -> None:
    with pytest.raises(FlowRefused) as caught:
        parse(text)
    problem = caught.value.problems[0]
    assert message in problem.message
    assert (problem.line, problem.column) == (line, column)


def test_every_duplicate_is_found() -> None:
    with pytest.raises(FlowRefused) as caught:
        parse("a: 1\na: 2\nb: [{c: 1, c: 2}]")
    assert [problem.path for problem in caught.value.problems] == ["a", "b[0].c"]


def test_aliases_can_not_expand_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(FlowRefused, match="aliases expanded"):
        parse("\n".join(lines))


def test_aliases_can_not_nest_without_bound() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
    with pytest.raises(FlowRefused, match="more than 64 levels"):
        parse("\n".join(lines))


_pieces = st.sampled_from(
    ["a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<", "'", '"', "|"]
)


@given(st.lists(_pieces | st.text(max_size=3), max_size=25).map("".join))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse(text)
    except FlowRefused as refused:
        assert refused.problems


@pytest.mark.skipif(
    not SHARED_FLOWS.is_dir(), reason="Kestra's own test flows are not beside the project"
)
def test_kestras_own_flows_parse() -> None:
    files = sorted((SHARED_FLOWS / "valids").glob("*.y*ml"))
    assert files
    for file in files:
        assert isinstance(parse(file.read_text()).data, dict), file.name
