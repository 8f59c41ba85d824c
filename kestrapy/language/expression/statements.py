"""What a template is made of: text, expressions and tags. Each knows how it is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kestrapy.language.expression.call_nodes import block_key, macro_key
from kestrapy.language.expression.nodes import Node, truth
from kestrapy.language.expression.operators import kind
from kestrapy.language.expression.scope import Scope

FILTERED = "__text_of_the_filter_tag"
"""The local name under which a ``filter`` tag has its text."""


class Statement(Protocol):
    """A part of a template."""

    def write(self, scope: Scope, out: list[Any]) -> None:
        """Add its values to what is rendered. Raises ExpressionError."""

    def expressions(self) -> Iterator[tuple[Node, frozenset[str]]]:
        """Every expression in it, with the names that are no variables there."""


Body = tuple["str | Statement", ...]
NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Output:
    """An expression in a template. source: with its braces. line: 1-based, in the template."""

    node: Node
    source: str
    line: int

    def evaluate(self, scope: Scope) -> Any:
        scope.enter(self.source, self.line)
        secrets_read = scope.secrets_read
        value = self.node.evaluate(scope)
        if scope.secrets_read != secrets_read:
            scope.tell_made(value)
        return value

    def write(self, scope: Scope, out: list[Any]) -> None:
        out.append(self.evaluate(scope))

    def expressions(self) -> Iterator[tuple[Node, frozenset[str]]]:
        yield self.node, NO_NAMES


@dataclass(frozen=True, slots=True)
class If:
    """branches: a condition and what it guards, in order; None is the condition of ``else``."""

    branches: tuple[tuple[Output | None, Body], ...]

    def write(self, scope: Scope, out: list[Any]) -> None:
        for condition, body in self.branches:
            if condition is None or _holds(condition, scope):
                write(body, scope, out)
                return

    def expressions(self) -> Iterator[tuple[Node, frozenset[str]]]:
        for condition, body in self.branches:
            if condition is not None:
                yield condition.node, NO_NAMES
            yield from _inside(body)


def _holds(condition: Output, scope: Scope) -> bool:
    value = condition.evaluate(scope)
    return value is not None and truth(scope, "if", value)


@dataclass(frozen=True, slots=True)
class For:
    """otherwise: what stands there for a list without items."""

    name: str
    items: Output
    body: Body
    otherwise: Body

    def write(self, scope: Scope, out: list[Any]) -> None:
        items = self._items(scope)
        if not items:
            write(self.otherwise, scope, out)
        with scope.local({self.name: None, "loop": None}):
            for index, item in enumerate(items):
                scope.step()
                scope.assign(self.name, item)
                scope.assign("loop", _loop(index, len(items)))
                write(self.body, scope, out)

    def _items(self, scope: Scope) -> list[Any]:
        value = self.items.evaluate(scope)
        if value is None:
            return []
        if isinstance(value, Mapping):
            scope.step(len(value))
            return [{"key": key, "value": item} for key, item in value.items()]
        if isinstance(value, list | tuple):
            return list(value)
        raise scope.error(f"`for` needs a list or map, not a {kind(value)},")

    def expressions(self) -> Iterator[tuple[Node, frozenset[str]]]:
        yield self.items.node, NO_NAMES
        yield from _inside(self.body, frozenset((self.name, "loop")))
        yield from _inside(self.otherwise)


def _loop(index: int, length: int) -> dict[str, Any]:
    return {
        "index": index,
        "length": length,
        "first": index == 0,
        "last": index == length - 1,
        "revindex": length - index - 1,
    }


@dataclass(frozen=True, slots=True)
class Set:
    name: str
    value: Output

    def write(self, scope: Scope, out: list[Any]) -> None:
        scope.assign(self.name, self.value.evaluate(scope))

    def expressions(self) -> Iterator[tuple[Node, frozenset[str]]]:
        yield self.value.node, NO_NAMES


@dataclass(frozen=True, slots=True)
class FilterText:
    """``{% filter upper %}``: the node reads the text as ``FILTERED``."""

    filtered: Output
    body: Body

    def write(self, scope: Scope, out: list[Any]) -> None:
        inner: list[Any] = []
        write(self.body, scope, inner)
        with scope.local({FILTERED: joined(scope, inner)}):
            out.append(self.filtered.evaluate(scope))

    def expressions(self) -> Iterator[tuple[Node, frozenset[str]]]:
        yield self.filtered.node, frozenset((FILTERED,))
        yield from _inside(self.body)


@dataclass(frozen=True, slots=True)
class Block:
    """``{% block name %}``: its text stands where it is, and wherever ``block(name)`` is."""

    name: str
    body: Body

    def write(self, scope: Scope, out: list[Any]) -> None:
        scope.assign(block_key(self.name), self.text)
        write(self.body, scope, out)

    def text(self, scope: Scope) -> str:
        """It, rendered once more. Raises ExpressionError."""
        out: list[Any] = []
        with scope.nested(), scope.local({}):
            write(self.body, scope, out)
        return "".join(scope.text(value) for value in out)

    def expressions(self) -> Iterator[tuple[Node, frozenset[str]]]:
        yield from _inside(self.body)


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro. parameters: with the expressions of their defaults; None is a default of null."""

    name: str
    parameters: tuple[tuple[str, Output | None], ...]
    body: Body

    def write(self, scope: Scope, out: list[Any]) -> None:
        scope.assign(macro_key(self.name), self.call)

    def call(self, scope: Scope, placed: list[Any], named: Mapping[str, Any]) -> str:
        """The text of a call. Raises ExpressionError for arguments that don't fit."""
        names = [name for name, _ in self.parameters]
        odd = [name for name in named if name not in names]
        if len(placed) > len(names) or odd:
            wanted = ", ".join(f"`{it}`" for it in names) or "no argument"
            raise scope.error(f"the macro `{self.name}` takes {wanted}: no other arguments fit,")
        values = {
            name: default.evaluate(scope) if default is not None and name not in named else None
            for name, default in self.parameters[len(placed) :]
        }
        out: list[Any] = []
        with scope.local({**dict(zip(names, placed, strict=False)), **values, **named}):
            write(self.body, scope, out)
        return "".join(scope.text(value) for value in out)

    def expressions(self) -> Iterator[tuple[Node, frozenset[str]]]:
        for _, default in self.parameters:
            if default is not None:
                yield default.node, NO_NAMES
        yield from _inside(self.body, frozenset(name for name, _ in self.parameters))


def write(body: Body, scope: Scope, out: list[Any]) -> None:
    """Render the parts of a body, in order."""
    for part in body:
        scope.step()
        if isinstance(part, str):
            out.append(part)
        else:
            part.write(scope, out)


def joined(scope: Scope, values: list[Any]) -> Any:
    """A sole value as it is, several ones as text."""
    if len(values) == 1:
        return values[0]
    return "".join(scope.text(value) for value in values)


def _inside(body: Body, names: frozenset[str] = NO_NAMES) -> Iterator[tuple[Node, frozenset[str]]]:
    for part in body:
        if not isinstance(part, str):
            for node, inner in part.expressions():
                yield node, inner | names
