"""Text of one expression → its tree, built bottom up, without recursion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from kestrapy.language.expression import nodes
from kestrapy.language.expression.call_nodes import MacroCall, bind
from kestrapy.language.expression.calls import Callee, Misused
from kestrapy.language.expression.grammar import GRAMMAR
from kestrapy.language.expression.nodes import Node
from kestrapy.language.expression.operators import LONG
from kestrapy.language.expression.registry import FILTERS, FUNCTIONS, METHODS, TESTS
from kestrapy.language.expression.scope import quote

DEPTH_LIMIT = 100
"""Levels of a tree. Evaluation recurses, so that a deeper one could exhaust the stack."""

_CONTEXT = "_context"
"""Names all variables, unless it is the name of one."""
_INSTEAD = {
    "&": "and",
    "!": "not",
    "|": "or",
    "matches": "text.matches('pattern')",
    "if": "condition ? a : b",
}
"""What other languages write → what is to be written here."""
_INTERPOLATION = re.compile(r"(?<!\\)#\{([^{}]*)\}")


class Refused(Exception):
    """An expression that can't be used. offset: of the culprit in the expression's text, from 0."""

    def __init__(self, message: str, offset: int):
        super().__init__(message)
        self.offset = offset


Arguments = tuple[tuple[Node, ...], dict[str, Node]]
"""Those without a name, in order, and those with one."""


def _known(options: dict[str, Callee], kind: str, name: Token) -> Callee:
    if name in options:
        return options[name]
    raise Refused(unknown(kind, str(name), options), name.start_pos or 0)


def unknown(kind: str, name: str, options: Iterable[str]) -> str:
    names = " or ".join(f"`{it}`" for it in get_close_matches(name, sorted(options), cutoff=0.65))
    return f"there is no {kind} `{quote(name)}`" + (f"; did you mean {names}?" if names else "")


def _bound(
    callee: Callee, name: Token, operand: tuple[Node, ...], arguments: Arguments | None
) -> Node:
    placed, named = arguments or ((), {})
    try:
        return bind(callee, operand, placed, named)
    except Misused as error:
        raise Refused(str(error), name.start_pos or 0) from None


@v_args(inline=True)
class Builder(Transformer[Token, Node]):
    """A method per alias of the grammar: its children → a node."""

    def choice(self, condition: Node, then: Node, otherwise: Node) -> Node:
        return nodes.Choice(condition, then, otherwise)

    def binary(self, left: Node, symbol: Token, right: Node) -> Node:
        if symbol in ("and", "or"):
            return nodes.Logical(str(symbol), symbol == "or", left, right)
        return nodes.Binary(str(symbol), left, right)

    def not_in(self, left: Node, no: Token, word: Token, right: Node) -> Node:
        return nodes.Binary("isNotIn", left, right)

    def fallback(self, left: Node, symbol: Token, right: Node) -> Node:
        return nodes.Fallback(left, right, only_undefined=symbol == "???")

    def range(self, left: Node, symbol: Token, right: Node) -> Node:
        return _bound(FUNCTIONS["range"], symbol, (), ((left, right), {}))

    def unary(self, symbol: Token, operand: Node) -> Node:
        if symbol == "not":
            return nodes.Not(operand)
        return nodes.Signed(-1 if symbol == "-" else 1, operand)

    def test(self, operand: Node, word: Token, name: Token, arguments: Arguments | None) -> Node:
        return _bound(_known(TESTS, "test", name), name, (operand,), arguments)

    def test_not(
        self, operand: Node, word: Token, no: Token, name: Token, arguments: Arguments | None
    ) -> Node:
        return nodes.Not(self.test(operand, word, name, arguments))

    def filter(self, operand: Node, name: Token, arguments: Arguments | None) -> Node:
        return _bound(_known(FILTERS, "filter", name), name, (operand,), arguments)

    def call(self, name: Token, arguments: Arguments) -> Node:
        if name in FUNCTIONS:
            return _bound(FUNCTIONS[name], name, (), arguments)
        placed, named = arguments
        return MacroCall(str(name), placed, tuple(named.items()), name.start_pos or 0)

    def method(self, target: Node, name: Token, arguments: Arguments) -> Node:
        return _bound(_known(METHODS, "method", name), name, (target,), arguments)

    def arguments(self, *given: Node | tuple[Token, Node] | None) -> Arguments:
        placed: list[Node] = []
        named: dict[str, Node] = {}
        for argument in given:
            if isinstance(argument, tuple):
                name, node = argument
                if name in named:
                    raise Refused(f"the argument `{quote(name)}` stands twice", name.start_pos or 0)
                named[str(name)] = node
            elif argument is not None and named:
                first = quote(next(iter(named)))
                raise Refused(f"an argument without a name stands after `{first}=`", 0)
            elif argument is not None:
                placed.append(argument)
        return tuple(placed), named

    def named(self, name: Token, value: Node) -> tuple[Token, Node]:
        return (name, value)

    def attribute(self, target: Node, name: Token) -> Node:
        return nodes.Attribute(target, nodes.Literal(str(name)))

    def item(self, target: Node, key: Node) -> Node:
        return nodes.Attribute(target, key)

    def variable(self, name: Token) -> Node:
        variable = nodes.Variable(str(name))
        if name != _CONTEXT:
            return variable
        return nodes.Fallback(variable, bind(FUNCTIONS["fetchContext"], (), (), {}))

    def number(self, token: Token) -> Node:
        text = token.rstrip("lL")  # Java's mark of a long one: all are
        if len(text) > 100 or ("." not in text and int(text) >= LONG):
            raise Refused(f"the number `{quote(token)}` is out of range", token.start_pos or 0)
        return nodes.Literal(float(text) if "." in text else int(text))

    def string(self, token: Token) -> Node:
        if token[0] == '"' and "#{" in token:
            return _interpolated(token)
        return nodes.Literal(_unescaped(token[1:-1], token[0]))

    def true(self, token: Token) -> Node:
        return nodes.Literal(True)

    def false(self, token: Token) -> Node:
        return nodes.Literal(False)

    def null(self, token: Token) -> Node:
        return nodes.Literal(None)

    def list_of(self, *items: Node | None) -> Node:
        return nodes.ListOf(tuple(item for item in items if item is not None))

    def entry(self, key: Node, value: Node) -> tuple[Node, Node]:
        return (key, value)

    def map_of(self, *entries: tuple[Node, Node] | None) -> Node:
        return nodes.MapOf(tuple(entry for entry in entries if entry is not None))


_PARSER = Lark(
    GRAMMAR, parser="lalr", lexer="contextual", transformer=Builder(), maybe_placeholders=True
)


def _unescaped(text: str, mark: str) -> str:
    return re.sub(rf"\\([\\{mark}])", r"\1", text)


def _interpolated(token: Token) -> Node:
    """``"a #{b} c"``: its parts, joined."""
    joined: Node = nodes.Literal("")
    position = 1
    for found in _INTERPOLATION.finditer(token, 1, len(token) - 1):
        plain = nodes.Literal(_unescaped(token[position : found.start()], '"'))
        try:
            inner = _parsed(found[1])
        except Refused as error:
            offset = (token.start_pos or 0) + found.start(1) + error.offset
            raise Refused(str(error), offset) from None
        joined = nodes.Binary("~", nodes.Binary("~", joined, plain), inner)
        position = found.end()
    rest = nodes.Literal(_unescaped(token[position:-1], '"'))
    return nodes.Binary("~", joined, rest)


def parse_expression(text: str, macros: Iterable[str] = ()) -> Node:
    """The tree of an expression's text. macros: names that may be called too. Raises Refused."""
    node = _parsed(text)
    if _is_deeper(node, DEPTH_LIMIT):
        raise Refused(f"the expression has more than {DEPTH_LIMIT} levels: split it", 0)
    known = set(macros)
    for call in _macro_calls(node):
        if call.name not in known:
            names = [*FUNCTIONS, *known]
            raise Refused(unknown("function", call.name, names), call.offset)
    return node


def _macro_calls(tree: Node) -> Iterator[MacroCall]:
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, MacroCall):
            yield node
        todo += node.parts()


def _parsed(text: str) -> Node:
    if not text.strip():
        raise Refused("the expression is empty", 0)
    try:
        tree: Any = _PARSER.parse(text)
    except UnexpectedInput as error:
        raise _unexpected(error, text) from None
    except VisitError as error:
        if isinstance(error.orig_exc, Refused):
            raise error.orig_exc from None
        raise
    node: Node = tree
    return node


def _unexpected(error: UnexpectedInput, text: str) -> Refused:
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return Refused("the expression ends too early", len(text))
    offset = error.pos_in_stream or 0
    found = str(token or text[offset])
    instead = f": write `{_INSTEAD[found]}`" if found in _INSTEAD else ""
    return Refused(f"unexpected `{quote(found)}`{instead}", offset)


def _is_deeper(tree: Node, limit: int) -> bool:
    level = [tree]
    for _ in range(limit):
        level = [part for node in level for part in node.parts()]
        if not level:
            return False
    return True
