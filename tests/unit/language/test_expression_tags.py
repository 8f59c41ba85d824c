"""Tags: branches, loops, local names, macros, raw text, and how they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template

VARIABLES: dict[str, Any] = {"list": [3, 1, 2], "map": {"x": 1, "y": 2}, "s": "Hi", "yes": True}


def render(text: str) -> Any:
    return compile_template(text).render(VARIABLES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{% if yes %}a{% endif %}", "a"),
        ("{% if not yes %}a{% endif %}", ""),
        ("{% if not yes %}a{% elseif list | length == 3 %}b{% else %}c{% endif %}", "b"),
        ("{% if not yes %}a{% elseif false %}b{% else %}c{% endif %}", "c"),
        ("{% if null %}a{% else %}b{% endif %}", "b"),
        ("{% if yes %}{{ list }}{% endif %}", [3, 1, 2]),
        ("{% for x in list %}{{ loop.index }}={{ x }}{{ loop.last ? '' : ',' }}{% endfor %}",
         "0=3,1=1,2=2"),
        ("{% for x in [1, 2] %}{{ loop.first }}{{ loop.length }}{{ loop.revindex }} {% endfor %}",
         "true21 false20 "),
        ("{% for x in [] %}a{% else %}none{% endfor %}", "none"),
        ("{% for x in null %}a{% endfor %}", ""),
        ("{% for e in map %}{{ e.key }}{{ e.value }}{% endfor %}", "x1y2"),
        ("{% for i in 1..2 %}{% for j in 1..2 %}{{ i }}{{ j }} {% endfor %}{% endfor %}",
         "11 12 21 22 "),
        ("{% set a = 1 %}{% set a = a + 1 %}{{ a }}", 2),
        ("{% set sum = 0 %}{% for x in list %}{% set sum = sum + x %}{% endfor %}{{ sum }}", 6),
        ("{% set s = 'mine' %}{{ s }}", "mine"),
        ("{% for x in list %}{% set t = x %}{% endfor %}{{ t ?? 'gone' }}", "gone"),
        ("{% for s in [1] %}{{ s }}{% endfor %}{{ s }}", "1Hi"),
        ("{% raw %}{{ s }}{% if %}{% endraw %}", "{{ s }}{% if %}"),
        ("{% verbatim %}{{ s }}{% endverbatim %}!", "{{ s }}!"),
        ("{%- raw -%}  a  {%- endraw -%}  b", "  a    b"),
        ("{% filter upper | replace({'A': 'b'}) %}a{{ s }}{% endfilter %}", "bHI"),
        ("{% macro m(a, b='x', c=1) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m('p') }} "
         "{{ m('p', c=2) }}", "px1 px2"),
        ("a  {%- if yes -%}  b  {%- endif -%}  c", "abc"),
        ("{# a {% if %} #}x", "x"),
        ("{% if '%}' == '%}' %}y{% endif %}", "y"),
        ("{% if {'a': {'b': 1}}.a.b == 1 %}y{% endif %}", "y"),
    ],
)  # fmt: skip
def test_tags(text: str, value: Any) -> None:
    assert render(text) == value
    assert type(render(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("x\n {% if yes %}", "the tag `if` is not closed by `endif`", 2, 2),
        ("{% fro x in y %}", "there is no tag `fro`; did you mean `for`?", 1, 1),
        ("{% endif %}", "the tag `endif` closes nothing here", 1, 1),
        ("{% for x in list %}{% endif %}", "the tag `endif` closes nothing here", 1, 20),
        ("{% else %}", "nothing to divide", 1, 1),
        ("{% if yes %}{% else %}{% else %}{% endif %}", "nothing to divide", 1, 23),
        ("{% for in list %}{% endfor %}", "write the tag like `{% for name in list %}`", 1, 1),
        ("{% set a %}", "write the tag like `{% set name = value %}`", 1, 1),
        ("{% if yes +%}{% endif %}", "ends too early", 1, 12),
        ("{% if yes\n and a b %}{% endif %}", "unexpected `b`", 2, 8),
        ("{% filter uper %}{% endfilter %}", "there is no filter `uper`", 1, 11),
        ("{% raw %}", "not closed by `{% endraw %}`", 1, 1),
        ("{% if yes", "the tag `{%` is not closed by `%}`", 1, 1),
        ("{% import 'x' %}", "the tag `import` is not supported", 1, 1),
        ("{% macro m(1) %}{% endmacro %}", "unexpected `1`", 1, 1),
        ("{% if yes %}{% endif yes %}", "unexpected `yes`", 1, 13),
        ("{% if yes %}" * 21 + "{% endif %}" * 21, "more than 20 tags within each other", 1, 241),
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
        ("a\n{% if [] %}{% endif %}", "`if` needs a boolean, number or string, not a list, in the "
         "expression `{% if [] %}` at line 2"),
        ("{% for x in s %}{% endfor %}", "`for` needs a list or map, not a string"),
        ("{% if nowhere %}{% endif %}", "Unable to find `nowhere` used in the expression "
         "`{% if nowhere %}` at line 1"),
        ("{% macro m(a) %}{% endmacro %}{{ m(b=1) }}", "the macro `m` takes `a`"),
        ("{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}", "macros or renders within each"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        render(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{% for x in outputs.a %}{{ x.b }}{{ loop.index }}{{ inputs.c }}{% endfor %}",
         [("inputs", "c"), ("outputs", "a")]),
        ("{{ x.y }}{% for x in outputs %}{{ x }}{% endfor %}", [("outputs",), ("x", "y")]),
        ("{% if inputs.a %}{% set v = vars.b %}{% endif %}", [("inputs", "a"), ("vars", "b")]),
        ("{% macro m(p=inputs.d) %}{{ p.q }}{{ vars.z }}{% endmacro %}",
         [("inputs", "d"), ("vars", "z")]),
        ("{% filter replace({'a': inputs.a}) %}{{ vars.t }}{% endfilter %}",
         [("inputs", "a"), ("vars", "t")]),
        ("{{ tasksWithState('FAILED') }}", [("tasks",)]),
        ("{{ currentEachOutput(outputs.a) }}", [("outputs", "a"), ("parents",), ("taskrun",)]),
        ("{{ inputs.a | default(inputs.b) is defined }}", [("inputs", "a"), ("inputs", "b")]),
    ],
)  # fmt: skip
def test_names_are_what_is_read_beside_local_names(text: str, names: list[Any]) -> None:
    assert list(compile_template(text).names()) == names


def test_what_renders_text_again_reads_all_variables() -> None:
    names = compile_template("{{ render(vars.x) }}").names()
    assert {("outputs",), ("inputs",), ("vars",), ("trigger",), ("vars", "x")} <= set(names)
