"""References by dots to an input or a task whose id has a dash: an expression subtracts there, and
its author does not expect that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import has_expression
from kestrapy.language.expression.scan import Kind, scan
from kestrapy.language.fields import Fields

_REFERENCE = re.compile(r"\b(inputs|outputs)\.([\w.-]+)")


def check_references(
    inputs: Iterable[str], tasks: Sequence[Fields], outputs: Sequence[Fields]
) -> None:
    """A problem where tasks or outputs of a flow read ``inputs.some-id`` or ``outputs.some-id``.

    inputs: ids. tasks: all of the flow, children included.
    """
    ids = {"inputs": set(inputs), "outputs": {str(it.take("id")) for it in tasks}}
    children = {id(it.value) for it in tasks}
    for kind, readers in (("tasks", tasks), ("outputs", outputs)):
        offenders: dict[tuple[str, str], list[Fields]] = {}
        for reader in readers:
            for found in dict.fromkeys(_dashed(reader, children, ids)):
                offenders.setdefault(found, []).append(reader)
        for (what, dashed), those in offenders.items():
            names = ", ".join(str(it.take("id")) for it in those)
            message = (
                f"Invalid {what[:-1]} reference: use {what}[key-name] instead of {what}.key-name,"
                f" for a dash subtracts: write {what}['{dashed}'], offending {kind}: [{names}]"
            )
            those[0].problems.add(those[0].path, message)


def _dashed(
    reader: Fields, children: set[int], ids: dict[str, set[str]]
) -> Iterator[tuple[str, str]]:
    """What a task or an output reads so, with where it is from; its children are left out."""
    for code in _code(reader, children):
        for what, path in _REFERENCE.findall(code):
            for name in accumulate(path.split("."), "{}.{}".format):  # an input's id may have dots
                if "-" in name and name in ids[what]:
                    yield what, name


def _code(reader: Fields, children: set[int]) -> Iterator[str]:
    """The insides of its expressions."""
    todo: list[Any] = [*reader.value.values()]
    while todo:
        value = todo.pop()
        if isinstance(value, str) and has_expression(value):
            yield from _insides(value)
        elif isinstance(value, list):
            todo += value
        elif isinstance(value, dict) and id(value) not in children:
            todo += value.values()


def _insides(text: str) -> Iterator[str]:
    try:
        yield from (it.text for it in scan(text) if it.kind is not Kind.TEXT)
    except ExpressionError:  # it was told already
        return
