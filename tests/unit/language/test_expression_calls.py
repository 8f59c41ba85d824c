"""Filters, functions, tests and methods: what they give, and what they can't take."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template

VARIABLES: dict[str, Any] = {
    "s": "Hello World",
    "n": None,
    "list": [3, 1, 2],
    "map": {"x": 1, "y": [{"n": "p", "v": 1}, {"n": "q", "v": 2}]},
    "date": "2024-05-06T07:08:09.123456Z",
    "vars": {
        "one": "{{ vars.two }}",
        "two": "<{{ s }}>",
        "grows": "a{{ vars.grows }}",
        "raw": "{% raw %}{{ s }}{% endraw %} {{ s }}",
    },
    "parents": [{"taskrun": {"value": "in"}}, {"taskrun": {"value": "out"}}],
    "taskrun": {"value": "me"},
    "outputs": {"a": {"out": {"in": {"me": {"value": 5}}}}},
    "tasks": {"a": {"state": "FAILED"}, "b": {"k": {"state": "FAILED"}, "l": {"state": "SUCCESS"}}},
}


def render(text: str) -> Any:
    return compile_template(text).render(VARIABLES)


def check(expression: str, value: Any) -> None:
    found = render(f"{{{{ {expression} }}}}")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("s | upper", "HELLO WORLD"),
        ("s | lower | capitalize", "Hello world"),
        ("'a bc  d' | title", "A Bc  D"),
        ("' x ' | trim", "x"),
        ("s | abbreviate(8)", "Hello..."),
        ("s | abbreviate(length=12)", "Hello World"),
        ("s | replace({'l': 'L', 'L': 'M'})", "HeMMo WorMd"),
        ("s | replace({'(l+)o?': '<$1>'}, regexp=true)", "He<ll> Wor<l>d"),
        ("'Ünï côde & more' | slugify", "uni-code-more"),
        ("'a.b.c' | substringBefore('.')", "a"),
        ("'a.b.c' | substringBeforeLast('.')", "a.b"),
        ("'a.b.c' | substringAfter('.')", "b.c"),
        ("'a.b.c' | substringAfterLast('.')", "c"),
        ("'abc' | substringBeforeLast('.')", "abc"),
        ("s | startsWith('Hello')", True),
        ("s | endsWith('Hello')", False),
        ("'a,b;c,' | split('[,;]')", ["a", "b", "c"]),
        ("'a,b,c' | split(',', 2)", ["a", "b,c"]),
        ("'abc' | split('')", ["a", "b", "c"]),
        ("'a\nb' | indent(2)", "a\n  b"),
        ("'a\nb' | nindent(1, '-')", "\n-a\n-b"),
        ("'it' | escapeChar('single')", "it"),
        ("\"it's\" | escapeChar('shell')", "it'\\''s"),
        ("['\"'] | escapeChar(type='double')", ['\\"']),
        ("'<a & b>' | escape", "&lt;a &amp; b&gt;"),
        ("'%s-%03d %.2f%% %2$s' | format('a', 7, 1.5)", "a-007 1.50% 7"),
        ("5 | string", "5"),
        ("n | upper", None),
        ("[1, 'a', null] | join(', ')", "1, a, "),
        ("s | upper ~ '!' | lower", "hello world!"),
        ("n | upper ?? 'none'", "none"),
    ],
)
def test_text(expression: str, value: Any) -> None:
    check(expression, value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("list | first + list | last", 5),
        ("s | first", "H"),
        ("[] | first", None),
        ("map | keys", ["x", "y"]),
        ("list | keys", [0, 1, 2]),
        ("{'a': 1} | values", [1]),
        ("list | length == 3 and s | length == 11 and map | length == 2", True),
        ("list | sort", [1, 2, 3]),
        ("list | rsort", [3, 2, 1]),
        ("list | reverse", [2, 1, 3]),
        ("list | slice(1)", [1, 2]),
        ("s | slice(0, toIndex=4)", "Hell"),
        ("list | chunk(2)", [[3, 1], [2]]),
        ("[1, [2, [3, []]]] | flatten", [1, 2, [3, []]]),
        ("['a', 1, 'a', [1], [1], true, 1.0] | distinct", ["a", 1, [1], True]),
        ("[1] | merge([2])", [1, 2]),
        ("{'a': 1, 'b': 1} | merge({'b': 2})", {"a": 1, "b": 2}),
        ("n | default('d') ~ (nowhere | default('e')) ~ ('' | default('f'))", "def"),
        ("nowhere.at.all | default('d')", "d"),
        ("0 | default(1)", 0),
        ("list.size() + 'ab'.length() + map.size()", 7),
        ("map.containsKey('x') and list.contains(3) and not map.isEmpty()", True),
        ("map.get('none')", None),
        ("s.toUpperCase().substring(6).replace('D', 'd')", "WORLd"),
    ],
)
def test_lists_and_maps(expression: str, value: Any) -> None:
    check(expression, value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1..3", [1, 2, 3]),
        ("3..1", []),
        ("range(1, 0)", []),
        ("range(3, 1, -1)", [3, 2, 1]),
        ("'a'..'c'", ["a", "b", "c"]),
        ("range(1, 10, 3)", [1, 4, 7, 10]),
        ("range(start=1, end=2)", [1, 2]),
        ("max(1, 5, 3)", 5),
        ("min([2, 4])", 2),
        ("[2, 4] | max", 4),
        ("-3 | abs", 3),
        ("'12' | number + 1", 13),
        ("'1.5' | number", 1.5),
        ("'0x1F' | number('INT')", 31),
        ("'12' | number('DOUBLE')", 12.0),
        ("1234567.891 | numberformat('#,##0.00')", "1,234,567.89"),
        ("1234.5 | numberformat('#,##0.00', locale='de')", "1.234,50"),
        ("'12' | number - '2' | number >= 10", True),
        ("5 | className", "java.lang.Integer"),
        ("3000000000 | className", "java.lang.Long"),
    ],
)
def test_numbers(expression: str, value: Any) -> None:
    check(expression, value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("date | date('yyyy-MM-dd')", "2024-05-06"),
        ("date | date", "2024-05-06T07:08:09.123456Z"),
        ("date | date('iso_sec', timeZone='Europe/Paris')", "2024-05-06T09:08:09+02:00"),
        ("date | date(\"d MMMM uuuu 'um' HH:mm\", locale='de')", "6 Mai 2024 um 07:08"),
        ("date | date('sql_seq', 'America/New_York')", "2024-05-06 03:08:09"),
        ("'06/05/2024 07:08' | date('sql', existingFormat='dd/MM/yyyy HH:mm')",
         "2024-05-06 07:08:00.000000"),
        ("'2024-05-06' | date('iso_sec', timeZone='+02:00')", "2024-05-06T00:00:00+02:00"),
        ("0 | date('iso_local_date')", "1970-01-01"),
        ("'2024-01-31T00:00:00Z' | dateAdd(1, 'MONTHS', 'yyyy-MM-dd')", "2024-02-29"),
        ("'2024-12-31T00:00:00Z' | dateAdd(amount=-1, unit='YEARS', format='yyyy')", "2023"),
        ("date | dateAdd(-90, 'MINUTES', 'HH:mm')", "05:38"),
        ("'2024-03-30T12:00:00+01:00[Europe/Paris]' | dateAdd(1, 'DAYS', 'HH:mm XXX', "
         "timeZone='Europe/Paris')", "12:00 +02:00"),
        ("date | timestamp", 1714979289),
        ("date | timestampMilli", 1714979289123),
        ("date | timestampMicro", 1714979289123456),
        ("date | timestampNano", 1714979289123456000),
        ("'2024-01-31' | timestamp('Europe/London')", 1706659200),
        ("n | date", None),
    ],
)  # fmt: skip
def test_dates(expression: str, value: Any) -> None:
    check(expression, value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("map.y[0] | toJson", '{"n":"p","v":1}'),
        ("'a\"b' | json", '"a\\"b"'),
        ("n | json", "null"),
        ("fromJson('{\"a\": [1, 2.5]}').a", [1, 2.5]),
        ("json('null')", None),
        ("map.y | yaml", ' - "n": p\n   v: 1\n - "n": q\n   v: 2\n'),
        ("yaml('a: [1, yes]').a", [1, "yes"]),
        ("map.y | toIon", '[{n:"p",v:1},{n:"q",v:2}]'),
        ("fromIon('{a:1,b:2.5,c:sym,d:null.int,e:{{aGk=}}}')",
         {"a": 1, "b": 2.5, "c": "sym", "d": None, "e": "aGk="}),
        ("fromIon('{a:1}{a:2}', allRows=true)", [{"a": 1}, {"a": 2}]),
        ("s | md5", "b10a8db164e0754105b7a99be72e3fe5"),
        ("s | sha1", "0a4d55a8d778e5022fab701977c5d840bbc486d0"),
        ("s | sha256 | slice(0, 8)", "a591a6d4"),
        ("s | sha512 | length", 128),
        ("s | base64encode", "SGVsbG8gV29ybGQ="),
        ("s | base64encode | base64decode", "Hello World"),
        ("'a b&ü' | urlencode", "a+b%26%C3%BC"),
        ("'a+b%26' | urldecode", "a b&"),
    ],
)  # fmt: skip
def test_encodings(expression: str, value: Any) -> None:
    check(expression, value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("s is defined and nowhere is not defined and nowhere.x is not defined", True),
        ("n is defined", False),
        ("n is null and s is not null", True),
        ("'' is empty and [] is empty and n is empty and list is not empty", True),
        ("2 is even and 3 is odd and -3 is odd", True),
        ("list is iterable and map is not iterable and map is map", True),
        ("'{\"a\": 1}' is json and '{' is not json and map is not json", True),
        ("2 is equalTo(2.0)", True),
        ("3 isIn list and '3' isIn list and 4 isNotIn list", True),
        ("'x' in map and 1 in map and n isNotIn list", True),
        ("s | upper isIn ['HELLO WORLD']", True),
    ],
)
def test_tests(expression: str, value: Any) -> None:
    check(expression, value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("render(vars.one)", "<Hello World>"),
        ("renderOnce(vars.one)", "<{{ s }}>"),
        ("render(vars.one, recursive=false)", "<{{ s }}>"),
        ("render([vars.one, 1])", ["<Hello World>", 1]),
        ("render(vars.raw)", "{{ s }} Hello World"),
        ("render('{{ list }}')", [3, 1, 2]),
        ("currentEachOutput(outputs.a).value", 5),
        ("tasksWithState('failed')",
         [{"taskId": "a", "state": "FAILED"}, {"taskId": "b", "state": "FAILED", "value": "k"}]),
        ("fetchContext().s", "Hello World"),
        ("printContext() | length > 100", True),
    ],
)  # fmt: skip
def test_what_reads_variables(expression: str, value: Any) -> None:
    check(expression, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{{ "x #{s | upper} y #{1 + 1}" }}', "x HELLO WORLD y 2"),
        ("{{ 'x #{s}' }}", "x #{s}"),
        ('{{ "#{list}" }}', "[3,1,2]"),
    ],
)
def test_interpolation(text: str, value: str) -> None:
    assert render(text) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("render(vars.grows)", "Too many rendering attempts"),
        ("s | jq('.')", "`jq` can't read JSON"),
        ("map | sort", "`sort` needs a list, not a map"),
        ("[1, 'a'] | sort", "`sort` needs numbers or strings alone, not number, string"),
        ("'x' | number", "`number` needs the text of a number, not `x`"),
        ("'x' | date", "needs a date of ISO 8601, not `x`"),
        ("date | date('iso', timeZone='Nowhere/At')", "knows no time zone `Nowhere/At`"),
        ("date | dateAdd(1, 'FORTNIGHTS')", "needs a unit of"),
        ("date | dateAdd(9999999999, 'DAYS')", "`dateAdd`"),
        ("date | date('iso', locale='xx-nope')", "knows no locale"),
        ("fromJson('{')", "`fromJson` needs JSON"),
        ("yaml('a: [')", "`yaml` needs YAML"),
        ("fromIon('{a:')", "`fromIon`"),
        ("'%%' | base64decode", "needs the Base64"),
        ("s | replace({'(?=a)': 'b'}, regexp=true)", "can't use the pattern `(?=a)`"),
        ("list | slice(2, 9)", "has no part from 2 to 9"),
        ("list | chunk(0)", "needs a size of 1 or more"),
        ("'%d' | format('x')", "needs a number for `%d`"),
        ("currentEachOutput(map)", "finds no outputs of the iteration `out`"),
    ],
)
def test_what_can_not_be_taken_is_said(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        render(f"{{{{ {expression} }}}}")
    assert message in str(caught.value)
    assert f"in the expression `{{{{ {expression} }}}}` at line 1" in str(caught.value)
