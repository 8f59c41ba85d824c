"""Templates: what they render to, what they read, and what they refuse."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template, names_of, render_value, select
from kestrapy.language.expression.scope import OUTPUT_LIMIT

VARIABLES: dict[str, Any] = {
    "inputs": {
        "name": "Ada",
        "count": 3,
        "ok": True,
        "nothing": None,
        "a-b": 1.5,
        "list": [1, "x"],
    },
    "outputs": {"split": {"uris": {"a.txt": "kestra:///a"}, "or": "word", "is": 7}},
    "vars": {"is_on": False, "template": "{{ inputs.name }}", "big": 1 << 62},
}


def render(text: str) -> Any:
    return compile_template(text).render(VARIABLES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no expression, { one } brace", "no expression, { one } brace"),
        ("Hello {{ inputs.name }}!", "Hello Ada!"),
        ("{{ inputs.count }}", 3),
        (" {{ inputs.count }}", " 3"),
        ("{{ inputs['a-b'] }}", 1.5),
        ('{{ inputs["list"][1] }}', "x"),
        ("{{ inputs.list[0] + 1 }}", 2),
        ("{{ outputs.split.uris['a.txt'] }}", "kestra:///a"),
        ("{{ outputs['split']['uris'] }}", {"a.txt": "kestra:///a"}),
        ("{{ outputs.split.or ~ outputs.split.is }}", "word7"),
        ("{{ vars.is_on }}", False),
        ("{{ vars.template }}", "{{ inputs.name }}"),
        ("a {{- inputs.count -}} b", "a3b"),
        ("a {{-1}}", "a -1"),
        ("{# gone #}{{ inputs.count }}", 3),
        ("a {#- gone -#} b", "ab"),
        ("line\n{{ inputs.count }}\nnext", "line\n3\nnext"),
        ("", ""),
        ("{{ '' }}", ""),
    ],
)
def test_text_paths_and_whitespace(text: str, value: Any) -> None:
    assert render(text) == value
    assert type(render(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ 'it\\'s' }}", "it's"),
        ('{{ "a \\"b\\" \\\\ \\n" }}', 'a "b" \\ \\n'),
        ("{{ '}} {{' }}", "}} {{"),
        ("{{ [1, 'b', null] }}", [1, "b", None]),
        ("{{ {'a': {'b': [true]}} }}", {"a": {"b": [True]}}),
        ("{{ [] }}{{ {} }}", "[]{}"),
        ("{{ none }}", None),
        ("{{ 2.50 }}", 2.5),
    ],
)
def test_literals(text: str, value: Any) -> None:
    assert render(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x{{ null }}y", "xy"),
        ("x{{ true }}", "xtrue"),
        ("x{{ inputs.list }}", 'x[1,"x"]'),
        ("x{{ {'ü': null} }}", 'x{"ü":null}'),
        ("x{{ 1.0 }}", "x1.0"),
    ],
)
def test_what_values_look_like_in_text(text: str, value: str) -> None:
    assert render(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ 1 + 2 * 3 }}", 7),
        ("{{ (1 + 2) * 3 }}", 9),
        ("{{ 10 - 3 - 2 }}", 5),
        ("{{ -7 / 2 }}", -3),
        ("{{ -7 % 3 }}", -1),
        ("{{ 7.0 / 2 }}", 3.5),
        ("{{ -inputs.count + 1 }}", -2),
        ("{{ 'a' + 1 }}", "a1"),
        ("{{ 1 + 2 ~ 3 }}", "123"),
        ("{{ 'n' + null }}", "nnull"),
        ("{{ 'n' ~ null }}", "n"),
        ("{{ [1] + 2 }}", [1, 2]),
        ("{{ 1 == 1.0 }}", True),
        ("{{ 1 == true }}", False),
        ("{{ inputs.name equals 'Ada' }}", True),
        ("{{ inputs.name != 'Ada' }}", False),
        ("{{ 'a' < 'b' and 2 >= 2 }}", True),
        ("{{ null < 1 }}", False),
        ("{{ not inputs.ok or true }}", True),
        ("{{ not inputs.ok == false }}", True),
        ("{{ false and nowhere }}", False),
        ("{{ true or nowhere }}", True),
        ("{{ inputs.list contains 'x' }}", True),
        ("{{ inputs.list contains [1, 2] }}", False),
        ("{{ inputs contains 'name' and 'abc' contains 'bc' }}", True),
        ("{{ inputs.count == 3 ? 'three' : nowhere }}", "three"),
        ("{{ false ? 1 : false ? 2 : 3 }}", 3),
        ("{{ inputs.none ?? inputs.nothing ?? 'd' }}", "d"),
        ("{{ nowhere.at.all ?? 1 }}", 1),
        ("{{ inputs.nothing.deeper ?? 1 }}", 1),
        ("{{ inputs.nothing ??? 1 }}", None),
        ("{{ inputs.none ??? 1 }}", 1),
        ("{{ 'a' ~ inputs.none ?? 'b' }}", "ab"),
        ("{{ inputs.ok ?? false }}", True),
        ("{{ notable ?? orb ?? islands ?? 'names' }}", "names"),
    ],
)
def test_operators_and_their_precedence(text: str, value: Any) -> None:
    assert render(text) == value
    assert type(render(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("{{ nowhere }}", "nowhere"),
        ("{{ inputs.none }}", "none"),
        ("{{ inputs.nothing.x }}", "x"),
        ("{{ inputs.name.upper }}", "upper"),
        ("{{ inputs.__class__ }}", "__class__"),
        ("{{ inputs.list[2] }}", "2"),
        ("{{ inputs.list[-1] }}", "-1"),
        ("{{ inputs.list.append }}", "append"),
        ("{{ inputs.list[true] }}", "true"),
        ("{{ inputs['keys'] }}", "keys"),
    ],
)
def test_what_is_missing_is_named_with_its_expression(text: str, missing: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        render(f"first\n  {text} rest")
    assert f"Unable to find `{missing}` used in the expression `{text}` at line 2" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("{{ a | jsno }}", "there is no filter `jsno`; did you mean `json`", 1, 8),
        ("{{ a\n | toJson('x', y=1) }}", "`toJson` takes no argument, not 1 arguments", 2, 4),
        ("{{ nwo() }}", "there is no function `nwo`; did you mean `now`", 1, 4),
        ("{{ kv(namespace=flow.id) < 2 }}", "`kv` needs its argument `key`", 1, 4),
        ("{{ kv('a', key='b') }}", "`kv` is given its argument `key` twice", 1, 4),
        ("{{ a | replace({}, regex=true) }}", "`replace` has no argument `regex`", 1, 8),
        ("{{ kv(key='a', 'b') }}", "without a name stands after `key=`", 1, 3),
        ("{{ a is not jsno }}", "there is no test `jsno`", 1, 13),
        ("{{ a.push(1) }}", "there is no method `push`", 1, 6),
        ('{{ "x #{a | uper}" }}', "there is no filter `uper`", 1, 13),
        ("{{ a", "not closed by `}}`", 1, 1),
        ("{{ a }", "one `}` alone", 1, 6),
        ("${#a}", "not closed by `#}`", 1, 2),
        ("{{ 'a }}", "the string ' is not closed", 1, 4),
        ("{{ (a] }}", "the bracket `(` is not closed", 1, 4),
        ("{{ a) }}", "unexpected `)`", 1, 5),
        ("{{ }}", "empty", 1, 3),
        ("{{ a + }}", "ends too early", 1, 8),
        ("{{ a b }}", "unexpected `b`", 1, 6),
        ("{{ a @ b }}", "unexpected `@`", 1, 6),
        ("{{ 9223372036854775808 }}", "out of range", 1, 4),
    ],
)
def test_what_is_refused_has_its_place(text: str, message: str, line: int, column: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(text)
    assert message in str(caught.value)
    assert f"at line {line}, column {column}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ 1 + null }}", "`+` needs numbers, not number and null"),
        ("{{ {} - 1 }}", "`-` needs numbers, not map and number"),
        ("{{ 1 < 'a' }}", "needs two numbers or two strings"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 1.0 % 0 }}", "division by zero"),
        ("{{ vars.big * 2 }}", "out of range"),
        ("{{ inputs and true }}", "`and` needs a boolean, number or string, not a map"),
        ("{{ [] ? 2 : 3 }}", "`? :` needs a boolean, number or string, not a list"),
        ("{{ not null }}", "`not` needs a boolean, number or string, not null"),
        ("{{ -inputs.name }}", "a sign needs a number"),
        ("{{ 1 contains 2 }}", "`contains` needs a list, map or string"),
    ],
)
def test_types_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match="in the expression") as caught:
        render(text)
    assert message in str(caught.value)


def test_the_budget_of_output_spans_all_expressions_of_a_value() -> None:
    large = {"a": "x" * (OUTPUT_LIMIT // 3)}
    assert len(render_value(["{{ a }}-{{ a }}"], large)[0]) == 2 * (OUTPUT_LIMIT // 3) + 1
    with pytest.raises(ExpressionError, match="characters of output"):
        render_value(["{{ a }}-{{ a }}", "{{ a }}-{{ a }}"], large)


def test_the_budget_of_steps() -> None:
    large = {"a": list(range(1000))}
    with pytest.raises(ExpressionError, match="more than 100,000 steps"):
        render_value("{{ a contains a }}", large)


def test_a_deep_expression_is_refused_and_never_exhausts_the_stack() -> None:
    for text in (
        "1" + " + 1" * 5000,
        "(" * 5000 + "1" + ")" * 5000,
        "a" + ".b" * 5000,
        "not " * 5000 + "a",
    ):
        try:
            render_value(f"{{{{ {text} }}}}", {})
        except ExpressionError:
            continue
        assert text.startswith("("), "parentheses alone make no level of the tree"


def test_values_render_through_maps_and_lists_keys_included() -> None:
    value = {"{{ inputs.name }}": ["{{ inputs.count }}", 4, None, {"k": "<{{ inputs.ok }}>"}]}
    before = copy.deepcopy(value)
    assert render_value(value, VARIABLES) == {"Ada": [3, 4, None, {"k": "<true>"}]}
    assert value == before


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("{{ outputs.split.uris['a.txt'] }}", [("outputs", "split", "uris", "a.txt")]),
        ("{{ outputs[inputs.name].uri }}", [("inputs", "name"), ("outputs",)]),
        ("{{ inputs.list[0].x }}", [("inputs", "list")]),
        ("{{ (a ?? b).c ~ d['e'] }}", [("a",), ("b",), ("d", "e")]),
        ({"{{ k }}": ["{{ a.b }}", "{{ a.b }} {{ a }}"]}, [("a",), ("a", "b"), ("k",)]),
        ("none { of } them", []),
    ],
)
def test_names_are_the_paths_that_are_read(value: Any, names: list[tuple[str, ...]]) -> None:
    assert list(names_of(value)) == names


def test_select_keeps_just_what_is_named() -> None:
    names = names_of(
        "{{ outputs.split.is }} {{ inputs.list[1] }} {{ inputs.none ?? nowhere.x ?? 1 }}"
    )
    assert select(VARIABLES, names) == {
        "inputs": {"list": [1, "x"]},
        "outputs": {"split": {"is": 7}},
    }


def test_select_takes_names_in_any_order() -> None:
    whole = {"outputs": {"split": {"is": 7, "or": "word"}}}
    names = [("outputs", "split", "is"), ("outputs", "split")]
    assert select(whole, names) == select(whole, reversed(names)) == whole


_names = st.sampled_from(["a", "b", "c"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=12,
)
_steps = st.one_of(
    _names.map(lambda n: f".{n}"),
    _names.map(lambda n: f"['{n}']"),
    st.sampled_from(["[0]", "[a.b]", "[b]"]),
)
_paths = st.builds(lambda root, steps: root + "".join(steps), _names, st.lists(_steps, max_size=3))
_expressions = st.recursive(
    _paths | st.sampled_from(["1", "'a'", "null", "true", "[a, b]"]),
    lambda inner: st.builds(
        lambda left, operator, right: f"({left}) {operator} ({right})",
        inner,
        st.sampled_from(["??", "???", "~", "+", "-", "*", "/", "==", "<", "and", "or", "contains"]),
        inner,
    ),
    max_leaves=5,
)


def _outcome(text: str, variables: Any) -> Any:
    try:
        return compile_template(text).render(variables)
    except ExpressionError as error:
        return str(error)


@given(_expressions, st.dictionaries(_names, _json, max_size=3))
def test_the_selected_part_renders_as_the_whole_does(expression: str, variables: Any) -> None:
    text = f"{{{{ {expression} }}}}"
    part = select(variables, compile_template(text).names())
    assert _outcome(text, part) == _outcome(text, variables)


_pieces = st.sampled_from(
    ["{{", "}}", "{%", "%}", "{#", "#}", "-", "'", '"', "\\", "(", ")", "[", "]", "{", "}"]
)
_words = st.sampled_from(
    [" ", "a", ".b", "1", "2.5", "not ", " is ", " and ", "??", "~", "|", ":", "?", ",", "\n"]
)


@given(st.lists(_pieces | _words | st.text(max_size=3), max_size=25).map("".join))
def test_any_text_renders_or_raises_an_expression_error(text: str) -> None:
    _outcome(text, {"a": {"b": [1, "x"]}, "b": None})


@given(st.lists(_pieces | _words, max_size=25).map("".join))
def test_any_expression_renders_or_raises_an_expression_error(text: str) -> None:
    _outcome(f"{{{{ {text} }}}}", {"a": {"b": [1, "x"]}, "b": None})
