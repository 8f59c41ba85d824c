"""Nodes that call a filter, function, test or macro."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kestrapy.errors import ExpressionError, UserError
from kestrapy.language.expression.calls import Callee
from kestrapy.language.expression.nodes import Literal, Node
from kestrapy.language.expression.scope import CHARACTERS_A_STEP, Scope, Undefined

_REFUSALS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""How libraries say that they can't take a value. A template must raise nothing else than its own
errors, whatever it is made of."""


@dataclass(frozen=True, slots=True)
class Call:
    """arguments: in the order of the callee's parameters; a filter's operand comes first."""

    callee: Callee
    arguments: tuple[Node, ...]

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        secrets_read = scope.secrets_read
        values = [argument.evaluate(scope) for argument in self._required()]
        if self.callee.takes_undefined:
            values.insert(0, _or_null(self.arguments[0], scope))
        result = call(scope, self.callee, values)
        if self.callee.hides_arguments:
            scope.secrets_read = secrets_read
        return result

    def _required(self) -> tuple[Node, ...]:
        return self.arguments[1:] if self.callee.takes_undefined else self.arguments

    def parts(self) -> tuple[Node, ...]:
        return self.arguments


@dataclass(frozen=True, slots=True)
class MacroCall:
    """A call of a macro of the same template, which is found when it is rendered.

    offset: where its name stands in the expression, from 0.
    """

    name: str
    placed: tuple[Node, ...]
    named: tuple[tuple[str, Node], ...]
    offset: int

    def evaluate(self, scope: Scope) -> Any:
        scope.step()
        macro = scope.variables.get(macro_key(self.name))
        if macro is None:
            raise scope.undefined(self.name)
        values = [node.evaluate(scope) for node in self.placed]
        named = {name: node.evaluate(scope) for name, node in self.named}
        with scope.nested():
            return macro(scope, values, named)

    def parts(self) -> tuple[Node, ...]:
        return (*self.placed, *(node for _, node in self.named))


def macro_key(name: str) -> str:
    """Under which a macro stands among the variables: no name of a variable has a blank."""
    return f"macro {name}"


def block_key(name: str) -> str:
    """The same of a block."""
    return f"block {name}"


def call(scope: Scope, callee: Callee, values: list[Any]) -> Any:
    """Its result, counted. Raises ExpressionError."""
    for value in values:
        if isinstance(value, str):
            scope.step(len(value) // CHARACTERS_A_STEP)
    try:
        result = callee.call(scope, *values)
    except ExpressionError:
        raise
    except UserError as error:
        raise scope.error(f"`{callee.name}`: {error},") from error
    except _REFUSALS as error:
        raise scope.error(f"`{callee.name}` {error},") from error
    if isinstance(result, str):
        return scope.grow(result)
    return scope.weigh(result)


def bind(
    callee: Callee, operand: tuple[Node, ...], placed: tuple[Node, ...], named: Mapping[str, Node]
) -> Call:
    """A call with its arguments in order. Raises Misused."""
    found: list[Node] = callee.arrange(named, placed, Literal)
    return Call(callee, (*operand, *found))


def _or_null(node: Node, scope: Scope) -> Any:
    try:
        return node.evaluate(scope)
    except Undefined:
        return None
