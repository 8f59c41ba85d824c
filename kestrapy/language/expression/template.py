"""Templates: compiled once per text, rendered with variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kestrapy.errors import ExpressionError
from kestrapy.language.expression.nodes import Node
from kestrapy.language.expression.reading import Path, paths_of
from kestrapy.language.expression.scan import Piece, place, scan
from kestrapy.language.expression.scope import Scope, quote
from kestrapy.language.expression.syntax import Refused, parse_expression

CACHE_SIZE = 4096
"""Compiled templates that are kept."""


@dataclass(frozen=True, slots=True)
class Output:
    """An expression in a template. source: with its braces. line: 1-based, in the template."""

    node: Node
    source: str
    line: int


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. parts: text and expressions in turn."""

    parts: tuple[str | Output, ...]
    paths: tuple[Path, ...]

    def render(self, variables: Mapping[str, Any]) -> Any:
        """A sole ``{{ expression }}`` gives its value as it is, anything else a string.

        In a string null is empty, booleans are lower case, maps and lists are JSON. Raises
        ExpressionError for a variable that is missing, a type that doesn't fit, a spent budget.
        """
        return self.render_in(Scope(variables))

    def render_in(self, scope: Scope) -> Any:
        """Like ``render``, within the budget of a scope."""
        values = [self._value(part, scope) for part in self.parts]
        if len(values) == 1:
            return values[0]
        return "".join(scope.text(value) for value in values)

    def _value(self, part: str | Output, scope: Scope) -> Any:
        if isinstance(part, str):
            return part
        scope.enter(part.source, part.line)
        return part.node.evaluate(scope)

    def names(self) -> tuple[Path, ...]:
        """The paths of variables that it reads, sorted; each is cut at its first computed key."""
        return self.paths


def has_expression(value: Any) -> bool:
    """Whether value is a string with something to render, or to refuse."""
    return isinstance(value, str) and any(mark in value for mark in ("{{", "{%", "{#"))


@lru_cache(maxsize=CACHE_SIZE)
def compile_template(text: str) -> Template:
    """Raises ExpressionError, which names what can't be used, its line and its column."""
    parts = tuple(part for piece in scan(text) if (part := _part(text, piece)) != "")
    outputs = [part.node for part in parts if isinstance(part, Output)]
    paths = sorted({path for node in outputs for path in paths_of(node)})
    return Template(parts or ("",), tuple(paths))


def _part(text: str, piece: Piece) -> str | Output:
    if not piece.is_expression:
        return piece.text
    source = text[piece.start : piece.end]
    try:
        node = parse_expression(piece.text)
    except Refused as error:
        line, column = place(text, piece.inside + error.offset)
        raise ExpressionError(
            f"{error} in the expression `{quote(source)}` at line {line}, column {column}"
        ) from None
    return Output(node, source, place(text, piece.start)[0])


def render_value(value: Any, variables: Mapping[str, Any]) -> Any:
    """A JSON value with every string rendered, keys of maps included, within one budget.

    Raises ExpressionError.
    """
    return _render(value, Scope(variables))


def _render(value: Any, scope: Scope) -> Any:
    match value:
        case str():
            return compile_template(value).render_in(scope) if has_expression(value) else value
        case Mapping():
            return {_render_key(key, scope): _render(item, scope) for key, item in value.items()}
        case list() | tuple():
            return [_render(item, scope) for item in value]
        case _:
            return value


def _render_key(key: Any, scope: Scope) -> str:
    return scope.text(_render(key, scope))


def strings_of(value: Any) -> Iterator[str]:
    """Every string of a JSON value that has an expression, keys of maps included."""
    match value:
        case str():
            if has_expression(value):
                yield value
        case Mapping():
            for key, item in value.items():
                yield from strings_of(key)
                yield from strings_of(item)
        case list() | tuple():
            for item in value:
                yield from strings_of(item)
