"""What a query of jq is made of: runs, queries, and places in an input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kestrapy.language.expression.calls import Unfit
from kestrapy.language.expression.scope import Scope

CALLS_LIMIT = 40
"""Calls of functions that a query defines, within each other: running recurses."""


class Run(NamedTuple):
    """What a query is run with. bound: the values of its ``$names``. defined: its own functions, by
    name and number of arguments. depth: calls of these that it is in.
    """

    scope: Scope
    bound: Mapping[str, Any]
    defined: Mapping[tuple[str, int], Defined] = {}
    depth: int = 0

    def binding(self, more: Mapping[str, Any]) -> Run:
        self.scope.step(len(self.bound) + 1)
        return self._replace(bound={**self.bound, **more})

    def deeper(self) -> Run:
        self.scope.step()
        if self.depth == CALLS_LIMIT:
            raise Unfit(f"has more than {CALLS_LIMIT} calls of its own functions within each other")
        return self._replace(depth=self.depth + 1)


Query = Callable[[Run, Any], Iterator[Any]]
"""An input → its results, in order."""
Place = tuple[Any, ...]
"""From an input inwards: keys of maps, indexes of lists, and maps of ``start`` and ``end``."""
Spots = Iterator[tuple[Place, Any]]


@dataclass(frozen=True, slots=True)
class Located:
    """A query that also knows where in its input its results stand.

    places: is given where the input stands itself.
    """

    values: Query
    places: Callable[[Run, Place, Any], Spots]

    def __call__(self, run: Run, value: Any) -> Iterator[Any]:
        return self.values(run, value)


class Defined(NamedTuple):
    """A function that a query defines, or an argument of one.

    home: the run that it was defined in, None for an argument: there it is its caller's.
    """

    parameters: tuple[str, ...]
    body: Query
    home: Run
    is_argument: bool = False


def located(places: Callable[[Run, Place, Any], Spots]) -> Located:
    """A query by its places alone."""
    return Located(lambda run, value: (it for _, it in places(run, (), value)), places)


def places_of(query: Query, run: Run, place: Place, value: Any) -> Spots:
    """Its results with their places. Raises Unfit for one that makes new values."""
    if isinstance(query, Located):
        return query.places(run, place, value)
    raise Unfit(
        "can't change what a query makes: write a path such as `.a[0]` or `.[] | select(.b)`"
    )


def true(value: Any) -> bool:
    return value is not None and value is not False


def first_of(query: Query, run: Run, value: Any) -> Any:
    return next(query(run, value), None)


class Failed(Unfit):
    """``error(value)``: what ``catch`` is given is the value."""

    def __init__(self, message: str, value: Any):
        super().__init__(message)
        self.value = value
