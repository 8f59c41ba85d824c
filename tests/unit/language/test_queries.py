"""The filter ``jq``: what queries give, and that each of them ends."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template

DATA: dict[str, Any] = {
    "a": 1,
    "b": [3, 1, 2],
    "people": [
        {"name": "Ann", "age": 30, "tags": ["x", "y"]},
        {"name": "Bob", "age": 25, "tags": []},
        {"name": "Cid", "age": 30, "tags": ["y"]},
    ],
    "none": None,
    "text": "Hello, World",
}


def query(text: str) -> Any:
    return compile_template("{{ data | jq(query) }}").render({"data": DATA, "query": text})


@pytest.mark.parametrize(
    ("text", "results"),
    [
        (".", [DATA]),
        (".a", [1]),
        (".a, .b[0]", [1, 3]),
        (".b[]", [3, 1, 2]),
        (".b[-1]", [2]),
        (".b[1:]", [[1, 2]]),
        (".text[0:5]", ["Hello"]),
        (".missing.deeper", [None]),
        ('."a"', [1]),
        (".people[0].tags[1]", ["y"]),
        (".people[] | select(.age == 30) | .name", ["Ann", "Cid"]),
        (".people | map(.age) | add", [85]),
        ("[.people[].tags[]] | unique", [["x", "y"]]),
        (".people | map({(.name): .age}) | add", [{"Ann": 30, "Bob": 25, "Cid": 30}]),
        (".people[0] | {name, years: .age}", [{"name": "Ann", "years": 30}]),
        (".people[1] | {name: .tags[]}", []),
        (".people | sort_by(.age) | .[0].name", ["Bob"]),
        (".people | group_by(.age) | map(length)", [[1, 2]]),
        (".people | max_by(.age).name", ["Cid"]),
        (".people | any(.age < 26), all(.age < 26)", [True, False]),
        (".b | sort, min, max, length, reverse", [[1, 2, 3], 1, 3, 3, [2, 1, 3]]),
        ('.people[] | "\\(.name) is \\(.age)"', ["Ann is 30", "Bob is 25", "Cid is 30"]),
        (".none // .a", [1]),
        ("(.missing // empty), 2", [2]),
        ("reduce .b[] as $x (0; . + $x)", [6]),
        (". as $all | .b[] | . + $all.a", [4, 2, 3]),
        ('if .a == 1 then "one" elif .a == 2 then "two" else "many" end', ["one"]),
        ("if .none then 1 end | type", ["object"]),
        ('{"k": 1} | to_entries', [[{"key": "k", "value": 1}]]),
        ('{"k": 1} | map_values(. + 1)', [{"k": 2}]),
        ('{"k": 1} | with_entries({key: .key, value: "v"})', [{"k": "v"}]),
        ('.text | split(", ") | join("-")', ["Hello-World"]),
        ('.text | test("^hel+o"), test("^Hel+o")', [False, True]),
        ('.text | gsub("l+"; "L")', ["HeLo, WorLd"]),
        (".text | ascii_downcase | length", [12]),
        ("[range(3)], [range(1; 10; 4)]", [[0, 1, 2], [1, 5, 9]]),
        ("[limit(2; .b[])], first(.b[])", [[3, 1], 3]),
        ('.a.b?, "after"', ["after"]),
        ("try error(1), 2", [2]),
        (".people[0] | [.name, .age] | @csv, @json", ['"Ann",30', '["Ann",30]']),
        ('"a b" | @base64, @uri', ["YSBi", "a%20b"]),
        ('"12" | tonumber, length', [12, 2]),
        ('{"a": {"b": 1}} * {"a": {"c": 2}}', [{"a": {"b": 1, "c": 2}}]),
        ("[1, [2, [3]]] | flatten, flatten(1)", [[1, 2, 3], [1, 2, [3]]]),
        ("7 / 2, 6 / 2, 7 % 2, -(1)", [3.5, 3, 1, -1]),
        ('[.., 1][0:2] | length', [2]),
        ("1 == 1.0, null < false, [] < {}, not", [True, True, True, False]),
        ("true and false or true # a comment", [True]),
        ('has("a"), (.b | has(9)), (.b | contains([1]))', [True, False, True]),
        ("keys", [sorted(DATA)]),
        ('"[1]" | fromjson', [[1]]),
    ],
)  # fmt: skip
def test_queries(text: str, results: list[Any]) -> None:
    assert query(text) == results


def test_a_string_is_read_as_json_and_null_stays_null() -> None:
    template = compile_template("{{ data | jq('.a') }}")
    assert template.render({"data": '{"a": [1]}'}) == [[1]]
    assert template.render({"data": None}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".a[", "can't read the query `.a[` at its end"),
        (".a | | .b", "near `| .b`"),
        ("nope", "knows no function `nope` of 0 arguments"),
        ("$x", "knows no variable `$x`"),
        ("env", "knows no function `env`"),
        ("$ENV.PATH", "knows no variable `$ENV`"),
        ("input", "knows no function `input`"),
        ("now", "knows no function `now`"),
        ("def f: f; f", "more than 40 calls of its own functions"),
        ("@nope", "knows no format `@nope`"),
        (".a[0]", "needs a list, not a number"),
        ('error("mine")', "query failed: mine"),
        (".a / 0", "division by zero"),
        ("[range(1e9)]", "more than 100,000 steps"),
        ("[range(1e9)] | length", "more than 100,000 steps"),
        ('"x" * 1e9', "characters of output"),
        ("reduce range(60) as $i (1; [., .])", "items of lists and maps"),
        ("reduce range(99999) as $i (1; [.])", "levels"),
        ('reduce range(40) as $i ("x"; . + .)', "characters of output"),
        ("[.b[] as $a | .b[] as $b | range(40000)]", "steps"),
        ("[range(30)] | map([range(999)] | map([range(999)] | length))", "steps"),
        ("1e999", "`jq`"),
        ("." + " | ." * 600, "at most 2,000 characters"),
    ],
)
def test_what_a_query_can_not_do(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        query(text)
    assert message in str(caught.value)
