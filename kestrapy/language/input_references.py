"""References to inputs that an expression reads otherwise than their author thinks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kestrapy.language.expression import has_expression
from kestrapy.language.fields import Fields
from kestrapy.model.inputs import Input


def check_references(inputs: Iterable[Input], tasks: Sequence[Fields]) -> None:
    """A problem where a task names an input with a dash by dots: that is a subtraction.

    tasks: all of a flow, children included.
    """
    for each in inputs:
        if "-" not in each.id:
            continue
        pattern = re.compile(rf"\binputs\.{re.escape(each.id)}(?![\w-])")
        offenders = [it for it in tasks if any(map(pattern.search, _texts(it, tasks)))]
        if offenders:
            names = ", ".join(str(it.take("id")) for it in offenders)
            message = (
                "Invalid input reference: use inputs[key-name] instead of inputs.key-name, for a"
                f" dash subtracts: write inputs['{each.id}'], offending tasks: [{names}]"
            )
            offenders[0].problems.add(offenders[0].path, message)


def _texts(task: Fields, tasks: Sequence[Fields]) -> Iterator[str]:
    """The templates of a task, without those of its children."""
    children = [id(it.value) for it in tasks if it is not task]

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, str) and has_expression(value):
            yield value
        elif isinstance(value, dict | list) and id(value) not in children:
            for item in value.values() if isinstance(value, dict) else value:
                yield from walk(item)

    return walk(task.value)
