"""The functions of jq that go through a value, or on and on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kestrapy.language.expression.calls import as_list, as_number
from kestrapy.language.expression.library import query_paths
from kestrapy.language.expression.library.query_runs import (
    Located,
    Place,
    Query,
    Run,
    Spots,
    located,
    places_of,
    true,
)
from kestrapy.language.expression.library.query_steps import (
    IDENTITY,
    called,
    deleted,
    items,
    place_of,
    read_at,
)
from kestrapy.language.expression.scope import LEVEL_LIMIT


def recurse(*parts: Query) -> Query:
    """The value and what a query gives of it, of that, and so on; outside first, and only what a
    condition holds for.
    """
    inner = parts[0] if parts else _ITEMS

    def held(run: Run, value: Any) -> bool:
        return len(parts) < 2 or any(true(it) for it in parts[1](run, value))

    def query(run: Run, value: Any) -> Iterator[Any]:
        return _followed(run, value, lambda it: inner(run, it), lambda it: held(run, it))

    def places(run: Run, place: Place, value: Any) -> Spots:
        spot = (place, value)
        return _followed(
            run, spot, lambda it: places_of(inner, run, *it), lambda it: held(run, it[1])
        )

    return Located(query, places)


def _followed(
    run: Run, first: Any, following: Callable[[Any], Iterator[Any]], held: Callable[[Any], bool]
) -> Iterator[Any]:
    todo = [iter((first,))]
    while todo:
        run.scope.step()
        item = next(todo[-1], _END)
        if item is _END:
            todo.pop()
        elif held(item):
            yield item
            todo.append(following(item))


def _items_of_any(run: Run, place: Place, value: Any) -> Spots:
    return _EVERY.places(run, place, value) if isinstance(value, Mapping | list) else iter(())


_EVERY = items(IDENTITY)
_ITEMS = located(_items_of_any)


def paths(*condition: Query) -> Query:
    """The places of all that is in a value, itself left out."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        for place, inner in places_of(recurse(), run, (), value):
            held = condition[0](run, inner) if condition else iter((True,))
            for _ in filter(true, held if place else ()):
                run.scope.step(len(place))
                yield list(place)

    return query


def leaf_paths() -> Query:
    return paths(lambda run, value: iter((not isinstance(value, Mapping | list),)))


def walk(change: Query) -> Query:
    """Every value in a value changed, the innermost first."""

    def changed(run: Run, value: Any, levels: int) -> Iterator[Any]:
        run.scope.step()
        if levels == 0:
            raise run.scope.error(f"a list or map of more than {LEVEL_LIMIT} levels,")
        if isinstance(value, Mapping):
            made = {key: list(changed(run, it, levels - 1))[:1] for key, it in value.items()}
            value = {key: found[0] for key, found in made.items() if found}
        elif isinstance(value, list):
            value = [it for item in value for it in changed(run, item, levels - 1)]
        yield from change(run, value)

    def query(run: Run, value: Any) -> Iterator[Any]:
        for result in changed(run, value, LEVEL_LIMIT):
            yield run.scope.weigh(result)

    return query


def repeated(condition: Query | None, update: Query, until: bool) -> Query:
    """``while``, ``until`` and ``repeat``. until: only what it ends with."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        todo = [iter((value,))]
        while todo:
            run.scope.step()
            item = next(todo[-1], _END)
            if item is _END:
                todo.pop()
                continue
            held = condition is None or any(true(it) for it in condition(run, item))
            if held == until:
                if until:
                    yield item
                continue
            if not until:
                yield item
            run.scope.step(len(todo) // 16)
            todo.append(update(run, item))

    return query


_END = object()


def combinations(*count: Query) -> Query:
    """Each list with an item of every list of the input, or so many of the input's items."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        rows = [as_list(it) for it in as_list(value)] if not count else []
        for number in count[0](run, value) if count else ():
            run.scope.step(int(as_number(number)))
            rows = [as_list(value)] * int(as_number(number))
        yield from _combined(run, rows)

    return query


def _combined(run: Run, rows: list[list[Any]]) -> Iterator[list[Any]]:
    at = [0] * len(rows)
    while all(rows):
        run.scope.step(1 + len(rows))
        yield run.scope.weigh([row[index] for row, index in zip(rows, at, strict=True)])
        for place in reversed(range(len(rows))):
            at[place] += 1
            if at[place] < len(rows[place]):
                break
            at[place] = 0
        else:
            return


def _of_values(change: Callable[..., Any]) -> Callable[..., Query]:
    return lambda *arguments: called(change, arguments)


STREAMS: dict[tuple[str, int], Callable[..., Query]] = {
    ("combinations", 0): combinations,
    ("combinations", 1): combinations,
    ("del", 1): deleted,
    ("delpaths", 1): _of_values(
        lambda scope, value, places: query_paths.without(scope, value, as_list(places))
    ),
    ("getpath", 1): read_at,
    ("leaf_paths", 0): leaf_paths,
    ("path", 1): place_of,
    ("paths", 0): paths,
    ("paths", 1): paths,
    ("recurse", 0): recurse,
    ("recurse", 1): recurse,
    ("recurse", 2): recurse,
    ("repeat", 1): lambda update: repeated(None, update, until=False),
    ("setpath", 2): _of_values(query_paths.with_one),
    ("until", 2): lambda condition, update: repeated(condition, update, until=True),
    ("walk", 1): walk,
    ("while", 2): lambda condition, update: repeated(condition, update, until=False),
}
"""By name and number of arguments."""
