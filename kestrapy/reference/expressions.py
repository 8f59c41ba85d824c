"""``expressions.md``: every filter, function, test, method and tag, from their tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.language.expression.calls import Callee
from kestrapy.language.expression.registry import FILTERS, FUNCTIONS, METHODS, TESTS
from kestrapy.language.expression.scope import (
    LEVEL_LIMIT,
    NESTED_LIMIT,
    OUTPUT_LIMIT,
    STEP_LIMIT,
    WEIGHT_LIMIT,
)
from kestrapy.language.expression.tags import ENDS
from kestrapy.reference.markdown import page, table

_INTRODUCTION = f"""
What stands between `{{{{` and `}}}}`, in Pebble's syntax with Kestra's additions. A sole expression
keeps its type, anything else becomes text. A variable that is missing is an error: `??` gives
another value for what is missing or null, `???` for what is missing.

One rendering has {STEP_LIMIT:,} steps, {OUTPUT_LIMIT:,} characters, {WEIGHT_LIMIT:,} items of lists
and maps, {LEVEL_LIMIT} levels of a value, and {NESTED_LIMIT} macros or `render` within each other.
Patterns are RE2's: no look-around, no back references.
"""
_OPERATORS = (
    ("`-a`, `+a`, `not a`", "signs, and the opposite"),
    ("`a ?? b`, `a ??? b`", "b where a is missing or null; where a is missing"),
    ("`a .. b`", "the whole numbers, or the letters, from a to b"),
    ("`a ~ b`, `a | filter`", "both as one text; a filter's result"),
    ("`*` `/` `%`, then `+` `-`", "arithmetic; `+` also joins texts and lists"),
    ("`==` `!=` `<` `<=` `>` `>=` `equals`", "comparison"),
    ("`a isIn b`, `a in b`, `a isNotIn b`", "whether a list or map has what is written as a is"),
    ("`a contains b`", "whether a list has an item, a map a key, a text a part"),
    ("`a is test`, `a is not test`", "a test's result"),
    ("`and`, then `or`", "of booleans"),
    ("`a ? b : c`", "b where a is true, else c"),
)


def expressions_reference() -> str:
    """The reference of the expression language, as Markdown."""
    tags = [(f"`{name}`", f"`{end}`") for name, end in sorted(ENDS.items())]
    tags += [("`set`", ""), ("`raw`", "`endraw`"), ("`verbatim`", "`endverbatim`")]
    worldly = {name: it for name, it in FUNCTIONS.items() if it.needs_world}
    pure = {name: it for name, it in FUNCTIONS.items() if not it.needs_world}
    sections = [
        "## Operators\n\nThe first binds tightest.",
        table(("operator", "meaning"), _OPERATORS),
        "## Filters",
        _callees(FILTERS),
        "## Functions",
        _callees(pure),
        "## Functions that a worker alone can render\n\nIn properties of tasks that workers run.",
        _callees(worldly),
        "## Tests",
        _callees(TESTS),
        "## Methods",
        _callees(METHODS),
        "## Tags",
        table(("tag", "closed by"), sorted(tags)),
    ]
    return page("Expressions", _INTRODUCTION, sections)


def _callees(callees: Mapping[str, Callee]) -> str:
    rows = [(f"`{it.name}`", _arguments(it), _meaning(it)) for _, it in sorted(callees.items())]
    return table(("name", "arguments", "meaning"), rows)


def _arguments(callee: Callee) -> str:
    first = len(callee.parameters) - len(callee.defaults)
    shown = [f"`{it}`" for it in callee.parameters[:first]]
    given = zip(callee.parameters[first:], callee.defaults, strict=True)
    shown += [f"`{name}` ({_default(value)})" for name, value in given]
    return ", ".join(shown + (["more"] if callee.variadic else []))


def _default(value: Any) -> str:
    return "optional" if value is None else f"`{msgspec.json.encode(value).decode()}`"


def _meaning(callee: Callee) -> str:
    return " ".join((callee.call.__doc__ or "").split())
