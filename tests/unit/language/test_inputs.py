"""The inputs of an execution: typing, checks, defaults, and the texts of what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.errors import InputRefused
from kestrapy.language.inputs import resolve_inputs
from kestrapy.model.flow import Flow, Input


def resolve(inputs: list[Input], given: dict[str, Any], **variables: Any) -> dict[str, Any]:
    return resolve_inputs(Flow("f", "n", (), inputs=tuple(inputs)), given, variables)


def messages(inputs: list[Input], given: dict[str, Any]) -> list[str]:
    with pytest.raises(InputRefused) as caught:
        resolve(inputs, given)
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("type_", "given_value", "value"),
    [
        ("STRING", "x", "x"),
        ("STRING", 1.5, "1.5"),
        ("STRING", "", ""),
        ("INT", "42", 42),
        ("INT", -3, -3),
        ("FLOAT", "42.42", 42.42),
        ("FLOAT", 1, 1.0),
        ("BOOL", "true", True),
        ("BOOL", False, False),
        ("JSON", '{"a": [1]}', {"a": [1]}),
        ("JSON", {"a": [1]}, {"a": [1]}),
        ("JSON", "{}", {}),
        ("FILE", "kestra:///n/f/x.csv", "kestra:///n/f/x.csv"),
    ],
)
def test_types(type_: Any, given_value: Any, value: Any) -> None:
    resolved = resolve([Input("x", type_)], {"x": given_value})
    assert resolved == {"x": value}
    assert type(resolved["x"]) is type(value)


@pytest.mark.parametrize(
    ("declared", "given_value", "cause"),
    [
        (Input("x", "STRING"), [1], "expected a string, got [1]"),
        (Input("x", "STRING", validator=r"A\d+"), "foo", r"it must match the pattern `A\d+`"),
        (Input("x", "STRING", validator=r"A\d+"), "A1 ", r"it must match the pattern `A\d+`"),
        (Input("x", "INT"), "4.2", "expected a whole number of 64 bits, got '4.2'"),
        (Input("x", "INT"), True, "expected a whole number of 64 bits, got true"),
        (Input("x", "INT"), 1 << 63, "expected a whole number of 64 bits, got 9223372036854775808"),
        (Input("x", "INT", min=10), 9, "it must be more than `10`"),
        (Input("x", "INT", max=20), 21, "it must be less than `20`"),
        (Input("x", "FLOAT", max=0.5), "1.01", "it must be less than `0.5`"),
        (Input("x", "FLOAT"), "nan", "expected a number, got 'nan'"),
        (Input("x", "FLOAT"), "1e999", "expected a number, got inf"),
        (Input("x", "BOOL"), "yes", "expected true or false, got 'yes'"),
        (Input("x", "JSON"), "{", "expected JSON, got '{'"),
        (Input("x", "JSON"), "[NaN]", "expected JSON, got 'NaN'"),
        (Input("x", "FILE"), "/etc/passwd", "expected the URI of a file in internal storage,"),
    ],
)
def test_what_does_not_fit(declared: Input, given_value: Any, cause: str) -> None:
    (message,) = messages([declared], {"x": given_value})
    assert message.startswith(f"Invalid value for input `x`. Cause: {cause}")


def test_missing_and_optional() -> None:
    inputs = [Input("a", "STRING"), Input("b", "INT", required=False), Input("c", "INT")]
    assert messages(inputs, {"c": None}) == ["Missing required input:a", "Missing required input:c"]
    assert resolve(inputs, {"a": "x", "c": 1}) == {"a": "x", "b": None, "c": 1}


def test_defaults_render_and_may_read_earlier_inputs() -> None:
    inputs = [
        Input("who", "STRING", defaults="{{ flow.id }}"),
        Input("count", "INT", defaults=2),
        Input("next", "INT", defaults="{{ inputs.count + 1 }}"),
        Input("data", "JSON", defaults={"by": "{{ inputs.who }}"}),
    ]
    assert resolve(inputs, {"count": "5"}, flow={"id": "f"}) == {
        "who": "f",
        "count": 5,
        "next": 6,
        "data": {"by": "f"},
    }
    later = [Input("a", "INT", defaults="{{ inputs.b }}"), Input("b", "INT", defaults=1)]
    assert "Unable to find `b`" in messages(later, {})[0]


def test_what_is_given_is_never_rendered() -> None:
    assert resolve([Input("a", "STRING")], {"a": "{{ secret }}"}) == {"a": "{{ secret }}"}


def test_dots_build_maps() -> None:
    inputs = [Input("n.text", "STRING"), Input("n.more.int", "INT"), Input("data", "JSON")]
    expected = {"n": {"text": "t", "more": {"int": 1}}, "data": {"n": 1}}
    assert resolve(inputs, {"n.text": "t", "n.more.int": 1, "data": {"n": 1}}) == expected
    assert resolve(inputs, expected) == expected


def test_unknown_inputs_are_refused() -> None:
    inputs = [Input("count", "INT"), Input("n.a", "INT", required=False)]
    assert messages(inputs, {"cuont": 1, "count": 1, "n": {"b": 1}}) == [
        "Unknown input `cuont`; did you mean `count`? (expected: count, n.a)",
        "Unknown input `n.b`; did you mean `n.a`? (expected: count, n.a)",
    ]
    assert messages([], {"x": 1}) == ["Unknown input `x` (the flow has no inputs)"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.sampled_from(["STRING", "INT", "FLOAT", "BOOL", "JSON", "FILE"]), _json)
def test_any_value_is_typed_or_refused(type_: Any, value: Any) -> None:
    try:
        resolve([Input("x", type_, required=False)], {"x": value})
    except InputRefused as refused:
        assert len(refused.problems) == 1
