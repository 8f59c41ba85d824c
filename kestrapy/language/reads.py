"""What the expressions of a value read: the paths of variables, and of ``outputs`` the keys too.

``outputs.split[taskrun.value].uri`` is known to read ``outputs.split``; but that is the outputs of
all runs of a loop. Its key is an expression that reads little, so that it is evaluated first: then
the one run that is meant can be found, and nothing else has to be carried.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import Path, compile_template, names_of
from kestrapy.language.expression.nodes import Literal, Node, Variable
from kestrapy.language.expression.reading import paths_of, unwound
from kestrapy.language.expression.scope import Scope
from kestrapy.language.expression.template import strings_of

OUTPUTS = "outputs"


class Reads(NamedTuple):
    """names: as ``names_of`` gives them. outputs: of each place that reads outputs with a computed
    key, all the keys after ``outputs``.
    """

    names: tuple[Path, ...] = ()
    outputs: tuple[tuple[Node, ...], ...] = ()


def reads_of(value: Any) -> Reads:
    """Of all expressions in a JSON value. Raises ExpressionError for one that can't be compiled."""
    chains = [
        keys
        for text in strings_of(value)
        for part in compile_template(text).parts
        if not isinstance(part, str)
        for node, local in part.expressions()
        for keys in _chains(node, local)
    ]
    return Reads(names_of(value), tuple(chains))


def paths_of_outputs(reads: Reads, variables: Mapping[str, Any]) -> list[Path]:
    """What is read of outputs, each path from the task's id on; cut where a key can't be known.

    variables: those that the keys read.
    """
    known = {(OUTPUTS, *_constant(keys)) for keys in reads.outputs}
    static = [path[1:] for path in reads.names if path[0] == OUTPUTS and path not in known]
    computed = [tuple(_evaluated(keys, variables)) for keys in reads.outputs]
    return list(dict.fromkeys(static + computed))


def key_paths(keys: tuple[Node, ...]) -> list[Path]:
    """What the keys of one place read themselves."""
    return [path for key in keys for path in paths_of(key)]


def _chains(tree: Node, local: Collection[str]) -> Iterator[tuple[Node, ...]]:
    """Keys after each ``outputs``; local: names that tags define, which no key may be read from."""
    todo = [tree]
    while todo:
        node, keys = unwound(todo.pop())
        if not isinstance(node, Variable):
            todo += node.parts()
        elif node.name == OUTPUTS and not all(map(_is_constant, keys)):
            known = takewhile(lambda key: not _reads(key, local), keys)
            yield tuple(known)
        todo += keys


def _reads(key: Node, names: Collection[str]) -> bool:
    return any(path[0] in names for path in paths_of(key))


def _is_constant(key: Node) -> bool:
    return isinstance(key, Literal) and isinstance(key.value, str)


def _constant(keys: tuple[Node, ...]) -> Iterator[str]:
    for key in keys:
        if not (isinstance(key, Literal) and isinstance(key.value, str)):
            return
        yield key.value


def _evaluated(keys: tuple[Node, ...], variables: Mapping[str, Any]) -> Iterator[str]:
    for key in keys:
        try:
            value = key.evaluate(Scope(variables))
        except ExpressionError:
            return
        if not isinstance(value, str | int) or isinstance(value, bool):
            return
        yield str(value)
