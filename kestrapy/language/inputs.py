"""The inputs of an execution: what was given, typed and checked, and the defaults of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from kestrapy.errors import ExpressionError, InputRefused, Problem
from kestrapy.language.expression import World, has_expression, render_value
from kestrapy.language.expression.scope import WorldNeeded
from kestrapy.language.input_values import (
    TYPES,
    Unfit,
    convert,
    convert_default,
    is_encrypted,
    matches,
    plain_text,
)
from kestrapy.language.problems import near
from kestrapy.model.flow import Flow
from kestrapy.model.inputs import ENCRYPTED, MASK, SECRET_DEFAULT, Input

Render = Callable[[Any], Any]
"""Of a JSON value with expressions; raises ExpressionError."""
_FALSE = (False, None, 0, "", "false", "0", "-0")


def resolve_inputs(
    flow: Flow,
    given: Mapping[str, Any],
    variables: Mapping[str, Any],
    world: World | None = None,
) -> dict[str, Any]:
    """The values of all inputs of a flow, as ``inputs``; an id with dots builds nested maps.

    given: by id, or nested as the result is; secrets as ``seal_secrets`` leaves them. variables:
    what defaults and conditions may read; ``inputs`` in them are those declared before, and those
    that the input depends on. world: what else they may read. One that is not required and not
    given is null, and so is one whose condition is false, whatever was given. What the flow does
    not declare is left out (``undeclared``). Raises InputRefused with every problem found.
    """
    problems: list[Problem] = []
    values, _ = _by_id(flow, given)
    found: dict[str, Any] = {}
    asked: dict[str, bool] = {}
    for declared in in_order(flow.inputs):
        scope = {**variables, "inputs": _nested(found.items())}
        render = partial(render_value, variables=scope, world=world)
        found[declared.id] = None
        try:
            asked[declared.id] = _is_asked(declared, asked, render)
            if asked[declared.id]:
                value = found[declared.id] = _resolve(declared, values.get(declared.id), render)
                if value is None and declared.required:
                    problems.append(_problem(declared.id, f"Missing required input:{declared.id}"))
        except (Unfit, ExpressionError) as error:
            asked[declared.id] = False
            problems += _invalid(declared.id, error)
    if problems:
        raise InputRefused(problems)
    return _nested((declared.id, found[declared.id]) for declared in flow.inputs)


def undeclared(flow: Flow, given: Mapping[str, Any]) -> list[Problem]:
    """What was given and is no input of the flow. Kestra leaves it out, and so do executions; who
    asks for one by hand is better told at once.
    """
    return [_unknown(name, flow) for name in _by_id(flow, given)[1]]


def seal_secrets(
    flow: Flow, given: Mapping[str, Any], seal: Callable[[str], str] | None
) -> dict[str, Any]:
    """What is given, by id, with each secret in it encrypted, and defaults of secrets as well.

    seal: encrypts a text; None without a key: then no secret may be given. Raises InputRefused; no
    text of it has a secret's value.
    """
    values, unknown = _by_id(flow, given)
    sealed = values | unknown
    problems: list[Problem] = []
    for declared in flow.inputs:
        value = values.get(declared.id)
        if declared.type != "SECRET" or is_encrypted(value):
            continue
        try:
            if value is not None:
                sealed[declared.id] = _sealed(declared, value, seal)
            elif (
                seal
                and isinstance(declared.defaults, str)
                and not has_expression(declared.defaults)
            ):
                sealed[declared.id] = _sealed(declared, declared.defaults, seal)
        except Unfit as error:
            problems += _invalid(declared.id, error)
    if problems:
        raise InputRefused(problems)
    return sealed


def hide_secrets(flow: Flow, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, by id, with stars for each secret in it that is readable."""
    values, unknown = _by_id(flow, given)
    secret = {it.id for it in flow.inputs if it.type == "SECRET"}
    return unknown | {
        name: MASK if name in secret and not is_encrypted(value) else value
        for name, value in values.items()
    }


def _sealed(declared: Input, value: Any, seal: Callable[[str], str] | None) -> dict[str, str]:
    if not isinstance(value, str):
        raise Unfit("expected a text")
    matches(declared.validator, value)
    if seal is None:
        raise Unfit(
            "a secret can't be taken without a key: set `encryption.secretKey` to 32 random bytes"
            " in Base64 (openssl rand -base64 32) for webservers and workers"
        )
    return {"type": ENCRYPTED, "value": seal(value)}


def in_order(inputs: Sequence[Input]) -> list[Input]:
    """Those that others depend on before these, else as they were declared. What depends on itself
    in a circle is left out.
    """
    waiting, done, found = list(inputs), set[str](), list[Input]()
    while waiting:
        ready = next((it for it in waiting if needs(it) <= done), None)
        if ready is None:
            break
        waiting.remove(ready)
        done.add(ready.id)
        found.append(ready)
    return found


def needs(declared: Input) -> set[str]:
    """The inputs that it depends on."""
    return set(declared.depends_on.inputs) if declared.depends_on else set()


def _is_asked(declared: Input, asked: Mapping[str, bool], render: Render) -> bool:
    depends = declared.depends_on
    if depends is None:
        return True
    if not all(asked[name] for name in depends.inputs):
        return False
    return not depends.condition or render(depends.condition) not in _FALSE


def _resolve(declared: Input, value: Any, render: Render) -> Any:
    options = _options(declared, render)
    if value is not None:
        return convert(declared, value, options)
    if declared.defaults is None:
        return options[0] if options and declared.auto_select_first else None
    if declared.type == "SECRET":
        return {"type": SECRET_DEFAULT, "value": plain_text(declared.defaults)}
    value = render(declared.defaults)
    return None if value is None else convert_default(declared, value, options)


def _options(declared: Input, render: Render) -> list[str] | None:
    """The values that one may choose from; None for a type that has none, or where they can not be
    known here.
    """
    if declared.type not in ("SELECT", "MULTISELECT"):
        return None
    if not declared.expression:
        return list(declared.values)
    try:
        found = TYPES["ARRAY"](render(declared.expression))
    except WorldNeeded:  # who asked for the execution has read them, and checked the value
        return None
    return [plain_text(it) for it in found]


def _invalid(name: str, error: Unfit | ExpressionError) -> list[Problem]:
    causes = error.causes if isinstance(error, Unfit) else (str(error),)
    return [_problem(name, f"Invalid value for input `{name}`. Cause: {it}") for it in causes]


def _by_id(flow: Flow, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was given by the ids of the inputs, and by names that no input has."""
    ids = {declared.id for declared in flow.inputs}
    values: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for name, value in _flatten(given, ids):
        (values if name in ids else unknown)[name] = value
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


def _nested(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in values:
        *outer, last = name.split(".")
        place = nested
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    return nested
