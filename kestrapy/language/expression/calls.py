"""What filters, functions and tests are to the language: a Python callable and its parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from kestrapy.language.expression.operators import kind

ALL_VARIABLES: tuple[tuple[str, ...], ...] = tuple(
    (root,)
    for root in (
        "envs",
        "execution",
        "files",
        "flow",
        "globals",
        "inputs",
        "kestra",
        "labels",
        "outputs",
        "parent",
        "parents",
        "schedule",
        "task",
        "taskrun",
        "tasks",
        "trigger",
        "vars",
    )
)
"""Paths of what a call reads that may read anything."""


_AS_IT_IS = ("replace_pairs",)
"""Names of parameters with an underscore in Kestra, too."""


class Unfit(ValueError):
    """A value that a call can't take. The message follows the call's name."""


class Misused(Exception):
    """A call that can't be right, known from its text alone: the arguments don't fit."""


@dataclass(frozen=True, slots=True)
class Callee:
    """A filter, function or test.

    call: takes the scope and the values of the arguments, in the order of parameters. Raises Unfit.
    parameters: names, in order. defaults: of the last ones. variadic: more values may follow.
    reads: variables beside its arguments. needs_world: whether it reads more
    than variables; decidable: no more than time and chance, which a fold decides by itself.
    takes_undefined: a missing operand is null to it. hides_arguments: its result shows nothing of
    the secrets among its arguments.
    """

    name: str
    call: Callable[..., Any]
    parameters: tuple[str, ...] = ()
    defaults: tuple[Any, ...] = ()
    variadic: bool = False
    reads: tuple[tuple[str, ...], ...] = ()
    needs_world: bool = False
    decidable: bool = False
    takes_undefined: bool = False
    hides_arguments: bool = False

    def arrange(self, named: Mapping[str, Any], placed: tuple[Any, ...], default: Any) -> list[Any]:
        """Arguments in the order of parameters; ``default(value)`` stands for one not given.

        Raises Misused.
        """
        if len(placed) > len(self.parameters) and not self.variadic:
            raise Misused(f"`{self.name}` takes {self._wanted()}, not {len(placed)} arguments")
        for name in named:
            if name not in self.parameters:
                raise Misused(f"`{self.name}` has no argument `{name}`: it takes {self._wanted()}")
            if self.parameters.index(name) < len(placed):
                raise Misused(f"`{self.name}` is given its argument `{name}` twice")
        found = list(placed)
        required = len(self.parameters) - len(self.defaults)
        for index in range(len(placed), len(self.parameters)):
            name = self.parameters[index]
            if name in named:
                found.append(named[name])
            elif index >= required:
                found.append(default(self.defaults[index - required]))
            else:
                raise Misused(f"`{self.name}` needs its argument `{name}`")
        return found

    def _wanted(self) -> str:
        return ", ".join(f"`{it}`" for it in self.parameters) or "no argument"


def filters(
    functions: Mapping[str, Callable[..., Any]], *, takes_undefined: bool = False
) -> Iterator[Callee]:
    """Filters or tests: a Callee per name, with the parameters that the callable declares after
    the scope and the operand.
    """
    for name, function in functions.items():
        yield _declared(name, function, 2, takes_undefined=takes_undefined)


def functions(
    functions: Mapping[str, Callable[..., Any]],
    *,
    needs_world: bool = False,
    decidable: bool = False,
    hides_arguments: bool = False,
) -> Iterator[Callee]:
    """A Callee per name, with the parameters that the callable declares after the scope."""
    for name, function in functions.items():
        yield _declared(
            name,
            function,
            1,
            needs_world=needs_world,
            decidable=decidable,
            hides_arguments=hides_arguments,
        )


def _declared(name: str, function: Callable[..., Any], skip: int, **flags: Any) -> Callee:
    declared = list(signature(function).parameters.values())[skip:]
    plain = [it for it in declared if it.kind is not Parameter.VAR_POSITIONAL]
    return Callee(
        name,
        function,
        tuple(_camel(it.name) for it in plain),
        tuple(it.default for it in plain if it.default is not Parameter.empty),
        variadic=len(plain) < len(declared),
        **flags,
    )


def _camel(name: str) -> str:
    if name in _AS_IT_IS:
        return name
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name.rstrip("_"))


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Unfit(f"needs a string, not a {kind(value)}")


def as_plain(value: Any) -> str:
    """A text as it is; a number or a boolean as it is written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else as_text(value)


def as_text_or_none(value: Any) -> str | None:
    return None if value is None else as_text(value)


def as_integer(value: Any) -> int:
    """A whole number, or the text of one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,19}", value):
        return int(value)
    raise Unfit(f"needs a whole number, not a {kind(value)}")


def as_number(value: Any) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Unfit(f"needs a number, not a {kind(value)}")


def as_list(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    raise Unfit(f"needs a list, not a {kind(value)}")


def as_map(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise Unfit(f"needs a map, not a {kind(value)}")
