"""Templates: compiled once per text, rendered with variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kestrapy.language.expression.reading import Path, needs_world, paths_of
from kestrapy.language.expression.scope import Scope
from kestrapy.language.expression.statements import Body, Output, joined, write
from kestrapy.language.expression.tags import TagReader
from kestrapy.language.expression.world import World

CACHE_SIZE = 4096
"""Compiled templates that are kept."""
KEPT_LENGTH = 1_000
"""Characters of a text that is rendered again, and kept compiled."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. parts: text, expressions and tags in turn.

    needs_world: whether it reads more than variables; needs_worker: more than time and chance,
    which a fold decides by itself. Where ``render`` is given text that reads the
    world this is false; the executor then meets WorldNeeded.
    """

    parts: Body
    paths: tuple[Path, ...]
    needs_world: bool = False
    needs_worker: bool = False
    has_tags: bool = False

    def render(self, variables: Mapping[str, Any], world: World | None = None) -> Any:
        """A sole ``{{ expression }}`` gives its value as it is, anything else a string.

        In a string null is empty, booleans are lower case, maps and lists are JSON. Raises
        ExpressionError for a variable that is missing, a type that doesn't fit, a spent budget, and
        WorldNeeded where it reads the world and none is given.
        """
        return self.render_in(Scope(variables, world, _compile_again))

    def render_in(self, scope: Scope) -> Any:
        """Like ``render``, within the budget of a scope."""
        if self.has_tags:
            return self._render_tags(scope)
        values = [part if isinstance(part, str) else part.evaluate(scope) for part in self.parts]  # type: ignore[attr-defined]
        if len(values) == 1:
            return values[0]
        return "".join([scope.text(value) for value in values])

    def _render_tags(self, scope: Scope) -> Any:
        out: list[Any] = []
        with scope.local({}):
            try:
                write(self.parts, scope, out)
            except RecursionError:
                raise scope.error("tags, macros and expressions nest too deeply") from None
        return joined(scope, out)

    def names(self) -> tuple[Path, ...]:
        """The paths of variables that it reads, sorted; each is cut at its first computed key."""
        return self.paths


def has_expression(value: Any) -> bool:
    """Whether value is a string with something to render, or to refuse."""
    return isinstance(value, str) and any(mark in value for mark in ("{{", "{%", "{#"))


@lru_cache(maxsize=CACHE_SIZE)
def compile_template(text: str) -> Template:
    """Raises ExpressionError, which names what can't be used, its line and its column."""
    parts = TagReader(text).read()
    plain = all(isinstance(part, str | Output) for part in parts)
    trees = [it for part in parts if not isinstance(part, str) for it in part.expressions()]
    paths = {path for node, local in trees for path in paths_of(node) if path[0] not in local}
    world = any(needs_world(node) for node, _ in trees)
    worker = any(needs_world(node, decidable=False) for node, _ in trees)
    return Template(parts or ("",), tuple(sorted(paths)), world, worker, not plain)


def _compile_again(text: str) -> Template:
    """For text that a rendering made: a long one is not kept, since it may never come back."""
    if len(text) <= KEPT_LENGTH:
        return compile_template(text)
    return compile_template.__wrapped__(text)


def render_value(value: Any, variables: Mapping[str, Any], world: World | None = None) -> Any:
    """A JSON value with every string rendered, keys of maps included, within one budget.

    world: what a worker's expressions may read beside variables. Raises ExpressionError.
    """
    return _render(value, Scope(variables, world, _compile_again))


def value_needs_world(value: Any) -> bool:
    """Whether an expression anywhere in a JSON value reads more than variables.

    Raises ExpressionError for one that can't be compiled.
    """
    return any(compile_template(text).needs_world for text in strings_of(value))


def value_needs_worker(value: Any) -> bool:
    """Whether an expression anywhere in a JSON value reads more of the world than time and chance.

    Raises ExpressionError for one that can't be compiled.
    """
    return any(compile_template(text).needs_worker for text in strings_of(value))


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
