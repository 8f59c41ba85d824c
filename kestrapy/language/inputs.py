"""The inputs of an execution: what was given, typed and checked, and the defaults of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kestrapy.errors import ExpressionError, InputRefused, Problem
from kestrapy.language.expression import render_value
from kestrapy.language.input_values import Unfit, convert
from kestrapy.language.problems import near
from kestrapy.model.flow import Flow, Input


def resolve_inputs(
    flow: Flow, given: Mapping[str, Any], variables: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of all inputs of a flow, as ``inputs``; an id with dots builds nested maps.

    given: by id, or nested as the result is. variables: what the defaults may read; ``inputs`` in
    them are those declared before. An input that is not required and not given is null. Raises
    InputRefused with every problem found, in the order of declaration.
    """
    problems: list[Problem] = []
    values, unknown = _by_id(flow, given)
    resolved: dict[str, Any] = {}
    for declared in flow.inputs:
        value = None
        try:
            value = _resolve(declared, values.get(declared.id), {**variables, "inputs": resolved})
            if value is None and declared.required:
                problems.append(_problem(declared.id, f"Missing required input:{declared.id}"))
        except (Unfit, ExpressionError) as error:
            message = f"Invalid value for input `{declared.id}`. Cause: {error}"
            problems.append(_problem(declared.id, message))
        _put(resolved, declared.id, value)
    problems += [_unknown(name, flow) for name in unknown]
    if problems:
        raise InputRefused(problems)
    return resolved


def _resolve(declared: Input, value: Any, variables: Mapping[str, Any]) -> Any:
    if value is None:
        value = render_value(declared.defaults, variables)
    return None if value is None else convert(declared, value)


def _by_id(flow: Flow, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What was given by the ids of the inputs, and the names of what no input is called."""
    ids = {declared.id for declared in flow.inputs}
    values, unknown = {}, []
    for name, value in _flatten(given, ids):
        if name in ids:
            values[name] = value
        else:
            unknown.append(name)
    return values, unknown


def _flatten(
    given: Mapping[str, Any], ids: set[str], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Names and values; a map is opened where inputs lie within it."""
    for key, value in given.items():
        name = f"{prefix}{key}"
        within = any(each.startswith(f"{name}.") for each in ids)
        if within and isinstance(value, Mapping):
            yield from _flatten(value, ids, f"{name}.")
        else:
            yield name, value


def _unknown(name: str, flow: Flow) -> Problem:
    ids = [declared.id for declared in flow.inputs]
    declared = f"expected: {', '.join(ids)}" if ids else "the flow has no inputs"
    return _problem(name, f"Unknown input `{name}`{near(name, ids)} ({declared})")


def _problem(name: str, message: str) -> Problem:
    return Problem(message, f"inputs.{name}")


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    *outer, last = name.split(".")
    for part in outer:
        values = values.setdefault(part, {})
    values[last] = value
