"""Which variables an expression reads, known from its tree."""

from __future__ import annotations

from collections.abc import Iterator

from kestrapy.language.expression.call_nodes import Call
from kestrapy.language.expression.nodes import Attribute, Literal, Node, Variable

Path = tuple[str, ...]
"""Names from a variable inwards, such as ``("outputs", "split", "uri")``."""


def unwound(node: Node) -> tuple[Node, list[Node]]:
    """What keys are read from, and the keys, from there inwards."""
    keys: list[Node] = []
    while isinstance(node, Attribute):
        keys.append(node.key)
        node = node.target
    keys.reverse()
    return node, keys


def paths_of(tree: Node) -> Iterator[Path]:
    """The paths that are read anywhere in the tree, in no order, repeated ones repeated."""
    todo = [tree]
    while todo:
        node, keys = unwound(todo.pop())
        if isinstance(node, Call):
            yield from node.callee.reads
        if isinstance(node, Variable):
            yield (node.name, *_constant(keys))
        else:
            todo += node.parts()
        todo += keys


def needs_world(tree: Node, *, decidable: bool = True) -> bool:
    """Whether it calls what reads the world. decidable: also what a fold decides by itself."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, Call) and node.callee.needs_world:
            if decidable or not node.callee.decidable:
                return True
        todo += node.parts()
    return False


def _constant(keys: list[Node]) -> Iterator[str]:
    for key in keys:
        if not (isinstance(key, Literal) and isinstance(key.value, str)):
            return
        yield key.value
