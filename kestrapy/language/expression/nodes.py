"""The tree of an expression. A node is frozen and knows its value in a scope, and its parts.

A new construct of the language is a new class here and a method of ``syntax.Builder``; nothing else
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kestrapy.language.expression.operators import BINARY, fits, is_number, kind
from kestrapy.language.expression.scope import Scope, Undefined


@dataclass(frozen=True, slots=True)
class Told:
    """What a text or a list tells of itself. needs_item: not where it is empty."""

    of: Callable[[Any], Any]
    needs_item: bool = False


PROPERTIES: dict[str, Told] = {
    "size": Told(len),
    "length": Told(len),
    "empty": Told(lambda it: not it),
    "isEmpty": Told(lambda it: not it),
    "first": Told(lambda it: it[0], needs_item=True),
    "last": Told(lambda it: it[-1], needs_item=True),
}
"""As Java's texts and lists have them, where no brackets follow."""


class Node(Protocol):
    """A part of an expression."""

    def evaluate(self, scope: Scope) -> Any:
        """Its value. Raises ExpressionError."""

    def parts(self) -> tuple[Node, ...]:
        """The nodes right below."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        return self.value

    def parts(self) -> tuple[Node, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Variable:
    name: str

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        try:
            found = scope.variables[self.name]
        except KeyError:
            raise scope.undefined(self.name, scope.variables) from None
        return found if scope.hidden is None else scope.noticed(found)

    def parts(self) -> tuple[Node, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Attribute:
    """``target.key``, ``target[key]``: an item of a map or list, or what a text or list tells of
    itself (``PROPERTIES``), never an attribute in Python.
    """

    target: Node
    key: Node

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        target, key = self.target.evaluate(scope), self.key.evaluate(scope)
        index = isinstance(key, int) and not isinstance(key, bool)
        if isinstance(target, Mapping):
            name = str(key) if index else key
            if isinstance(name, str) and name in target:
                found = target[name]
                return found if scope.hidden is None else scope.noticed(found)
        elif index and isinstance(target, list | tuple) and 0 <= key < len(target):
            found = target[key]
            return found if scope.hidden is None else scope.noticed(found)
        if isinstance(key, str) and isinstance(target, str | list | tuple):
            told = PROPERTIES.get(key)
            if told is not None and (target or not told.needs_item):
                return told.of(target)
        raise scope.undefined(scope.text(key), target if isinstance(target, Mapping) else ())

    def parts(self) -> tuple[Node, ...]:
        return (self.target, self.key)


@dataclass(frozen=True, slots=True)
class Fallback:
    """``left ?? right``: right when left is undefined or null. only_undefined: it is ``???``."""

    left: Node
    right: Node
    only_undefined: bool = False

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        try:
            value = self.left.evaluate(scope)
        except Undefined:
            return self.right.evaluate(scope)
        if value is None and not self.only_undefined:
            return self.right.evaluate(scope)
        return value

    def parts(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Binary:
    """symbol: a key of ``operators.BINARY``."""

    symbol: str
    left: Node
    right: Node

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        left, right = self.left.evaluate(scope), self.right.evaluate(scope)
        return BINARY[self.symbol](scope, left, right)

    def parts(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Logical:
    """``and``, ``or``: the right side counts only when the left is not ``until``."""

    symbol: str
    until: bool
    left: Node
    right: Node

    def evaluate(self, scope: Scope) -> bool:
        scope.step()
        if truth(scope, self.symbol, self.left.evaluate(scope)) == self.until:
            return self.until
        return truth(scope, self.symbol, self.right.evaluate(scope))

    def parts(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Not:
    operand: Node

    def evaluate(self, scope: Scope) -> bool:
        scope.step()
        return not truth(scope, "not", self.operand.evaluate(scope))

    def parts(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Signed:
    """``-operand`` (factor -1) or ``+operand`` (factor 1)."""

    factor: int
    operand: Node

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        value = self.operand.evaluate(scope)
        if not is_number(value):
            raise scope.error(f"a sign needs a number, not a {kind(value)},")
        return fits(scope, self.factor * value)

    def parts(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Choice:
    """``condition ? then : otherwise``; null is no condition that holds.

    A secret that the condition reads is in neither.
    """

    condition: Node
    then: Node
    otherwise: Node

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        secrets_read = scope.secrets_read
        condition = self.condition.evaluate(scope)
        scope.secrets_read = secrets_read
        chosen = condition is not None and truth(scope, "? :", condition)
        return (self.then if chosen else self.otherwise).evaluate(scope)

    def parts(self) -> tuple[Node, ...]:
        return (self.condition, self.then, self.otherwise)


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Node, ...]

    def evaluate(self, scope: Scope) -> list[Any]:
        scope.step()
        made: list[Any] = scope.weigh([item.evaluate(scope) for item in self.items])
        return made

    def parts(self) -> tuple[Node, ...]:
        return self.items


@dataclass(frozen=True, slots=True)
class MapOf:
    """entries: keys and values in turn."""

    entries: tuple[tuple[Node, Node], ...]

    def evaluate(self, scope: Scope) -> dict[str, Any]:
        scope.step()
        made = {scope.text(key.evaluate(scope)): it.evaluate(scope) for key, it in self.entries}
        scope.weigh(made)
        return made

    def parts(self) -> tuple[Node, ...]:
        return tuple(node for entry in self.entries for node in entry)


def truth(scope: Scope, symbol: str, value: Any) -> bool:
    """A boolean as it is; a number but 0 is true, and so is a text that is not empty. Anything else
    is an error about the operator or tag.
    """
    if isinstance(value, bool | int | float | str):
        return bool(value)
    raise scope.error(f"`{symbol}` needs a boolean, number or string, not {_a(kind(value))},")


def _a(word: str) -> str:
    return word if word == "null" else f"a {word}"
