"""The filter ``jq``: queries that change their input, define functions, catch errors, and walk."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template

DATA: dict[str, Any] = {
    "host": "db1",
    "ports": [80, 443, 8080],
    "users": [{"id": 7, "name": "Ida"}, {"id": 9, "name": "Ole"}],
    "deep": {"er": {"est": None}},
}


def query(text: str, data: Any = DATA) -> Any:
    return compile_template("{{ data | jq(query) }}").render({"data": data, "query": text})


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ('.host = "db2" | .host', ["db2"]),
        (".host = (1, 2) | .host", [1, 2]),
        (".ports[1] |= . + 1 | .ports", [[80, 444, 8080]]),
        (".ports[] += 1 | .ports", [[81, 444, 8081]]),
        (".ports[-1] = 1 | .ports", [[80, 443, 1]]),
        (".ports |= map(select(. > 100)) | .ports", [[443, 8080]]),
        (".ports[] |= (select(. > 100)) | .ports", [[443, 8080]]),
        (".ports[1:] = [1] | .ports", [[80, 1]]),
        (".new.inner[1] = 2 | .new", [{"inner": [None, 2]}]),
        (".deep.er.est //= 5 | .deep.er.est", [5]),
        (".host //= 5 | .host", ["db1"]),
        (".ports[0] -= 10, .ports[0] *= 2 | .ports[0]", [70, 160]),
        (".ports[0] /= 2 | .ports[0] %= 7 | .ports[0]", [5]),
        ('(.users[] | select(.id == 9) | .name) = "Eva" | [.users[].name]', [["Ida", "Eva"]]),
        ("(.users[].id, .ports[0]) |= 0 | [.users[].id], .ports[0]", [[0, 0], 0]),
        ("(.missing // .host) |= 1 | .host", [1]),
        ("(if .host then .ports else .users end) |= length | .ports", [3]),
        ("first(.ports[]) |= 0 | .ports", [[0, 443, 8080]]),
        ("(.. | numbers) |= 0 | .ports, .users[0].id", [[0, 0, 0], 0]),
        (".users[0] as $u | .host |= $u.name | .host", ["Ida"]),
        (".x = 1 // 2 | .x", [1]),
        (".a = 1 | .b = .a | [.a, .b]", [[1, 1]]),
        ("del(.host, .ports[0], .users[1:]) | [.host, .ports, (.users | length)]",
         [[None, [443, 8080], 1]]),
        ("del(.users[] | select(.id == 7)) | .users[0].name", ["Ole"]),
        ("del(.nope.at.all) == .", [True]),
        ("del(.) ", [None]),
        ('delpaths([["host"], ["users", 0]]) | [has("host"), (.users | length)]', [[False, 1]]),
        ('setpath(["deep", "er"]; 1) | .deep', [{"er": 1}]),
        ('getpath(["deep", "er", "est", "x"])', [None]),
        ("[path(.users[].id)]", [[["users", 0, "id"], ["users", 1, "id"]]]),
        ("[paths] | length", [15]),
        ("[paths(type == \"number\")] | length", [5]),
        ("[leaf_paths][0]", [["host"]]),
        (".deep | to_entries", [[{"key": "er", "value": {"est": None}}]]),
        ("(.users[0] | .id) |= (., .) | .users[0].id", [7]),
        ("(.ports, .ports[0]) |= [., length] | .ports", [[[[80, 443, 8080], 3], 3]]),
    ],
)  # fmt: skip
def test_what_changes_a_value(text: str, results: list[Any]) -> None:
    before = copy.deepcopy(DATA)
    assert query(text) == results
    assert before == DATA, "what a query is given stays as it is"


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("def twice(f): f | f; 3 | twice(. * 2)", [12]),
        ("def plus($n): . + $n; .ports | map(plus(1))", [[81, 444, 8081]]),
        ("def pair($a; $b): [$a, $b, a]; pair(1, 2; 3)", [[1, 3, 1, 2], [2, 3, 1, 2]]),
        ("def fac: if . < 2 then 1 else . * (. - 1 | fac) end; 10 | fac", [3628800]),
        ("def a: 1; def b: a + 1; def a: 10; b, a", [2, 10]),
        ("def map(f): \"own\"; map(.)", ["own"]),
        ("def last_port: .ports[-1]; last_port |= 1 | .ports[2]", [1]),
        ("def f(g): def h: g; [h, g]; f(1)", [[1, 1]]),
        ("[foreach .ports[] as $p (0; . + $p)]", [[80, 523, 8603]]),
        ("[foreach .ports[] as $p (0; . + 1; [., $p])] | last", [[3, 8080]]),
        ("reduce .users[] as {id: $i, name: $n} ({}; .[$n] = $i)", [{"Ida": 7, "Ole": 9}]),
        (". as {host: $h, ports: [$one, $two]} | [$h, $one, $two]", [["db1", 80, 443]]),
        (". as {$host, (\"po\" + \"rts\"): [$p]} | [$host, $p]", [["db1", 80]]),
        ("try error(\"own\") catch .", ["own"]),
        ("try error({code: 3}) catch .code", [3]),
        ("[.ports[] | try (if . == 443 then error(\"x\") else . end) catch -1]", [[80, -1, 8080]]),
        ("[(1, error(\"x\"), 2)?]", [[1]]),
        ("try (.host | keys) catch \"no keys\"", ["no keys"]),
        ("try .host", ["db1"]),
    ],
)  # fmt: skip
def test_functions_names_and_errors(text: str, results: list[Any]) -> None:
    assert query(text) == results


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ('"\\(.ports | join("," )) on \\(.host)"', ["80,443,8080 on db1"]),
        ('"\\(.users[0] | "<\\(.name)>")"', ["<Ida>"]),
        ('@base64 "x-\\(.host)"', ["x-ZGIx"]),
        ('@uri "q=\\("a b")"', ["q=a%20b"]),
        ('@sh "echo \\(.host) \\([1, "it\'s"])"', ["echo 'db1' 1 'it'\\''s'"]),
        ('{"\\(.host)-x": 1}', [{"db1-x": 1}]),
        ('{"host"}', [{"host": "db1"}]),
        ("walk(if type == \"number\" then . + 1 else . end) | .ports[0]", [81]),
        ("[1, [2, null]] | walk(select(. != null))", [[1, [2]]]),
        ("[1 | while(. < 20; . * 3)]", [[1, 3, 9]]),
        ("1 | until(. > 20; . * 3)", [27]),
        ("[limit(3; 1 | repeat(. * 2))]", [[1, 2, 4]]),
        ("[2 | recurse(if . < 20 then . * . else empty end)]", [[2, 4, 16, 256]]),
        ("[2 | recurse(. * .; . < 100)]", [[2, 4, 16]]),
        ("[[1, 2], [3, 4]] | [combinations] | length", [4]),
        ("[0, 1] | [combinations(2)]", [[[0, 0], [0, 1], [1, 0], [1, 1]]]),
        (".ports | index(443), rindex(9), indices(80)", [1, None, [0]]),
        ('"abcab" | index("b"), rindex("b"), indices("ab")', [1, 4, [0, 3]]),
        ("[1, 2, 1, 2] | indices([1, 2])", [[0, 2]]),
        ("any(.ports[]; . > 8000), all(.ports[]; . > 8000)", [True, False]),
        ("isempty(.ports[]), isempty(empty), add(.ports[])", [False, True, 8603]),
        ("nth(1; .ports[]), (.ports | nth(2))", [443, 8080]),
        (".users | INDEX(.name) | .Ole.id", [9]),
        (".host | IN(\"db1\", \"db2\")", [True]),
        ("\"id\" | in({\"id\": 1})", [True]),
        ("[[1, 2], [3]] | transpose", [[[1, 3], [2, None]]]),
        ("\"az\" | explode, (explode | implode)", [[97, 122], "az"]),
        ("pow(2; 10), (100 | log10), (2 | exp2), (-2 | fabs)", [1024, 2, 4, 2]),
        (".host | test(\"DB\"), test(\"DB\"; \"i\"), test([\"DB\", \"i\"])", [False, True, True]),
        ("\"a1b22\" | [scan(\"[0-9]+\")], [match(\"[0-9]+\"; \"g\").offset]",
         [["1", "22"], [1, 3]]),
        ("\"k=v\" | capture(\"(?<key>\\\\w)=(?<val>\\\\w)\")", [{"key": "k", "val": "v"}]),
        ("\"a, b;c\" | [splits(\"[,;] *\")], split(\", *\"; null)",
         [["a", "b", "c"], ["a", "b;c"]]),
        ("\"aAa\" | gsub(\"a\"; \"x\"; \"i\"), sub(\"a\"; \"x\")", ["xxx", "xAa"]),
        ("1735689600 | todate, strftime(\"%d.%m.%Y\"), (gmtime | mktime)",
         ["2025-01-01T00:00:00Z", "01.01.2025", 1735689600]),
        ("\"2025-01-01T00:00:00Z\" | fromdate", [1735689600]),
        ("\"3/2025\" | strptime(\"%m/%Y\") | mktime", [1740787200]),
        ("[.ports[] | debug] | length", [3]),
    ],
)  # fmt: skip
def test_texts_walks_and_matches(text: str, results: list[Any]) -> None:
    assert query(text) == results


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(.ports | map(.)) |= 1", "can't change what a query makes"),
        ("del(.host | length)", "can't change what a query makes"),
        (".host.x = 1", "needs a list, not a string"),
        (".ports[-9] = 1", "has no index -9 in a list of 3"),
        (".ports[99999999] = 1", "more than 100,000 steps"),
        ("def f: f | f; f", "more than 40 calls of its own functions within each other"),
        ("def f(g): f(g | g); f(.)", "more than 40 calls"),
        ("1 | until(false; . + 1)", "more than 100,000 steps"),
        ("[repeat(1)]", "more than 100,000 steps"),
        ("[limit(100000; 1 | recurse(. + 0))]", "more than 100,000 steps"),
        ("[range(9)] | [combinations(9)]", "steps"),
        ("[range(9) | [range(9)]] | [combinations]", "steps"),
        ("reduce range(999999) as $i (.; .a[$i] = 1)", "steps"),
        (".host | test(\"a\"; \"q\")", "knows the flags g, i, n and s, not `q`"),
        ("now | strftime(\"%s\")", "knows no function `now`"),
        ("0 | strftime(\"%s\")", "can't use the date format `%s`"),
        ("1e300 | todate", "needs a date"),
        ("localtime", "knows no function `localtime`"),
        ("def f: 1; nope", "knows no function `nope` of 0 arguments"),
        (". as [$a] | 1", "needs a string, not a number"),
        ("error", "query failed: {"),
        ("try error(\"a\") catch error(\"b\")", "query failed: b"),
        ("[[1]] | @sh", "can't write a list or map for a shell"),
    ],
)  # fmt: skip
def test_what_a_query_can_not_do(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        query(text)
    assert message in str(caught.value)


_names = st.sampled_from(["a", "b"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=2),
    max_leaves=8,
)
_targets = st.recursive(
    st.sampled_from([".", ".a", ".[0]", ".[]?", "..", ".[1:]?", "empty", ".a?", ".b?"]),
    lambda inner: st.builds(
        lambda left, mark, right: f"({left}{mark}{right})",
        inner,
        st.sampled_from([" | ", ", ", " // "]),
        inner,
    ),
    max_leaves=4,
)
_changes = st.sampled_from([".", "1", "[.]", "empty", "{a: .}", "(., 2)", "length?"])


@settings(max_examples=300, deadline=None)
@given(_values, _targets, _changes)
def test_changing_at_paths_is_what_setting_one_path_after_the_other_gives(
    data: Any, target: str, change: str
) -> None:
    """And whatever is given stays as it is."""
    before = copy.deepcopy(data)
    at_once = _outcome(f"{target} |= ({change})", data)
    assert data == before
    if change == "empty":
        return
    step = f"setpath($p; first(getpath($p) | {change}))"
    if change == "length?":
        return  # which may give nothing as well
    assert at_once == _outcome(f"reduce path({target}) as $p (.; {step})", data)


@settings(max_examples=200, deadline=None)
@given(_values, _targets)
def test_a_path_leads_to_what_is_found(data: Any, target: str) -> None:
    found = _outcome(f"[{target}]", data)
    assert found == _outcome(f". as $all | [path({target}) as $p | $all | getpath($p)]", data)


def _outcome(text: str, data: Any) -> Any:
    try:
        return query(text, data)
    except ExpressionError:
        return "refused"
