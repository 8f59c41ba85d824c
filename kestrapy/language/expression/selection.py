"""The part of the variables that expressions read, so that a job carries no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kestrapy.language.expression.reading import Path
from kestrapy.language.expression.template import compile_template, strings_of


def names_of(value: Any) -> tuple[Path, ...]:
    """The paths that the expressions anywhere in a JSON value read, sorted, each once.

    Raises ExpressionError for an expression that can't be compiled.
    """
    found = {path for text in strings_of(value) for path in compile_template(text).names()}
    return tuple(sorted(found))


def select(variables: Mapping[str, Any], names: Iterable[Path]) -> dict[str, Any]:
    """The smallest part of variables in which every named path renders as it does in the whole.

    A path that is missing is left out; the maps above it stay, so that an error names the same
    attribute.
    """
    wanted: dict[str, Any] = {}
    for path in names:
        _want(wanted, path)
    chosen: dict[str, Any] = _pick(variables, wanted)
    return chosen


def _want(wanted: dict[str, Any], path: Path) -> None:
    """Add a path to a tree of names, in which None stands for everything below."""
    for name in path[:-1]:
        below = wanted.setdefault(name, {})
        if below is None:
            return
        wanted = below
    wanted[path[-1]] = None


def _pick(value: Any, wanted: dict[str, Any] | None) -> Any:
    if wanted is None or not isinstance(value, Mapping):
        return value
    return {name: _pick(value[name], below) for name, below in wanted.items() if name in value}
