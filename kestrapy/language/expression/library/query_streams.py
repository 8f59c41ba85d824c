"""The functions of jq that take queries: a query per argument → a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kestrapy.language.expression.calls import Unfit, as_list, as_map, as_number
from kestrapy.language.expression.library import query_matches, query_walks
from kestrapy.language.expression.library.query_functions import (
    add_all,
    from_entries,
    plain_text,
    rank,
    type_name,
)
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
from kestrapy.language.expression.library.query_steps import IDENTITY, constant
from kestrapy.language.expression.library.query_steps import item as item_of
from kestrapy.language.expression.operators import equal


def empty() -> Query:
    return Located(lambda run, value: iter(()), lambda run, place, value: iter(()))


def error(*message: Query) -> Query:
    def places(run: Run, place: Place, value: Any) -> Spots:
        told = first_of(message[0], run, value) if message else value
        raise Failed(f"query failed: {plain_text(run.scope, told)[:200]}", told)
        yield  # so that it fails when it is asked, not when it is called

    return located(places)


def select(condition: Query) -> Query:
    def places(run: Run, place: Place, value: Any) -> Spots:
        for held in condition(run, value):
            run.scope.step()
            if true(held):
                yield place, value

    return located(places)


def of_type(*names: str) -> Callable[[], Query]:
    return lambda: select(lambda run, value: iter((type_name(value) in names,)))


def map_(change: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        items = _items(value)
        run.scope.step(len(items))
        yield run.scope.weigh([it for item in items for it in change(run, item)])

    return query


def map_values(change: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        run.scope.step(len(value))
        if isinstance(value, Mapping):
            made = {key: list(change(run, item))[:1] for key, item in value.items()}
            yield run.scope.weigh({key: it[0] for key, it in made.items() if it})
        else:
            found = [list(change(run, item))[:1] for item in as_list(value)]
            yield run.scope.weigh([it[0] for it in found if it])

    return query


def with_entries(change: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        run.scope.step(len(value))
        entries = [{"key": key, "value": item} for key, item in as_map(value).items()]
        changed = [it for entry in entries for it in change(run, entry)]
        yield run.scope.weigh(from_entries(run.scope, changed))

    return query


def range_(*bounds: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        given = [as_number(first_of(it, run, value)) for it in bounds]
        current = 0 if len(given) == 1 else given[0]
        end, by = given[0 if len(given) == 1 else 1], given[2] if len(given) == 3 else 1
        if by == 0:
            raise Unfit("can't count by 0")
        while current < end if by > 0 else current > end:
            run.scope.step()
            yield current
            current += by

    return query


def first(source: Query) -> Query:
    return limit(lambda run, value: iter((1,)), source)


def last(source: Query) -> Query:
    def places(run: Run, place: Place, value: Any) -> Spots:
        yield from list(places_of(source, run, place, value))[-1:]

    return Located(lambda run, value: iter(list(source(run, value))[-1:]), places)


def limit(count: Query, source: Query) -> Query:
    def cut(results: Iterator[Any], run: Run, value: Any) -> Iterator[Any]:
        left = as_number(first_of(count, run, value))
        if left <= 0:
            return
        for item in results:
            yield item
            left -= 1
            if left <= 0:
                return

    return Located(
        lambda run, value: cut(source(run, value), run, value),
        lambda run, place, value: cut(places_of(source, run, place, value), run, value),
    )


def nth(number: Query, *source: Query) -> Query:
    """Of the input's items, or of what a query gives."""
    if not source:
        return item_of(IDENTITY, number)

    def query(run: Run, value: Any) -> Iterator[Any]:
        at = as_number(first_of(number, run, value))
        found = list(limit(lambda run, value: iter((at + 1,)), source[0])(run, value))
        yield from found[int(at) : int(at) + 1]

    return query


def item_at(index: int) -> Callable[[], Query]:
    return lambda: item_of(IDENTITY, constant(index))


def summed(source: Query) -> Query:
    return lambda run, value: iter((add_all(run.scope, list(source(run, value))),))


def is_empty(source: Query) -> Query:
    return lambda run, value: iter((not list(limit(constant(1), source)(run, value)),))


def within(*sources: Query) -> Query:
    """``IN(stream)``, ``IN(source; stream)``."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        known = list(sources[-1](run, value))
        wanted = sources[0](run, value) if len(sources) == 2 else iter((value,))
        for one in wanted:
            run.scope.step(1 + len(known))
            if any(equal(run.scope, one, it) for it in known):
                yield True
                return
        yield False

    return query


def indexed(*parts: Query) -> Query:
    """``INDEX(key)`` of the input's items, ``INDEX(stream; key)``: a map by key."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        made: dict[str, Any] = {}
        for one in parts[0](run, value) if len(parts) == 2 else as_list(value):
            run.scope.step()
            made[plain_text(run.scope, first_of(parts[-1], run, one))] = one
        yield run.scope.weigh(made)

    return query


def quantified(every: bool) -> Callable[..., Query]:
    """``all`` or ``any``: of the items themselves, of a condition on each, or on what a query
    gives.
    """

    def make(*parts: Query) -> Query:
        condition = parts[-1] if parts else IDENTITY

        def query(run: Run, value: Any) -> Iterator[Any]:
            source = parts[0](run, value) if len(parts) == 2 else iter(_items(value))
            for item in source:
                run.scope.step()
                if any(true(it) != every for it in condition(run, item)):
                    yield not every
                    return
            yield every

        return query

    return make


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else as_list(value)


def by(arrange: Callable[[Any, list[tuple[Any, Any]]], Any]) -> Callable[[Query], Query]:
    """A function that looks at items by what a query gives for each: pairs of key and item."""

    def make(key: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            items = as_list(value)
            run.scope.step(len(items))
            yield arrange(run.scope, [(list(key(run, item)), item) for item in items])

        return query

    return make


def _sorted(scope: Any, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    return sorted(pairs, key=lambda pair: rank(pair[0]))


def _groups(scope: Any, pairs: list[tuple[Any, Any]]) -> list[list[Any]]:
    groups: list[list[Any]] = []
    before: Any = None
    for key, item in _sorted(scope, pairs):
        if not groups or not equal(scope, key, before):
            groups.append([])
        groups[-1].append(item)
        before = key
    return groups


def _least(scope: Any, pairs: list[tuple[Any, Any]]) -> Any:
    return _sorted(scope, pairs)[0][1] if pairs else None


def _greatest(scope: Any, pairs: list[tuple[Any, Any]]) -> Any:
    return _sorted(scope, pairs)[-1][1] if pairs else None


STREAMS: dict[tuple[str, int], Callable[..., Query]] = {
    **query_matches.STREAMS,
    **query_walks.STREAMS,
    ("IN", 1): within,
    ("IN", 2): within,
    ("INDEX", 1): indexed,
    ("INDEX", 2): indexed,
    ("add", 1): summed,
    ("all", 0): quantified(True),
    ("all", 1): quantified(True),
    ("all", 2): quantified(True),
    ("any", 0): quantified(False),
    ("any", 1): quantified(False),
    ("any", 2): quantified(False),
    ("arrays", 0): of_type("array"),
    ("booleans", 0): of_type("boolean"),
    ("debug", 0): lambda: IDENTITY,
    ("debug", 1): lambda message: IDENTITY,
    ("empty", 0): empty,
    ("error", 0): error,
    ("error", 1): error,
    ("first", 0): item_at(0),
    ("first", 1): first,
    ("group_by", 1): by(_groups),
    ("isempty", 1): is_empty,
    ("iterables", 0): of_type("array", "object"),
    ("last", 0): item_at(-1),
    ("last", 1): last,
    ("limit", 2): limit,
    ("map", 1): map_,
    ("map_values", 1): map_values,
    ("max_by", 1): by(_greatest),
    ("min_by", 1): by(_least),
    ("nth", 1): nth,
    ("nth", 2): nth,
    ("nulls", 0): of_type("null"),
    ("numbers", 0): of_type("number"),
    ("objects", 0): of_type("object"),
    ("range", 1): range_,
    ("range", 2): range_,
    ("range", 3): range_,
    ("scalars", 0): of_type("null", "boolean", "number", "string"),
    ("select", 1): select,
    ("sort_by", 1): by(lambda scope, pairs: [item for _, item in _sorted(scope, pairs)]),
    ("strings", 0): of_type("string"),
    ("unique_by", 1): by(lambda scope, pairs: [group[0] for group in _groups(scope, pairs)]),
    ("values", 0): of_type("boolean", "number", "string", "array", "object"),
    ("with_entries", 1): with_entries,
}
"""By name and number of arguments."""
