"""What the syntax of jq does, beside its functions: each makes a query of queries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kestrapy.errors import ExpressionError
from kestrapy.language.expression.calls import as_list, as_text
from kestrapy.language.expression.library.query_paths import Draft, at, without
from kestrapy.language.expression.library.query_paths import bound as index
from kestrapy.language.expression.library.query_paths import item as item_of
from kestrapy.language.expression.library.query_runs import (
    Failed,
    Located,
    Place,
    Query,
    Run,
    Spots,
    first_of,
    located,
    places_of,
    true,
)
from kestrapy.language.expression.scope import Scope

Names = Callable[[Run, Any], Iterator[Mapping[str, Any]]]
"""A value → the values of a pattern's ``$names``; several ones where a key has several."""
IDENTITY = Located(
    lambda run, value: iter((value,)), lambda run, place, value: iter(((place, value),))
)
_CAUGHT = (ArithmeticError, LookupError, TypeError, ValueError)
"""What ``try`` catches. A spent budget is not among it."""


def constant(value: Any) -> Query:
    return lambda run, _: iter((value,))


def pipe(left: Query, right: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        for between in left(run, value):
            run.scope.step()
            yield from right(run, between)

    def places(run: Run, place: Place, value: Any) -> Spots:
        for within, between in places_of(left, run, place, value):
            run.scope.step()
            yield from places_of(right, run, within, between)

    return Located(query, places)


def bound(source: Query, names: Names, body: Query) -> Query:
    """``source as $name | body``."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        for inner in _each_run(source, names, run, value):
            yield from body(inner, value)

    def places(run: Run, place: Place, value: Any) -> Spots:
        for inner in _each_run(source, names, run, value):
            yield from places_of(body, inner, place, value)

    return Located(query, places)


def all_names(parts: list[tuple[Query, Names]]) -> Names:
    """A pattern of several ones, each for what stands under a key."""

    def names(run: Run, value: Any) -> Iterator[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = [{}]
        for key, inner in parts:
            run.scope.step(len(found))
            found = [
                {**one, **more}
                for one in found
                for place in key(run, value)
                for more in inner(run, item_of(value, place))
            ]
        yield from found

    return names


def both(left: Query, right: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        run.scope.step()
        yield from left(run, value)
        yield from right(run, value)

    def places(run: Run, place: Place, value: Any) -> Spots:
        run.scope.step()
        yield from places_of(left, run, place, value)
        yield from places_of(right, run, place, value)

    return Located(query, places)


def alternative(left: Query, right: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        run.scope.step()
        good = False
        for item in _until_error(left(run, value)):
            if true(item):
                good = True
                yield item
        if not good:
            yield from right(run, value)

    def places(run: Run, place: Place, value: Any) -> Spots:
        run.scope.step()
        good = False
        for spot in _until_error(places_of(left, run, place, value)):
            if true(spot[1]):
                good = True
                yield spot
        if not good:
            yield from places_of(right, run, place, value)

    return Located(query, places)


def guarded(body: Query, handler: Query | None) -> Query:
    """``body?``, or ``try body catch handler``, which is given what went wrong."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        try:
            yield from body(run, value)
        except ExpressionError:
            raise
        except _CAUGHT as error:
            if handler is not None:
                told = error.value if isinstance(error, Failed) else str(error)
                yield from handler(run, told)

    def places(run: Run, place: Place, value: Any) -> Spots:
        return _until_error(places_of(body, run, place, value))

    return Located(query, places)


def _until_error(results: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from results
    except ExpressionError:
        raise
    except _CAUGHT:
        return


def logical(left: Query, until: bool, right: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        for first in left(run, value):
            run.scope.step()
            if true(first) == until:
                yield until
            else:
                yield from (true(second) for second in right(run, value))

    return query


def field(target: Query, name: str) -> Query:
    return item(target, constant(name))


def item(target: Query, key: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        for within in target(run, value):
            for name in key(run, value):
                run.scope.step()
                yield _item(run, within, name)

    def places(run: Run, place: Place, value: Any) -> Spots:
        for where, within in places_of(target, run, place, value):
            for name in key(run, value):
                run.scope.step()
                yield (*where, name), _item(run, within, name)

    return Located(query, places)


def _item(run: Run, within: Any, key: Any) -> Any:
    found = item_of(within, key)
    return _counted(run, found) if isinstance(key, Mapping) else found


def items(target: Query) -> Located:
    def query(run: Run, value: Any) -> Iterator[Any]:
        for within in target(run, value):
            for inner in within.values() if isinstance(within, Mapping) else as_list(within):
                run.scope.step()
                yield inner

    def places(run: Run, place: Place, value: Any) -> Spots:
        for where, within in places_of(target, run, place, value):
            keyed = within.items() if isinstance(within, Mapping) else enumerate(as_list(within))
            for key, inner in keyed:
                run.scope.step()
                yield (*where, key), inner

    return Located(query, places)


def part(target: Query, start: Query | None, end: Query | None) -> Query:
    """``target[start:end]``."""

    def key(run: Run, value: Any) -> Iterator[Any]:
        first = first_of(start, run, value) if start else None
        last = first_of(end, run, value) if end else None
        yield {"start": index(first), "end": index(last)}

    return item(target, key)


def choice(branches: list[tuple[Query, Query]], otherwise: Query) -> Query:
    def query(run: Run, value: Any, number: int = 0) -> Iterator[Any]:
        if number == len(branches):
            yield from otherwise(run, value)
            return
        condition, then = branches[number]
        for held in condition(run, value):
            run.scope.step()
            yield from then(run, value) if true(held) else query(run, value, number + 1)

    def places(run: Run, place: Place, value: Any, number: int = 0) -> Spots:
        if number == len(branches):
            yield from places_of(otherwise, run, place, value)
            return
        condition, then = branches[number]
        for held in condition(run, value):
            run.scope.step()
            if true(held):
                yield from places_of(then, run, place, value)
            else:
                yield from places(run, place, value, number + 1)

    return Located(query, places)


def made(pairs: list[tuple[Query, Query]]) -> Query:
    """A map of keys and values."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        found: list[dict[str, Any]] = [{}]
        for key, content in pairs:
            found = [
                {**one, as_text(name): inner}
                for one in found
                for name in key(run, value)
                for inner in content(run, value)
            ]
            run.scope.step(len(found) * len(pairs))
        for one in found:
            yield run.scope.weigh(one)

    return query


def reduced(source: Query, names: Names, start: Query, update: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        for total in start(run, value):
            for inner in _each_run(source, names, run, value):
                total = _last(update(inner, total))
            yield total

    return query


def each(source: Query, names: Names, start: Query, update: Query, extract: Query | None) -> Query:
    """``foreach``: what comes after each item."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        for total in start(run, value):
            for inner in _each_run(source, names, run, value):
                for result in update(inner, total):
                    run.scope.step()
                    total = result
                    yield from (total,) if extract is None else extract(inner, total)

    return query


def _each_run(source: Query, names: Names, run: Run, value: Any) -> Iterator[Run]:
    for item in source(run, value):
        for found in names(run, item):
            yield run.binding(found)


def _last(results: Iterable[Any]) -> Any:
    kept = deque(results, maxlen=1)
    return kept[0] if kept else None


def updated(target: Query, change: Query) -> Query:
    """``target |= change``: where change gives nothing, what stood there goes."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        draft, gone = Draft(run.scope, value), []
        for place in [place for place, _ in places_of(target, run, (), value)]:
            run.scope.step(1 + len(place))
            results = list(change(run, draft.at(place)))[:1]
            if results:
                draft.change(place, results[0])
            else:
                gone.append(place)
        yield without(run.scope, draft.done(), gone) if gone else draft.done()

    return query


def assigned(target: Query, new: Query, change: Callable[[Scope, Any, Any], Any]) -> Query:
    """``target = new`` and its like. change: of what stands there and what is new."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        for item in new(run, value):
            draft = Draft(run.scope, value)
            for place in [place for place, _ in places_of(target, run, (), value)]:
                run.scope.step(1 + len(place))
                draft.change(place, change(run.scope, draft.at(place), item))
            yield draft.done()

    return query


def joined(parts: list[str | Query], form: Callable[[Scope, Any], str]) -> Query:
    """A string with what queries give in it."""
    queries = tuple(constant(it) if isinstance(it, str) else it for it in parts)

    def query(run: Run, value: Any) -> Iterator[Any]:
        for values in combined(run, value, queries):
            run.scope.step()
            texts = [
                str(it) if isinstance(own, str) else form(run.scope, it)
                for own, it in zip(parts, values, strict=True)
            ]
            run.scope.room(sum(map(len, texts)))
            yield run.scope.grow("".join(texts))

    return query


def called(function: Callable[..., Any], arguments: tuple[Query, ...]) -> Query:
    """A function of values, with every combination of its arguments' results."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        for values in combined(run, value, arguments):
            size = len(value) if isinstance(value, str | list | Mapping) else 1
            run.scope.step(1 + size // 16)
            yield _counted(run, function(run.scope, value, *values))

    return query


def _counted(run: Run, value: Any) -> Any:
    """A value that was made just now."""
    run.scope.step()
    return run.scope.grow(value) if isinstance(value, str) else run.scope.weigh(value)


def combined(run: Run, value: Any, queries: tuple[Query, ...]) -> Iterator[tuple[Any, ...]]:
    if not queries:
        yield ()
        return
    for rest in combined(run, value, queries[1:]):
        for first in queries[0](run, value):
            yield (first, *rest)


def place_of(query: Query) -> Query:
    """``path(query)``."""
    return lambda run, value: (list(place) for place, _ in places_of(query, run, (), value))


def deleted(query: Query) -> Query:
    """``del(query)``."""

    def result(run: Run, value: Any) -> Iterator[Any]:
        found = [place for place, _ in places_of(query, run, (), value)]
        run.scope.step(len(found))
        yield without(run.scope, value, found)

    return result


def read_at(place: Query) -> Query:
    """``getpath(place)``."""

    def places(run: Run, within: Place, value: Any) -> Spots:
        for found in place(run, value):
            yield (*within, *as_list(found)), at(run.scope, value, as_list(found))

    return located(places)
