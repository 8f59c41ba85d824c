"""What expressions take from Java: which values are true, methods, reading without brackets."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template

VARIABLES: dict[str, Any] = {
    "text": "a,b",
    "none": None,
    "list": [3, 4],
    "map": {"a": 1, "size": "own"},
    "empty": [],
}


def rendered(text: str) -> Any:
    return compile_template(text).render(VARIABLES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{% if text %}y{% else %}n{% endif %}", "y"),
        ("{% if 'false' %}y{% else %}n{% endif %}", "y"),
        ("{% if '' %}y{% else %}n{% endif %}", "n"),
        ("{% if 0.5 %}y{% else %}n{% endif %}", "y"),
        ("{% if 0 %}y{% else %}n{% endif %}", "n"),
        ("{{ text ? 1 : 2 }}", 1),
        ("{{ '' ? 1 : 2 }}", 2),
        ("{{ none ? 1 : 2 }}", 2),
        ("{{ text and 1 }}", True),
        ("{{ 0 or '' }}", False),
        ("{{ not text }}", False),
    ],
)
def test_what_is_true(text: str, value: Any) -> None:
    assert rendered(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ list.size }}", 2),
        ("{{ text.length }}", 3),
        ("{{ empty.empty }}", True),
        ("{{ list.isEmpty }}", False),
        ("{{ list.first + list.last }}", 7),
        ("{{ map.size }}", "own"),
    ],
)
def test_without_brackets(text: str, value: Any) -> None:
    assert rendered(text) == value


@pytest.mark.parametrize("text", ["{{ {'a': 1}.size }}", "{{ empty.first }}", "{{ 5.size }}"])
def test_what_a_map_has_is_its_entries_alone(text: str) -> None:
    with pytest.raises(ExpressionError, match="Unable to find"):
        rendered(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ text.split(',') }}", ["a", "b"]),
        ("{{ text.matches('a.b') }}", True),
        ("{{ text.matches('a') }}", False),
        ("{{ text.replaceAll('[ab]', '<$0>') }}", "<a>,<b>"),
        ("{{ text.lastIndexOf('b') }}", 2),
        ("{{ text.charAt(1) }}", ","),
        ("{{ text.equalsIgnoreCase('A,B') }}", True),
        ("{{ text.concat('!').repeat(2) }}", "a,b!a,b!"),
        ("{{ ' '.isBlank() }}", True),
        ("{{ ' x '.strip() }}", "x"),
        ("{{ list.indexOf(4) }}", 1),
        ("{{ list.indexOf(5) }}", -1),
        ("{{ list.subList(0, 1) }}", [3]),
        ("{{ list.getFirst() }}", 3),
        ("{{ list.getLast() }}", 4),
        ("{{ map.keySet() }}", ["a", "size"]),
        ("{{ map.values() }}", [1, "own"]),
        ("{{ map.getOrDefault('b', 2) }}", 2),
        ("{{ map.containsValue(1) }}", True),
        ("{% for e in map.entrySet() %}{{ e.key }}={{ e.value }};{% endfor %}", "a=1;size=own;"),
    ],
)
def test_methods(text: str, value: Any) -> None:
    assert rendered(text) == value


def test_a_block_within_itself_ends_with_an_error() -> None:
    with pytest.raises(ExpressionError, match="within each other"):
        rendered("{% block a %}{{ block('a') }}{% endblock %}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ block('x') }}", "knows no block `x`"),
        ("{% block %}{% endblock %}", "write the tag like `{% block name %}`"),
        ("{{ '\r\r\r' | indent(900000) }}", "of output"),
        ("{{ text.charAt(9) }}", "has no index 9"),
        ("{{ text.repeat(-1) }}", "needs 0 or more"),
        ("{{ text.repeat(1000000000) }}", "characters of output"),
        ("{{ list.subList(1, 5) }}", "no part from 1 to 5"),
        ("{{ empty.getFirst() }}", "has no index 0"),
        ("{{ list.split(',') }}", "needs a string"),
        ("{{ text.getClass() }}", "no method `getClass`"),
    ],
)
def test_what_methods_refuse(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        rendered(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ 10l * 2 + 3L }}", 23),
        ("{{ text | yaml }}", '"a,b"\n'),
        ("{{ 'a\r\nb\rc\nd' | indent(2) }}", "a\r\n  b\r  c\n  d"),
        ("{{ list | yaml }}", " - 3\n - 4\n"),
        ("{{ empty | yaml }}", "[]\n"),
        ("{% block a %}x{{ text }}{% endblock a %}-{{ block('a') }}", "xa,b-xa,b"),
        ("{% block 'b' %}{% for i in list %}{{ i }}{% endfor %}{% endblock %}", "34"),
        ("a {%- raw %} {{ x }} {% endraw -%} b", "a  {{ x }}  b"),
        (
            "{{ 'Thu, 1 Jan 1970 00:00:05 GMT'"
            " | date('HH:mm', 'Europe/Paris', 'rfc_1123_date_time') }}",
            "01:00",
        ),
        ("{{ 3.14159 | numberFormat('#.##') }}", "3.14"),
        ("{{ greet('you') }}{% macro greet(name) %}hi {{ name }}{% endmacro %}", "hi you"),
        ("{{ '2024-07-01T00:00:00Z' | date('HH:mm z', timeZone='Europe/Paris') }}", "02:00 CEST"),
        ("{{ '2024-07-01T00:00:00Z' | date('HH:mm z') }}", "00:00 UTC"),
        ("{{ '2024-07-01T00:00:00Z' | date('HH:mm z', timeZone='+02:00') }}", "02:00 +0200"),
    ],
)
def test_numbers_macros_and_zones(text: str, value: Any) -> None:
    assert rendered(text) == value
