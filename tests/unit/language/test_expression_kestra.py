"""Where expressions are easily taken for those of another language: what Kestra's give."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template

VARIABLES: dict[str, Any] = {
    "numbers": [4, 5, 6, 5],
    "none": None,
    "map": {"colour": "red", "size": 2},
    "inputs": {"region": "eu", "replicas": 3},
    "noon": "2025-03-01T12:00:00.5Z",
    "whole": "2025-03-01T12:00:00Z",
}


def rendered(text: str) -> Any:
    return compile_template(text).render(VARIABLES)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("numbers - 5", [4, 6]),
        ("numbers - [4, 6]", [5, 5]),
        ("7 - 2", 5),
        ("4 not in numbers", False),
        ("9 not in numbers and 'size' in map", True),
        ("not true or 4 not in [5]", True),
        ("[1, {'a': [true]}] == [1, {'a': [1]}]", False),
        ("[[true]] contains [[1]] or [0] == [false]", False),
        ("{'a': [1, true]} == {'a': [1.0, true]}", True),
        ("_context.inputs.region", "eu"),
        ("_context | keys | first", "numbers"),
    ],
)
def test_operators(expression: str, value: Any) -> None:
    assert rendered(f"{{{{ {expression} }}}}") == value


def test_a_macro_is_given_all_variables_by_name() -> None:
    macro = "{% macro m(_context) %}{{ _context.colour }}{% endmacro %}"
    assert rendered("{% set colour = 'blue' %}{{ m(_context) }}" + macro) == "blue"
    assert rendered("{{ m({'colour': 'own'}) }}" + macro) == "own"


def test_all_variables_are_read_where_they_are_named_together() -> None:
    names = compile_template("{{ _context.x }}").names()
    assert {("inputs",), ("outputs",), ("vars",)} <= set(names)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'workflow' | abbreviate(8)", "workf..."),
        ("'workflow' | abbreviate(9)", "workflow"),
        ("'workflow' | abbreviate(2)", "wo"),
        ("'abc' | abbreviate(1)", "abc"),
        ("'a-b' | replace(replace_pairs={'-': '+'})", "a+b"),
        ("['x1', {'k': ['1', 1, null]}] | replace({'1': 'one'})",
         ["xone", {"k": ["one", "one", None]}]),
        ("['a1', 'b22'] | replace({'[0-9]+': '#'}, regexp=true)", ["a#", "b#"]),
        ("[1, [2, [3]], []] | flatten", [1, 2, [3]]),
        ("42 | md5", "a1d0c6e83f027327d8461063f4ac58a6"),
        ("true | base64encode", "dHJ1ZQ=="),
        ("12.5 | substringBefore('.')", "12"),
        ("12 | substringBeforeLast('.')", "12"),
        ("120 | startsWith(12)", True),
        ("120 | endsWith('2')", False),
        ("1.5 | split('[.]')", ["1", "5"]),
        ("2.5 | toIon", "2.5e0"),
        ("['1e+5 \\'2e+1'] | toIon", "[\"1e+5 '2e+1\"]"),
        ("{'k 1e+1': 0.25} | toIon", "{'k 1e+1':0.25e0}"),
        ("100000000000000000000.0 | toIon", "1e20"),
        ("none | yaml", "null"),
        ("'yes' | yaml ~ ('5' | yaml) ~ ('' | yaml) ~ ('a: b' | yaml)",
         '"yes"\n5\n""\n"a: b"\n'),
        ("{'no': 'k: v', 'x': [1.5, true, null, '#'], 'u': 'http://a#b'} | yaml",
         '"no": "k: v"\nx:\n- 1.5\n- true\n- null\n- "#"\nu: http://a#b\n'),
        ("{'a': 'l1\nl2', 'b': 'l1\n'} | yaml", "a: |-\n  l1\n  l2\nb: |\n  l1\n"),
        ("yaml({'t': 'on', 'n': '~', 'c': '[x', 'p': '- a'} | yaml)",
         {"t": "on", "n": "~", "c": "[x", "p": "- a"}),
        ("'a\r\nb' | nindent(1)", "\r\n a\r\n b"),
        ("'a\rb\n' | nindent(1, '>')", "\r>a\r>b\n>"),
        ("'abab'.replaceFirst('b', '<$0>')", "a<b>ab"),
        ("'b'.compareTo('a')", 1),
        ("inputs.replicas.compareTo(3.5)", -1),
        ("(2.9).intValue()", 2),
        ("inputs.replicas.doubleValue()", 3.0),
        ("numbers.containsAll([4, 6])", True),
        ("numbers.reversed()", [5, 6, 5, 4]),
        ("' x '.stripLeading() ~ '|' ~ ' x '.stripTrailing()", "x | x"),
    ],
)  # fmt: skip
def test_filters_and_methods(expression: str, value: Any) -> None:
    found = rendered(f"{{{{ {expression} }}}}")
    assert found == value
    assert type(found) is type(value)


def test_entries_of_a_map_have_methods() -> None:
    text = "{% for e in map.entrySet() %}{{ e.getKey() }}={{ e.getValue() }};{% endfor %}"
    assert rendered(text) == "colour=red;size=2;"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("whole | date('iso_date_time')", "2025-03-01T12:00:00Z[UTC]"),
        ("noon | date('iso_zoned_date_time', timeZone='Asia/Tokyo')",
         "2025-03-01T21:00:00.5+09:00[Asia/Tokyo]"),
        ("whole | date('iso_instant') ~ ' ' ~ (noon | date('iso_instant'))",
         "2025-03-01T12:00:00Z 2025-03-01T12:00:00.5Z"),
        ("noon | date('iso_local_time') ~ ' ' ~ (whole | date('iso_time'))",
         "12:00:00.5 12:00:00Z"),
        ("whole | date('iso_ordinal_date')", "2025-060Z"),
        ("whole | date('O OOOO ZZZZ')", "GMT GMT GMT"),
        ("whole | date('O, OOOO', timeZone='+05:30')", "GMT+5:30, GMT+05:30"),
        ("whole | date('O', timeZone='-03:00')", "GMT-3"),
        ("whole | date(\"VV'!'\", timeZone='America/Lima')", "America/Lima!"),
        ("whole | date('VV', timeZone='+05:30')", "+05:30"),
        ("noon | date('n N')", "500000000 43200500000000"),
        ("whole | date('yyyy[-MM]')", "2025-03"),
        ("'2025-03-01 09:30' | date('HH:mm', existingFormat='yyyy-MM-dd[ HH:mm]')", "09:30"),
        ("'2025-03-01' | date('HH:mm', existingFormat='yyyy-MM-dd[ HH:mm]')", "00:00"),
        ("'2025-03-01T09:30' | date('HH:mm', existingFormat='iso_local_date_time')", "09:30"),
        ("'2025-W09-6' | date('yyyy-MM-dd', existingFormat='iso_week_date')", "2025-03-01"),
        ("'2025-060' | date('yyyy-MM-dd', existingFormat='iso_ordinal_date')", "2025-03-01"),
        ("'1.3.2025 09:30 Asia/Tokyo' | date('iso_sec', existingFormat='d.M.yyyy HH:mm VV')",
         "2025-03-01T00:30:00Z"),
    ],
)  # fmt: skip
def test_dates_are_written_and_read_as_java_does(expression: str, value: str) -> None:
    assert rendered(f"{{{{ {expression} }}}}") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ inputs.regoin }}", "Unable to find `regoin` used in the expression "
         "`{{ inputs.regoin }}` at line 1; did you mean `region`?"),
        ("{{ input.region }}", "Unable to find `input` used in the expression "
         "`{{ input.region }}` at line 1; did you mean `inputs`?"),
        ("{{ inputs.zzz }}", "Unable to find `zzz` used in the expression "
         "`{{ inputs.zzz }}` at line 1"),
    ],
)  # fmt: skip
def test_a_name_that_is_missing_is_told_with_those_near_it(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rendered(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ true && false }}", "unexpected `&`: write `and` in the expression"),
        ("{{ none || 1 }}", "unexpected `|`: write `or` in the expression"),
        ("{{ !none }}", "unexpected `!`: write `not` in the expression"),
        ("{{ noon matches '.*' }}", "write `text.matches('pattern')` in the expression"),
        ("{% autoescape 'html' %}{% endautoescape %}", "nothing is escaped; use the filter"),
        ("{% if true %}{% elif false %}{% endif %}", "no tag `elif`; did you mean"),
        ("{% if true %}{% else if false %}{% endif %}", "unexpected `if false`: write `elseif`"),
        ("{% parallel %}{% endparallel %}", "`parallel` is not supported: leave it"),
        ("{{ 1740830400123 | date }}", "needs epoch seconds, not 1740830400123"),
        ("{{ 'x' | abbreviate(-1) }}", "needs a length of 0 or more"),
        ("{{ map.getKey() }}", "needs an entry of a map"),
        ("{{ 'a' - 1 }}", "`-` needs numbers, not string and number"),
        ("{{ isWeekend(noon) }}", "there is no function `isWeekend`"),
        ("{{ loopOutputs() }}", "there is no function `loopOutputs`"),
        ("{{ dump() }}", "there is no function `dump`"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rendered(text)
    assert message in str(caught.value)
