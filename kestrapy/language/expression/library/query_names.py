"""Functions that a query of jq defines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kestrapy.language.expression.calls import Unfit
from kestrapy.language.expression.library.query_runs import (
    Defined,
    Located,
    Place,
    Query,
    Run,
    Spots,
    places_of,
)

_Key = tuple[str, int]


def defined(name: str, parameters: tuple[str, ...], body: Query, rest: Query) -> Query:
    """``def name(parameters): body; rest``."""
    key = (name, len(parameters))

    def within(run: Run) -> Run:
        run.scope.step(len(run.defined) + 1)
        return run._replace(defined={**run.defined, key: Defined(parameters, body, run)})

    def places(run: Run, place: Place, value: Any) -> Spots:
        return places_of(rest, within(run), place, value)

    return Located(lambda run, value: rest(within(run), value), places)


def named_call(key: _Key, arguments: tuple[Query, ...], known: Query | None) -> Query:
    """A call of what the query defines under a name, or else of what is known under it."""

    def chosen(run: Run, value: Any) -> Iterator[tuple[Query, Run]]:
        own = run.defined.get(key)
        if own is not None:
            yield from ((own.body, it) for it in _entered(own, key, arguments, run, value))
        elif known is None:
            raise Unfit(f"knows no function `{key[0]}` of {key[1]} arguments")
        else:
            yield known, run

    def values(run: Run, value: Any) -> Iterator[Any]:
        for body, inner in chosen(run, value):
            yield from body(inner, value)

    def places(run: Run, place: Place, value: Any) -> Spots:
        for body, inner in chosen(run, value):
            yield from places_of(body, inner, place, value)

    return Located(values, places)


def _entered(
    own: Defined, key: _Key, arguments: tuple[Query, ...], run: Run, value: Any
) -> Iterator[Run]:
    """The runs of its body: one for each combination of the values of its ``$parameters``."""
    depth = run.deeper().depth
    if own.is_argument:
        yield own.home._replace(depth=depth)
        return
    run.scope.step(len(own.home.defined) + len(own.home.bound) + 1)
    runs = [own.home._replace(defined={**own.home.defined, key: own}, depth=depth)]
    for name, argument in zip(own.parameters, arguments, strict=True):
        runs = [made for it in runs for made in _given(it, name, argument, run, value)]
    yield from runs


def _given(inner: Run, name: str, argument: Query, caller: Run, value: Any) -> Iterator[Run]:
    caller.scope.step(len(inner.defined) + 1)
    known = Defined((), argument, caller, is_argument=True)
    inner = inner._replace(defined={**inner.defined, (name.lstrip("$"), 0): known})
    if name.startswith("$"):
        yield from (inner.binding({name: item}) for item in argument(caller, value))
    else:
        yield inner
