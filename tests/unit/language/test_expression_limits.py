"""Whatever a template is made of, it ends: with a value, or with an error of an expression."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template
from kestrapy.language.expression.calls import Callee
from kestrapy.language.expression.registry import FILTERS, FUNCTIONS, METHODS, TESTS
from kestrapy.language.expression.scope import OUTPUT_LIMIT, WEIGHT_LIMIT

VARIABLES: dict[str, Any] = {
    "a": {"b": [1, "x", None, {"c": 2.5}], "s": "Some text", "t": "{{ a.s }}"},
    "b": [],
    "big": list(range(2000)),
    "long": "x" * 2000,
    "vars": {"me": "{{ render(vars.me) }}"},
    "parents": 5,
    "taskrun": {"value": None},
    "tasks": {"x": 1, "y": {"state": None}},
}


def outcome(text: str) -> str:
    try:
        return repr(compile_template(text).render(VARIABLES))
    except ExpressionError as error:
        return f"error: {error}"


_ATOMS = st.sampled_from(
    [
        "a",
        "a.b",
        "a.s",
        "a.t",
        "b",
        "big",
        "long",
        "nowhere",
        "vars.me",
        "null",
        "true",
        "0",
        "-1",
        "2.5",
        "9223372036854775807",
        "''",
        "'a,b'",
        "'2024-01-31T00:00:00Z'",
        "'(a+)+$'",
        "'.[]'",
        "'yyyy'",
        "'DAYS'",
        "'UTC'",
        "[1, 2]",
        "{'a': 1}",
        "'{{ a }}'",
        "'{\"a\": [1]}'",
        "'0'",
        "'[..|..]|map(.)'",
        "'double'",
        "'%s%9d'",
        "'a: &x [1]\nb: *x'",
        "'\\0'",
    ]
)


def _arguments(callee: Callee, given: list[str]) -> str:
    most = 3 if callee.variadic else len(callee.parameters)
    least = 0 if callee.variadic else len(callee.parameters) - len(callee.defaults)
    count = max(least, min(most, len(given)))
    values = [given[index % len(given)] if given else "a" for index in range(count)]
    return f"({', '.join(values)})"


def _calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    some = st.lists(inner, max_size=3)
    return st.one_of(
        st.builds(
            lambda it, f, args: f"({it}) | {f.name}{_arguments(f, args)}",
            inner,
            st.sampled_from(list(FILTERS.values())),
            some,
        ),
        st.builds(
            lambda f, args: f"{f.name}{_arguments(f, args)}",
            st.sampled_from(list(FUNCTIONS.values())),
            some,
        ),
        st.builds(
            lambda it, f, args: f"({it}) is {f.name}{_arguments(f, args) if args else ''}",
            inner,
            st.sampled_from(list(TESTS.values())),
            some,
        ),
        st.builds(
            lambda it, f, args: f"({it}).{f.name}{_arguments(f, args)}",
            inner,
            st.sampled_from(list(METHODS.values())),
            some,
        ),
        st.builds(
            lambda left, it, right: f"({left}) {it} ({right})",
            inner,
            st.sampled_from(["??", "???", "~", "+", "*", "==", "<", "in", "contains", "..", "and"]),
            inner,
        ),
    )


_EXPRESSIONS = st.recursive(_ATOMS, _calls, max_leaves=6)
_TEMPLATES = st.one_of(
    _EXPRESSIONS.map(lambda it: f"{{{{ {it} }}}}"),
    st.builds(
        lambda items, body: f"{{% for x in {items} %}}{{{{ {body} }}}}{{% endfor %}}",
        _EXPRESSIONS,
        _EXPRESSIONS,
    ),
    st.builds(
        lambda value, body: f"{{% set a = {value} %}}{{% if {body} %}}x{{% endif %}}{{{{ a }}}}",
        _EXPRESSIONS,
        _EXPRESSIONS,
    ),
)


@settings(max_examples=400, deadline=None)
@given(_TEMPLATES)
@example("{{ 9223372036854775807 | date }}")
@example("{{ '' | jq('.') }}")
def test_a_template_gives_a_json_value_or_an_error_of_an_expression(text: str) -> None:
    try:
        value = compile_template(text).render(VARIABLES)
    except ExpressionError:
        return
    written = json.dumps(value, allow_nan=False)
    assert len(written) < 8 * max(OUTPUT_LIMIT, WEIGHT_LIMIT)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' | indent(2000000000) | nindent(2000000000) }}",
        "{{ '%2000000000d' | format(1) }}",
        "{{ 0..9223372036854775806 }}",
        "{{ range(0, 9000000000000000000, 2) }}",
        "{{ 'aaaa' | replace({'a': long, 'x': long}) }}",
        "{{ 'aaaa' | replace({'': long, 'x': long}) }}",
        "{{ (long ~ long) | replace({'x*?': long}, regexp=true) }}",
        "{% for x in big %}{% for y in big %}{% endfor %}{% endfor %}",
        "{% set x = [1] %}{% for i in 1..60 %}{% set x = [x, x] %}{% endfor %}{{ x }}",
        "{% set x = [1] %}{% for i in 1..60 %}{% set x = x + x %}{% endfor %}{{ x }}",
        "{% set x = [1] %}{% for i in 1..60 %}{% set x = x | merge(x) %}{% endfor %}{{ x }}",
        "{% set x = [1] %}{% for i in 1..60 %}{% set x = {'a': x, 'b': x} %}{% endfor %}{{ x }}",
        "{% set x = 1 %}{% for i in 1..2000 %}{% set x = [x] %}{% endfor %}{{ x }}",
        "{% set x = 'a' %}{% for i in 1..60 %}{% set x = x ~ x %}{% endfor %}{{ x }}",
        "{% set x = big %}{% for i in big %}{% if x == big %}{% endif %}{% endfor %}",
        "{% for i in big %}{{ big | join(long) }}{% endfor %}",
        "{% for i in big %}{{ long | sha512 | length }}{% endfor %}" * 2,
        "{{ render(vars.me) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ yaml('a: &a [1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e]\n"
        "g: [*f,*f,*f,*f,*f,*f,*f]') }}",
        "{{ ('[' ~ '[' ~ long | replace({'x': '['})) | jq('.') }}",
        "{{ (long | replace({'x': '['})) is json or fromJson(long | replace({'x': '['})) }}",
        "{{ fromIon(long | replace({'x': '['})) }}",
        "{{ fromIon('1d99999999') }}",
        "{{ 1 | numberformat('#' ~ long) }}",
        "{{ ('%1$s' ~ long) | replace({'x': '%1$s'}) | format(long) }}",
        "{{ big | jq('[.[] | \"' ~ long | slice(0, 1500) ~ '\"[1:]]') }}",
        "{{ [long, big] | jq('.[0] as $l | .[1] | map($l + \"y\")') }}",
        "{{ [long, big] | jq('.[0] as $l | .[1] | map($l) | @csv') }}",
        "{{ [long, big] | jq('.[0] as $l | .[1] | map($l)') | escapeChar('double') }}",
        "{% set l = [long] %}{% for i in 1..40 %}{% set l = l + l %}{% endfor %}",
    ],
)
def test_what_would_never_end_or_never_fit_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_template(text).render(VARIABLES)


@pytest.mark.parametrize(
    ("text", "large"),
    [
        ("{{ large | replace({'[ab]{1000}c': ''}, regexp=true) }}", "ab" * 200_000),
        ("{{ large | split('(a?b?){300}c') }}", "ab" * 200_000),
        ("{{ [large] | jq('.[] | test(\"[ab]{999}c\")') }}", "ab" * 200_000),
        ("{{ render(large) }}", "{{ a }}" * 100_000),
        ("{{ render(large) }}", "{% endraw %}" + "{% raw %}" * 100_000),
        ("{{ large | format(1) }}{{ none.x }}", "%" + "0" * 300_000 + "!"),
        ("{{ large | split('b?') | length }}", "ab" * 200_000),
        ('{{ [large] | jq(\'[.[0] | match("a"; "g")] | length\') }}', "a" * 30_000),
        ("{{ [large] | yaml | length }}", "ab" * 200_000),
    ],
)
def test_what_takes_more_than_linear_time_is_counted(text: str, large: str) -> None:
    with pytest.raises(ExpressionError):
        compile_template(text).render({"large": large, "a": 1})


@pytest.mark.parametrize(
    "text",
    [
        "{% macro m(a=" + " " * 100_000 + "' %}{% endmacro %}",
        "{% macro m(" + "a, " * 30_000 + "' %}{% endmacro %}",
        '{{ "' + "#{" * 100_000 + '" + }}',
        "{% raw %}" + "{% " * 100_000,
        "{{ " + "(" * 100_000,
        "{%" + " " * 100_000 + "x",
        "{{ a }}" * 10_000,
        "{% if a %}{% endif %}" * 3_000,
        "{{ [" + "1, " * 20_000 + "1] }}",
        "{{ 'x' }}" + "{{ '" + "x" * 3_000_000 + "' }}",
    ],
)
def test_a_text_that_is_no_template_is_refused_in_linear_time(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_template(text)


def test_a_pattern_that_explodes_elsewhere_takes_linear_time() -> None:
    text = "{{ (long ~ '!') | replace({'(x+x+)+y': ''}, regexp=true) | length }}"
    assert compile_template(text).render(VARIABLES) == 2001


@pytest.mark.parametrize(
    "expression",
    [
        "a.__class__",
        "a['__class__']",
        "a.s.__class__",
        "a.s.format('{0.__class__}')",
        "'{0.__class__}' | format(a)",
        "big.__len__()",
        "a.keys()",
        "a.s.encode()",
        "__import__('os')",
        "macro.__globals__",
        "loop",
        "self",
        "envs",
        "''.join(a)",
    ],
)
def test_there_is_no_way_to_a_python_object(expression: str) -> None:
    found = outcome(f"{{{{ {expression} }}}}")
    assert found.startswith("error: ") or found == "'{0.__class__}'"


_SAMPLES = [
    "{{ a | keys }} {{ a | toJson }} {{ a | yaml }} {{ a | toIon }}",
    "{{ ['b', 'a', 'b', 1, true] | distinct }}{{ {'z': 1, 'y': 2} | merge({'x': 3}) }}",
    "{{ a | jq('keys, to_entries, ([.[] | type] | unique), group_by(1)?') }}",
    "{{ a | uper }}",
    "{{ nwo() }}",
    "{{ a | replace(1, 2, 3, x=4) }}",
    "{{ printContext() }}",
]


def test_the_same_template_gives_the_same_under_another_hash_seed() -> None:
    program = (
        "import sys, json\n"
        "from tests.unit.language.test_expression_limits import outcome, _SAMPLES\n"
        "print(json.dumps([outcome(it) for it in _SAMPLES]))\n"
    )

    def run(seed: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        )
        found: list[str] = json.loads(done.stdout)
        return found

    assert run("1") == run("2") == [outcome(it) for it in _SAMPLES]


def test_a_macro_is_no_value() -> None:
    macro = "{% macro m() %}x{% endmacro %}"
    found = compile_template(macro + "{{ fetchContext() }}").render(VARIABLES)
    assert found == VARIABLES
    assert "Unable to find" in outcome(macro + "{{ m }}")


def test_what_is_only_looked_at_is_no_output() -> None:
    text = "{% for i in 1..400 %}{{ 'y' in [long, long] ? 1 : '' }}{% endfor %}"
    assert compile_template(text).render(VARIABLES) == ""
    long = {"long": "x" * 200_000}
    filtered = "{{ long | upper | lower | upper | length }}"
    assert compile_template(filtered).render(long) == 200_000


def test_items_of_another_kind_are_passed_over_without_looking_into_them() -> None:
    large = {"large": [{"k": number} for number in range(5_000)]}
    text = "{% for i in 1..15 %}{{ large.indexOf(5) }}{% endfor %}"
    assert compile_template(text).render(large) == "-1" * 15
    with pytest.raises(ExpressionError, match="steps"):
        compile_template(text.replace("15", "30")).render(large)
