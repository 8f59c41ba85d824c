"""Text of one expression → its tree, built bottom up, without recursion."""

from __future__ import annotations

from typing import Any, Never

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from kestrapy.language.expression import nodes
from kestrapy.language.expression.grammar import GRAMMAR
from kestrapy.language.expression.nodes import Node
from kestrapy.language.expression.operators import LONG
from kestrapy.language.expression.scope import quote

DEPTH_LIMIT = 100
"""Levels of a tree. Evaluation recurses, so that a deeper one could exhaust the stack."""


class Refused(Exception):
    """An expression that can't be used. offset: of the culprit in the expression's text, from 0."""

    def __init__(self, message: str, offset: int):
        super().__init__(message)
        self.offset = offset


def _not_supported(kind: str, token: Token) -> Never:
    raise Refused(f"{kind} `{quote(token)}` is not supported yet", token.start_pos or 0)


@v_args(inline=True)
class Builder(Transformer[Token, Node]):
    """A method per alias of the grammar: its children → a node."""

    def choice(self, condition: Node, then: Node, otherwise: Node) -> Node:
        return nodes.Choice(condition, then, otherwise)

    def binary(self, left: Node, symbol: Token, right: Node) -> Node:
        if symbol in ("and", "or"):
            return nodes.Logical(str(symbol), symbol == "or", left, right)
        return nodes.Binary(str(symbol), left, right)

    def fallback(self, left: Node, symbol: Token, right: Node) -> Node:
        return nodes.Fallback(left, right, only_undefined=symbol == "???")

    def range(self, left: Node, symbol: Token, right: Node) -> Node:
        _not_supported("the operator", symbol)

    def unary(self, symbol: Token, operand: Node) -> Node:
        if symbol == "not":
            return nodes.Not(operand)
        return nodes.Signed(-1 if symbol == "-" else 1, operand)

    def test(self, operand: Node, word: Token, name: Token, arguments: Any) -> Node:
        _not_supported("the test", name)

    def test_not(self, operand: Node, word: Token, no: Token, name: Token, arguments: Any) -> Node:
        _not_supported("the test", name)

    def filter(self, operand: Node, name: Token, arguments: Any) -> Node:
        _not_supported("the filter", name)

    def call(self, name: Token, arguments: Any) -> Node:
        _not_supported("the function", name)

    def attribute(self, target: Node, name: Token) -> Node:
        return nodes.Attribute(target, nodes.Literal(str(name)))

    def item(self, target: Node, key: Node) -> Node:
        return nodes.Attribute(target, key)

    def variable(self, name: Token) -> Node:
        return nodes.Variable(str(name))

    def number(self, token: Token) -> Node:
        if len(token) > 100 or ("." not in token and int(token) >= LONG):
            raise Refused(f"the number `{quote(token)}` is out of range", token.start_pos or 0)
        return nodes.Literal(float(token) if "." in token else int(token))

    def string(self, token: Token) -> Node:
        mark = token[0]
        if mark == '"' and "#{" in token:
            raise Refused(
                "interpolation `#{…}` is not supported yet: use `~`", token.start_pos or 0
            )
        text = token[1:-1].replace(f"\\{mark}", mark).replace("\\\\", "\\")
        return nodes.Literal(text)

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


def parse_expression(text: str) -> Node:
    """The tree of an expression's text. Raises Refused."""
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
    if _is_deeper(tree, DEPTH_LIMIT):
        raise Refused(f"the expression has more than {DEPTH_LIMIT} levels: split it", 0)
    node: Node = tree
    return node


def _unexpected(error: UnexpectedInput, text: str) -> Refused:
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return Refused("the expression ends too early", len(text))
    offset = error.pos_in_stream or 0
    return Refused(f"unexpected `{quote(str(token or text[offset]))}`", offset)


def _is_deeper(tree: Node, limit: int) -> bool:
    level = [tree]
    for _ in range(limit):
        level = [part for node in level for part in node.parts()]
        if not level:
            return False
    return True
