"""The outputs of an execution: what its flow declares, rendered and typed when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import World, render_value
from kestrapy.language.input_values import TYPES, Unfit, has_mixed, is_encrypted
from kestrapy.model.flow import Flow, Output

MIXED = (
    "a secret can't be a part of a text here: put it out alone, as `{{ outputs.<id>.value }}`, and"
    " put the text together in a task"
)


def resolve_outputs(
    flow: Flow, variables: Mapping[str, Any], world: World | None = None
) -> dict[str, Any]:
    """The values of a flow's outputs by id. One that is not required is left out where it has no
    value, or can't be rendered.

    variables, world: what the expressions may read. One that is a sealed value alone stays sealed,
    whatever its type. Raises ExpressionError, which names the output, for one that is required and
    has no value, for a value that is not of its type, and for a sealed one within a text.
    """
    found: dict[str, Any] = {}
    for declared in flow.outputs:
        value = _render(declared, variables, world)
        if value is not None:
            found[declared.id] = _typed(declared, value)
        elif declared.required:
            raise ExpressionError(f"output `{declared.id}` is required and has no value")
    return found


def _render(declared: Output, variables: Mapping[str, Any], world: World | None) -> Any:
    try:
        return render_value(declared.value, variables, world)
    except ExpressionError as error:
        if declared.required:
            raise ExpressionError(f"output `{declared.id}`: {error}") from error
        return None


def _typed(declared: Output, value: Any) -> Any:
    if is_encrypted(value):
        return value
    if declared.type == "STRING" and isinstance(value, Mapping | list):
        value = msgspec.json.encode(value).decode()
    if has_mixed(value):
        raise ExpressionError(f"output `{declared.id}`: {MIXED}")
    try:
        return TYPES[declared.type](value)
    except Unfit as error:
        raise ExpressionError(f"output `{declared.id}`: {error}") from error
