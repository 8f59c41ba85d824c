"""The functions of jq that take queries: a query per argument → a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kestrapy.language.expression.calls import Unfit, as_list, as_map, as_number, as_text
from kestrapy.language.expression.library.patterns import pattern_for
from kestrapy.language.expression.library.query_functions import (
    from_entries,
    plain_text,
    rank,
    type_name,
)
from kestrapy.language.expression.operators import equal

Query = Callable[[Any, Any], Iterator[Any]]
"""Called with a ``queries.Run`` and an input."""


def _true(value: Any) -> bool:
    return value is not None and value is not False


def _first(query: Query, run: Any, value: Any) -> Any:
    return next(query(run, value), None)


def empty() -> Query:
    return lambda run, value: iter(())


def error(*message: Query) -> Query:
    def query(run: Any, value: Any) -> Iterator[Any]:
        shown = _first(message[0], run, value) if message else value
        raise Unfit(f"query failed: {plain_text(run.scope, shown)[:200]}")

    return query


def select(condition: Query) -> Query:
    def query(run: Any, value: Any) -> Iterator[Any]:
        for held in condition(run, value):
            run.scope.step()
            if _true(held):
                yield value

    return query


def of_type(*names: str) -> Callable[[], Query]:
    return lambda: select(lambda run, value: iter((type_name(value) in names,)))


def map_(change: Query) -> Query:
    def query(run: Any, value: Any) -> Iterator[Any]:
        items = list(value.values()) if isinstance(value, Mapping) else as_list(value)
        run.scope.step(len(items))
        yield run.scope.weigh([it for item in items for it in change(run, item)])

    return query


def map_values(change: Query) -> Query:
    def query(run: Any, value: Any) -> Iterator[Any]:
        run.scope.step(len(value))
        if isinstance(value, Mapping):
            made = {key: list(change(run, item))[:1] for key, item in value.items()}
            yield run.scope.weigh({key: it[0] for key, it in made.items() if it})
        else:
            found = [list(change(run, item))[:1] for item in as_list(value)]
            yield run.scope.weigh([it[0] for it in found if it])

    return query


def with_entries(change: Query) -> Query:
    def query(run: Any, value: Any) -> Iterator[Any]:
        run.scope.step(len(value))
        entries = [{"key": key, "value": item} for key, item in as_map(value).items()]
        changed = [it for entry in entries for it in change(run, entry)]
        yield run.scope.weigh(from_entries(run.scope, changed))

    return query


def recurse() -> Query:
    """The value and all within it, outside first."""

    def query(run: Any, value: Any) -> Iterator[Any]:
        todo = [value]
        while todo:
            run.scope.step()
            item = todo.pop()
            yield item
            if isinstance(item, Mapping | list):
                inner = list(item.values()) if isinstance(item, Mapping) else item
                run.scope.step(len(inner))
                todo += inner[::-1]

    return query


def range_(*bounds: Query) -> Query:
    def query(run: Any, value: Any) -> Iterator[Any]:
        given = [as_number(_first(it, run, value)) for it in bounds]
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
    def query(run: Any, value: Any) -> Iterator[Any]:
        for item in source(run, value):
            yield item
            return

    return query


def last(source: Query) -> Query:
    def query(run: Any, value: Any) -> Iterator[Any]:
        found = list(source(run, value))[-1:]
        yield from found

    return query


def limit(count: Query, source: Query) -> Query:
    def query(run: Any, value: Any) -> Iterator[Any]:
        left = as_number(_first(count, run, value))
        if left <= 0:
            return
        for item in source(run, value):
            yield item
            left -= 1
            if left <= 0:
                return

    return query


def item_at(index: int) -> Callable[[], Query]:
    def make() -> Query:
        return lambda run, value: iter(as_list(value)[index:][:1] or (None,))

    return make


def quantified(every: bool) -> Callable[..., Query]:
    """``all`` or ``any``, of the items themselves or of a condition on each."""

    def make(*condition: Query) -> Query:
        def query(run: Any, value: Any) -> Iterator[Any]:
            items = list(value.values()) if isinstance(value, Mapping) else as_list(value)
            run.scope.step(len(items))
            held = (_true(_first(condition[0], run, it) if condition else it) for it in items)
            yield all(held) if every else any(held)

        return query

    return make


def by(arrange: Callable[[Any, list[tuple[Any, Any]]], Any]) -> Callable[[Query], Query]:
    """A function that looks at items by what a query gives for each: pairs of key and item."""

    def make(key: Query) -> Query:
        def query(run: Any, value: Any) -> Iterator[Any]:
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


def substituted(count: int) -> Callable[[Query, Query], Query]:
    """``sub`` and ``gsub``. count: how many places change; 0 for all."""

    def make(pattern: Query, replacement: Query) -> Query:
        def query(run: Any, value: Any) -> Iterator[Any]:
            text, parts, position = as_text(value), [], 0
            wanted = pattern_for(run.scope, as_text(_first(pattern, run, value)), text)
            for index, found in enumerate(wanted.finditer(text)):
                run.scope.step()
                if count and index == count:
                    break
                filled = as_text(_first(replacement, run, dict(found.groupdict())))
                parts += [text[position : found.start()], run.scope.grow(filled)]
                position = found.end()
            yield run.scope.grow("".join([*parts, text[position:]]))

        return query

    return make


STREAMS: dict[tuple[str, int], Callable[..., Query]] = {
    ("all", 0): quantified(True),
    ("all", 1): quantified(True),
    ("any", 0): quantified(False),
    ("any", 1): quantified(False),
    ("arrays", 0): of_type("array"),
    ("booleans", 0): of_type("boolean"),
    ("empty", 0): empty,
    ("error", 0): error,
    ("error", 1): error,
    ("first", 0): item_at(0),
    ("first", 1): first,
    ("group_by", 1): by(_groups),
    ("gsub", 2): substituted(0),
    ("iterables", 0): of_type("array", "object"),
    ("last", 0): item_at(-1),
    ("last", 1): last,
    ("limit", 2): limit,
    ("map", 1): map_,
    ("map_values", 1): map_values,
    ("max_by", 1): by(_greatest),
    ("min_by", 1): by(_least),
    ("nulls", 0): of_type("null"),
    ("numbers", 0): of_type("number"),
    ("objects", 0): of_type("object"),
    ("range", 1): range_,
    ("range", 2): range_,
    ("range", 3): range_,
    ("recurse", 0): recurse,
    ("scalars", 0): of_type("null", "boolean", "number", "string"),
    ("select", 1): select,
    ("sort_by", 1): by(lambda scope, pairs: [item for _, item in _sorted(scope, pairs)]),
    ("strings", 0): of_type("string"),
    ("sub", 2): substituted(1),
    ("unique_by", 1): by(lambda scope, pairs: [group[0] for group in _groups(scope, pairs)]),
    ("values", 0): of_type("boolean", "number", "string", "array", "object"),
    ("with_entries", 1): with_entries,
}
"""By name and number of arguments."""
