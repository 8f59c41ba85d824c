"""The inputs of an execution: typing, checks, defaults, and the texts of what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.errors import InputRefused
from kestrapy.language.input_values import TYPES
from kestrapy.language.inputs import resolve_inputs, seal_secrets, undeclared
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.model.flow import Flow, Input
from kestrapy.model.inputs import ENCRYPTED, SECRET_DEFAULT, DependsOn

TEMPLATE = {"type": SECRET_DEFAULT, "value": "{{ secret('hush') }}"}
SEALED = {"type": ENCRYPTED, "value": "c2VhbGVk"}


def resolve(inputs: list[Input], given: dict[str, Any], **variables: Any) -> dict[str, Any]:
    return resolve_inputs(flow_of(inputs), given, variables)


def flow_of(inputs: list[Input]) -> Flow:
    return Flow("f", "n", (), inputs=tuple(inputs))


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
        ("DATETIME", "2019-10-06T18:27:49Z", "2019-10-06T18:27:49Z"),
        ("DATETIME", "2019-10-06T20:27:49.5+02:00", "2019-10-06T18:27:49.500Z"),
        ("DATETIME", "2019-10-06T18:27:49.0001234Z", "2019-10-06T18:27:49.000123400Z"),
        ("DATE", " 2019-10-06", "2019-10-06"),
        ("TIME", "18:27", "18:27:00"),
        ("TIME", "18:27:49.250", "18:27:49.25"),
        ("DURATION", "PT5M6S", "PT5M6S"),
        ("DURATION", "P1DT60.5S", "PT24H1M0.5S"),
        ("DURATION", "PT0S", "PT0S"),
        (
            "YAML",
            "some: property\nalist: [of, values]",
            {"some": "property", "alist": ["of", "values"]},
        ),
        ("YAML", [1], [1]),
        ("URI", "https://www.google.com", "https://www.google.com"),
        ("EMAIL", "first.last@example.org", "first.last@example.org"),
        ("SECRET", SEALED, SEALED),
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
        (Input("x", "FILE"), "file:///etc/passwd", "expected the URI of a file in internal"),
        (
            Input("x", "FILE", allowed_file_extensions=(".csv", ".txt")),
            "kestra:///a.zip",
            "the file's name must end with one of `[.csv, .txt]`",
        ),
        (Input("x", "DATETIME"), "2019-10-06", "expected an instant such as"),
        (Input("x", "DATETIME"), "2019-02-30T00:00:00Z", "expected an instant such as"),
        (Input("x", "DATETIME"), "0001-01-01T00:00:00+01:00", "expected an instant such as"),
        (
            Input("x", "DATETIME", after="2023-01-01T00:00:00Z"),
            "2022-12-31T23:59:59.999Z",
            "it must be after `2023-01-01T00:00:00Z`",
        ),
        (
            Input("x", "DATETIME", before="2023-01-01T00:00:00Z"),
            "2023-01-01T00:00:00.001Z",
            "it must be before `2023-01-01T00:00:00Z`",
        ),
        (Input("x", "DATE", after="2023-01-01"), "2022-01-01", "it must be after `2023-01-01`"),
        (Input("x", "DATE", before="2023-12-31"), "2024-01-01", "it must be before `2023-12-31`"),
        (Input("x", "TIME", after="01:00:00"), "00:00:01", "it must be after `01:00:00`"),
        (Input("x", "TIME", before="11:59:59"), "14:00:00", "it must be before `11:59:59`"),
        (Input("x", "DURATION", min="PT10S"), "PT1S", "it must be more than `PT10S`"),
        (Input("x", "DURATION", max="PT20S"), "PT30S", "it must be less than `PT20S`"),
        (Input("x", "DURATION"), "5 minutes", "expected a duration such as PT5M"),
        (Input("x", "YAML"), "a: [", "expected YAML: line 2: not YAML"),
        (Input("x", "URI"), "justastring", "Invalid URI format."),
        (Input("x", "EMAIL"), "a@b@c", "The input must be a valid email"),
        (Input("x", "JSON"), {"a": [SEALED]}, f"a map with the type `{ENCRYPTED}` stands for"),
        (Input("x", "YAML"), TEMPLATE, f"a map with the type `{SECRET_DEFAULT}` stands for"),
        (Input("x", "ARRAY", item_type="JSON"), [SEALED], f"a map with the type `{ENCRYPTED}`"),
        (Input("x", "SECRET"), TEMPLATE, "a secret must come encrypted"),
        (Input("x", "SECRET"), "hush", "a secret must come encrypted"),
        (Input("x", "SECRET"), {"type": "hush", "value": "hush"}, "a secret must come encrypted"),
        (
            Input("x", "SELECT", values=("ENUM_VALUE", "OTHER_ONE")),
            "INVALID",
            "it must match the values `[ENUM_VALUE, OTHER_ONE]`",
        ),
        (
            Input("x", "ARRAY", item_type="INT"),
            ["s1", "s2"],
            "Unable to parse array element as `INT` on `s1`",
        ),
        (Input("x", "ARRAY", item_type="INT"), "1", "expected a list, got '1'"),
        (
            Input("x", "MULTISELECT", values=("1",), item_type="INT"),
            "[2]",
            "value `2` doesn't match the values `[1]`",
        ),
    ],
)
def test_what_does_not_fit(declared: Input, given_value: Any, cause: str) -> None:
    (message,) = messages([declared], {"x": given_value})
    assert message.startswith(f"Invalid value for input `x`. Cause: {cause}")
    assert "hush" not in message


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


def test_defaults_may_tell_the_time_and_draw() -> None:
    inputs = [
        Input("at", "DATETIME", defaults="{{ now() }}"),
        Input("day", "DATE", defaults="{{ now() | date('yyyy-MM-dd') }}"),
        Input("id", "STRING", defaults="{{ uuid() }}"),
    ]
    flow = flow_of(inputs)
    found = resolve_inputs(flow, {}, {}, FoldWorld(1_000, "seed"))
    assert (found["at"], found["day"]) == ("1970-01-01T00:00:01Z", "1970-01-01")
    assert found == resolve_inputs(flow, {}, {}, FoldWorld(1_000, "seed"))
    assert found["id"] != resolve_inputs(flow, {}, {}, FoldWorld(1_000, "other"))["id"]


def test_values_that_can_not_be_read_here_were_checked_where_they_could() -> None:
    choice = flow_of([Input("s", "SELECT", expression="{{ kv('options') }}")])
    world = FoldWorld(0, "")
    assert resolve_inputs(choice, {"s": "any"}, {}, world) == {"s": "any"}
    unread = flow_of([Input("a", "STRING", defaults="{{ kv('a') }}")])
    with pytest.raises(InputRefused, match="`kv` reads the world"):
        resolve_inputs(unread, {}, {}, world)


def test_what_is_given_is_never_rendered() -> None:
    assert resolve([Input("a", "STRING")], {"a": "{{ secret }}"}) == {"a": "{{ secret }}"}


def test_dots_build_maps() -> None:
    inputs = [Input("n.text", "STRING"), Input("n.more.int", "INT"), Input("data", "JSON")]
    expected = {"n": {"text": "t", "more": {"int": 1}}, "data": {"n": 1}}
    assert resolve(inputs, {"n.text": "t", "n.more.int": 1, "data": {"n": 1}}) == expected
    assert resolve(inputs, expected) == expected


def test_what_is_not_declared_is_left_out_and_can_be_told() -> None:
    inputs = [Input("count", "INT"), Input("n.a", "INT", required=False)]
    given = {"cuont": 1, "count": 1, "n": {"b": 1}}
    assert resolve(inputs, given) == {"count": 1, "n": {"a": None}}
    assert [it.message for it in undeclared(flow_of(inputs), given)] == [
        "Unknown input `cuont`; did you mean `count`? (expected: count, n.a)",
        "Unknown input `n.b`; did you mean `n.a`? (expected: count, n.a)",
    ]
    (problem,) = undeclared(flow_of([]), {"x": 1})
    assert problem.message == "Unknown input `x` (the flow has no inputs)"
    assert undeclared(flow_of(inputs), {"count": 1}) == []


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(TYPES)), _json)
def test_any_value_is_typed_or_refused(type_: Any, value: Any) -> None:
    try:
        resolve([Input("x", type_, required=False)], {"x": value})
    except InputRefused as refused:
        assert len(refused.problems) == 1 or type_ == "MULTISELECT"
        assert {problem.path for problem in refused.problems} == {"inputs.x"}


def test_bounds_are_allowed_themselves() -> None:
    inputs = [
        Input("date", "DATE", after="2023-01-01", before="2023-01-01"),
        Input("instant", "DATETIME", after="2023-01-01T00:00:00Z", before="2023-01-01T00:00:00Z"),
        Input("duration", "DURATION", min="PT60M", max="PT1H"),
        Input("int", "INT", min=1, max=1),
    ]
    values = {
        "date": "2023-01-01",
        "instant": "2023-01-01T01:00:00+01:00",
        "duration": "PT3600S",
        "int": 1,
    }
    assert resolve(inputs, values)["instant"] == "2023-01-01T00:00:00Z"
    later = [Input("instant", "DATETIME", after="2023-01-01T00:00:00Z")]
    assert resolve(later, {"instant": "2023-01-01T00:00:00.5Z"})["instant"].endswith(".500Z")


def test_lists() -> None:
    inputs = [
        Input("array", "ARRAY", item_type="INT"),
        Input("dates", "ARRAY", item_type="DATETIME"),
        Input("multi", "MULTISELECT", values=("A", "B"), item_type="STRING"),
    ]
    values = {
        "array": "[1, 2, 3]",
        "dates": ["2020-01-01T01:00:00+01:00"],
        "multi": '["B"]',
    }
    assert resolve(inputs, values) == {
        "array": [1, 2, 3],
        "dates": ["2020-01-01T00:00:00Z"],
        "multi": ["B"],
    }


def test_each_strange_value_of_a_multiselect_is_told() -> None:
    inputs = [Input("multi", "MULTISELECT", values=("A", "B", "C"))]
    assert messages(inputs, {"multi": ["F", "A", "H"]}) == [
        f"Invalid value for input `multi`. Cause: value `{it}` doesn't match the values `[A, B, C]`"
        for it in "FH"
    ]


def test_values_may_be_an_expression_others_be_allowed_and_the_first_be_taken() -> None:
    inputs = [
        Input("a", "SELECT", expression="{{ vars.v }}", auto_select_first=True),
        Input("b", "SELECT", values=("x",), allow_custom_value=True),
        Input("c", "MULTISELECT", expression="{{ vars.v }}", required=False),
    ]
    given = {"b": "y", "c": ["2"]}
    assert resolve(inputs, given, vars={"v": ["one", 2]}) == {"a": "one", "b": "y", "c": ["2"]}
    inputs[0] = Input("a", "SELECT", expression="{{ vars.v }}")
    with pytest.raises(InputRefused, match=r"the values `\[one\]`"):
        resolve(inputs, {"a": "2", "b": "y"}, vars={"v": '["one"]'})


def test_files_of_the_flow_s_author_may_lie_elsewhere() -> None:
    inputs = [Input("a", "FILE", defaults="{{ vars.f }}")]
    assert resolve(inputs, {}, vars={"f": "nsfile:///x.csv"}) == {"a": "nsfile:///x.csv"}
    with pytest.raises(InputRefused, match="expected the URI of a file"):
        resolve(inputs, {}, vars={"f": "/etc/passwd"})


def test_what_is_prefilled_is_no_default() -> None:
    inputs = [Input("a", "INT", prefill=1, required=False), Input("b", "INT", prefill=1)]
    assert messages(inputs, {}) == ["Missing required input:b"]
    assert resolve(inputs, {"b": 2}) == {"a": None, "b": 2}


def test_an_input_whose_condition_is_false_is_not_asked_for() -> None:
    inputs = [
        Input("cloud", "STRING", depends_on=DependsOn(("on",), "{{ inputs.on }}")),
        Input("region", "STRING", depends_on=DependsOn(("cloud",), "{{ inputs.cloud == 'aws' }}")),
        Input("zone", "STRING", depends_on=DependsOn(("region",))),
        Input("on", "BOOL"),
    ]
    nothing = {"cloud": None, "region": None, "zone": None}
    assert resolve(inputs, {"on": False}) == {**nothing, "on": False}
    assert resolve(inputs, {"on": False, "cloud": "aws", "zone": "1"}) == {**nothing, "on": False}
    assert messages(inputs, {"on": True}) == ["Missing required input:cloud"]
    assert messages(inputs, {"on": True, "cloud": "aws"}) == [
        "Missing required input:region",
        "Missing required input:zone",
    ]
    all_of_it = {"cloud": "aws", "region": "eu", "zone": "1", "on": True}
    assert resolve(inputs, all_of_it) == all_of_it
    assert list(resolve(inputs, all_of_it)) == ["cloud", "region", "zone", "on"]


def test_an_input_that_depends_on_a_refused_one_is_not_asked_for() -> None:
    inputs = [
        Input("a", "INT"),
        Input("b", "INT", depends_on=DependsOn(("a",), "{{ inputs.a > 1 }}")),
        Input("c", "INT", depends_on=DependsOn((), "{{ nothing }}")),
        Input("d", "INT", depends_on=DependsOn(("a",))),
    ]
    first, second = messages(inputs, {"a": "x"})
    assert "input `a`" in first
    assert "input `c`" in second and "nothing" in second


SECRETS = Flow(
    "f",
    "n",
    (),
    inputs=(
        Input("n.key", "SECRET", validator="[a-z]+"),
        Input("fixed", "SECRET", defaults="pw"),
        Input("read", "SECRET", defaults="{{ secret('S') }}"),
        Input("plain", "STRING"),
    ),
)


def test_secrets_are_sealed_before_anything_else_sees_them() -> None:
    given = {"n": {"key": "hush"}, "plain": "p", "odd": 1}
    sealed = seal_secrets(SECRETS, given, lambda text: text[::-1])
    assert sealed == {
        "n.key": {"type": ENCRYPTED, "value": "hsuh"},
        "fixed": {"type": ENCRYPTED, "value": "wp"},
        "plain": "p",
        "odd": 1,
    }
    del sealed["odd"]
    assert seal_secrets(SECRETS, sealed, lambda text: "twice") == sealed
    assert resolve_inputs(SECRETS, sealed, {}) == {
        "n": {"key": {"type": ENCRYPTED, "value": "hsuh"}},
        "fixed": {"type": ENCRYPTED, "value": "wp"},
        "read": {"type": SECRET_DEFAULT, "value": "{{ secret('S') }}"},
        "plain": "p",
    }


@pytest.mark.parametrize(
    ("value", "has_key", "cause"),
    [
        ("HUSH", True, "it must match the pattern `[a-z]+`"),
        (["HUSH"], True, "expected a text"),
        ("hush", False, "a secret can't be taken without a key: set `encryption.secretKey`"),
    ],
)
def test_secrets_that_are_refused_are_not_shown(value: Any, has_key: bool, cause: str) -> None:
    with pytest.raises(InputRefused) as caught:
        seal_secrets(SECRETS, {"n.key": value}, str if has_key else None)
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"Invalid value for input `n.key`. Cause: {cause}")
    assert "hush" not in str(caught.value).lower()


def test_without_a_key_the_defaults_of_secrets_stand_as_their_flow_has_them() -> None:
    sealed = seal_secrets(SECRETS, {"plain": "p"}, None)
    assert sealed == {"plain": "p"}
    with pytest.raises(InputRefused, match=r"^Missing required input:n.key$"):
        resolve_inputs(SECRETS, sealed, {})
