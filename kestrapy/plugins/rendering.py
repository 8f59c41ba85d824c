"""Values after rendering, and those that a task renders itself: late, or always to texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kestrapy.language.expression import has_expression
from kestrapy.plugins.properties import to_text
from kestrapy.ports.tasks import TaskContext, TaskFailed


def render_text(template: Any, context: TaskContext) -> str:
    """What a template prints. Raises ExpressionError."""
    return to_text(context.render(template))


def render_texts(value: Any, context: TaskContext) -> Any:
    """A JSON value in which each string with an expression, at any depth, became what it prints.

    So ``"{{ 1 + 1 }}"`` is the text ``2``, as in Kestra, while a plain ``2`` stays a number. Raises
    ExpressionError.
    """
    match value:
        case str():
            return render_text(value, context) if has_expression(value) else value
        case Mapping():
            return {
                render_text(key, context): render_texts(item, context)
                for key, item in value.items()
            }
        case list() | tuple():
            return [render_texts(item, context) for item in value]
        case _:
            return value


def as_list(value: list[str] | str) -> list[str]:
    """A TextList after rendering; a single text is a list of one."""
    return [value] if isinstance(value, str) else value


def as_map(value: dict[str, str] | str) -> dict[str, str]:
    """A TextMap after rendering, which is always a map."""
    if isinstance(value, str):
        raise TaskFailed(f"expected a map, not {value[:80]!r}")
    return value
