"""What the operators between two values do: Pebble's rules, which are Java's where numbers meet.

Integers are 64 bits wide, their division drops the rest, ``%`` has the sign of the left side. Where
Java would wrap around or give Infinity, an error is raised instead: neither can be told from a
right result later on.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from kestrapy.language.expression.scope import Scope

Operation = Callable[[Scope, Any, Any], Any]
LONG = 1 << 63


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind(value: Any) -> str:
    """What a value is, in the words of the flow language."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "map"
        case _:
            return "list"


def fits(scope: Scope, value: int | float) -> int | float:
    """The value, when it is one that a result may have."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
    elif -LONG <= value < LONG:
        return value
    raise scope.error("a number out of range")


def equal(scope: Scope, left: Any, right: Any) -> bool:
    """True is not 1: values of different kinds are different."""
    if kind(left) != kind(right):
        return False
    if not isinstance(left, Mapping | list | tuple):
        return bool(left == right)
    scope.weigh(left)
    return bool(left == right) and _same_kinds(left, right)


def _same_kinds(left: Any, right: Any) -> bool:
    """Whether no boolean stands in one where a number stands in the other."""
    todo = [(left, right)]
    while todo:
        one, other = todo.pop()
        if isinstance(one, Mapping):
            todo += [(item, other[key]) for key, item in one.items()]
        elif isinstance(one, list | tuple):
            todo += zip(one, other, strict=True)
        elif isinstance(one, bool) is not isinstance(other, bool):
            return False
    return True


def differs(scope: Scope, left: Any, right: Any) -> bool:
    return not equal(scope, left, right)


def contains(scope: Scope, left: Any, right: Any) -> bool:
    """Whether a list has an item (or all of a list's), a map has a key, a string has a part."""
    if left is None:
        return False
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    if not isinstance(left, Mapping | list | tuple):
        raise scope.error(
            f"`contains` needs a list, map or string on its left, not a {kind(left)},"
        )
    wanted = right if isinstance(right, list | tuple) else [right]
    for item in wanted:
        scope.step(len(left))
        if not any(equal(scope, own, item) for own in left):
            return False
    return True


def is_in(scope: Scope, left: Any, right: Any) -> bool:
    """Whether a list has an item, or a map a key or value, that is written as left is."""
    if left is None or not isinstance(right, Mapping | list | tuple):
        return False
    values = [*right, *right.values()] if isinstance(right, Mapping) else right
    scope.step(len(values))
    wanted = scope.written(left)
    return any(it is not None and scope.written(it) == wanted for it in values)


def is_not_in(scope: Scope, left: Any, right: Any) -> bool:
    return not is_in(scope, left, right)


def add(scope: Scope, left: Any, right: Any) -> Any:
    """The sum of numbers; with a string on a side both are joined; a list takes what is added."""
    if isinstance(left, str) or isinstance(right, str):
        return "".join("null" if it is None else scope.text(it) for it in (left, right))
    if isinstance(left, list | tuple):
        more = right if isinstance(right, list | tuple) else [right]
        scope.step(len(left) + len(more))
        return scope.weigh([*left, *more])
    return _ADD_NUMBERS(scope, left, right)


def subtract(scope: Scope, left: Any, right: Any) -> Any:
    """The difference of numbers; a list without an item, or without all of another list's."""
    if not isinstance(left, list | tuple):
        return _SUBTRACT_NUMBERS(scope, left, right)
    unwanted = right if isinstance(right, list | tuple) else [right]
    scope.step(len(left) * len(unwanted))
    return [it for it in left if not any(equal(scope, it, other) for other in unwanted)]


def join(scope: Scope, left: Any, right: Any) -> str:
    return scope.text(left) + scope.text(right)


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Operation:
    def apply(scope: Scope, left: Any, right: Any) -> Any:
        if not (is_number(left) and is_number(right)):
            raise scope.error(f"`{symbol}` needs numbers, not {kind(left)} and {kind(right)},")
        try:
            return fits(scope, compute(left, right))
        except ZeroDivisionError:
            raise scope.error("division by zero") from None
        except OverflowError:
            raise scope.error("a number out of range") from None

    return apply


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        if right == 0:
            raise ZeroDivisionError
        return math.fmod(left, right)
    return left - right * _divide(left, right)


def _comparison(symbol: str, compare: Callable[[Any, Any], bool]) -> Operation:
    def apply(scope: Scope, left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        strings = isinstance(left, str) and isinstance(right, str)
        if strings or (is_number(left) and is_number(right)):
            return compare(left, right)
        raise scope.error(
            f"`{symbol}` needs two numbers or two strings, not {kind(left)} and {kind(right)},"
        )

    return apply


_ADD_NUMBERS = _arithmetic("+", operator.add)
_SUBTRACT_NUMBERS = _arithmetic("-", operator.sub)

BINARY: dict[str, Operation] = {
    "contains": contains,
    "==": equal,
    "equals": equal,
    "!=": differs,
    "<": _comparison("<", operator.lt),
    "<=": _comparison("<=", operator.le),
    ">": _comparison(">", operator.gt),
    ">=": _comparison(">=", operator.ge),
    "+": add,
    "-": subtract,
    "*": _arithmetic("*", operator.mul),
    "/": _arithmetic("/", _divide),
    "%": _arithmetic("%", _remainder),
    "~": join,
    "in": is_in,
    "isIn": is_in,
    "isNotIn": is_not_in,
}
"""Operators that evaluate both sides, by symbol."""
