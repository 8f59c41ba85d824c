"""The filter ``jq``: a query is compiled once to closures, each of which counts its steps.

The libraries for jq run a query to its end, however long that takes, and let it read the
environment; a fold can have neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec
from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from kestrapy.errors import ExpressionError
from kestrapy.language.expression.calls import Unfit, as_list, as_number, as_text, filters
from kestrapy.language.expression.library import query_functions
from kestrapy.language.expression.library.query_grammar import QUERY_GRAMMAR
from kestrapy.language.expression.library.query_streams import STREAMS
from kestrapy.language.expression.operators import equal, fits
from kestrapy.language.expression.scope import Scope

QUERY_LIMIT = 2_000
"""Characters of a query."""
_INTERPOLATION = re.compile(r"\\\(([^()]*(?:\([^()]*\)[^()]*)*)\)")


class Run(NamedTuple):
    """What a query is run with. bound: the values of its ``$names``."""

    scope: Scope
    bound: Mapping[str, Any]


Query = Callable[[Run, Any], Iterator[Any]]
"""An input → its results, in order."""

_BINARY: dict[str, Callable[[Scope, Any, Any], Any]] = {
    "+": query_functions.add,
    "-": query_functions.subtract,
    "*": query_functions.multiply,
    "/": query_functions.divide,
    "%": query_functions.remainder,
    "==": equal,
    "!=": lambda scope, left, right: not equal(scope, left, right),
    "<": lambda scope, left, right: query_functions.rank(left) < query_functions.rank(right),
    "<=": lambda scope, left, right: query_functions.rank(left) <= query_functions.rank(right),
    ">": lambda scope, left, right: query_functions.rank(left) > query_functions.rank(right),
    ">=": lambda scope, left, right: query_functions.rank(left) >= query_functions.rank(right),
}


def _true(value: Any) -> bool:
    return value is not None and value is not False


def _item(value: Any, key: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return value.get(as_text(key))
    items, index = as_list(value), int(as_number(key))
    return items[index] if -len(items) <= index < len(items) else None


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else as_list(value)


@v_args(inline=True)
class _Builder(Transformer[Token, Query]):
    """A method per alias of the grammar: its children → a closure."""

    def identity(self) -> Query:
        return lambda run, value: iter((value,))

    def everything(self) -> Query:
        return STREAMS["recurse", 0]()

    def pipe(self, left: Query, right: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            for between in left(run, value):
                run.scope.step()
                yield from right(run, between)

        return query

    def bound(self, source: Query, word: Token, name: Token, body: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            for item in source(run, value):
                run.scope.step(len(run.bound) + 1)
                yield from body(Run(run.scope, {**run.bound, name: item}), value)

        return query

    def both(self, left: Query, right: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            run.scope.step()
            yield from left(run, value)
            yield from right(run, value)

        return query

    def alternative(self, left: Query, right: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            run.scope.step()
            good = False
            for item in _silent(left, run, value):
                if _true(item):
                    good = True
                    yield item
            if not good:
                yield from right(run, value)

        return query

    def logical(self, left: Query, word: Token, right: Query) -> Query:
        until = word == "or"

        def query(run: Run, value: Any) -> Iterator[Any]:
            for first in left(run, value):
                run.scope.step()
                if _true(first) == until:
                    yield until
                else:
                    yield from (_true(second) for second in right(run, value))

        return query

    def binary(self, left: Query, symbol: Token, right: Query) -> Query:
        operation = _BINARY[symbol]

        def query(run: Run, value: Any) -> Iterator[Any]:
            for second in right(run, value):
                for first in left(run, value):
                    run.scope.step()
                    yield operation(run.scope, first, second)

        return query

    def negative(self, operand: Query) -> Query:
        return lambda run, value: (fits(run.scope, -as_number(it)) for it in operand(run, value))

    def guarded(self, body: Query, *otherwise: Any) -> Query:
        return self.silent(body)

    def silent(self, body: Query) -> Query:
        return lambda run, value: _silent(body, run, value)

    def field(self, name: Token) -> Query:
        return self._of(self.identity(), name[1:])

    def quoted(self, name: Token) -> Query:
        return self._of(self.identity(), _unquoted(name))

    def field_of(self, target: Query, name: Token) -> Query:
        return self._of(target, name[1:])

    def quoted_of(self, target: Query, name: Token) -> Query:
        return self._of(target, _unquoted(name))

    def _of(self, target: Query, name: str) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            for item in target(run, value):
                run.scope.step()
                yield _item(item, name)

        return query

    def items_of(self, target: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            for item in target(run, value):
                for inner in _items(item):
                    run.scope.step()
                    yield inner

        return query

    def item_of(self, target: Query, key: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            for item in target(run, value):
                for index in key(run, value):
                    run.scope.step()
                    yield _item(item, index)

        return query

    def slice_of(self, target: Query, start: Query | None, end: Query | None) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            for item in target(run, value):
                first = next(start(run, value), None) if start else None
                last = next(end(run, value), None) if end else None
                yield None if item is None else _counted(run, item[_index(first) : _index(last)])

        return query

    def number(self, token: Token) -> Query:
        return _constant(msgspec.json.decode(str(token)))

    def text(self, token: Token) -> Query:
        return _interpolated(token)

    def encoded(self, name: Token) -> Query:
        if name not in query_functions.FORMATS:
            raise Unfit(f"knows no format `{name}`")
        form = query_functions.FORMATS[name]
        return lambda run, value: iter((run.scope.grow(form(run.scope, value)),))

    def variable(self, name: Token) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            if name not in run.bound:
                raise Unfit(f"knows no variable `{name}`")
            yield run.bound[name]

        return query

    def call(self, name: Token, *arguments: Query) -> Query:
        constants = {"null": None, "true": True, "false": False}
        if name in constants and not arguments:
            return _constant(constants[name])
        key = (str(name), len(arguments))
        if key in STREAMS:
            return STREAMS[key](*arguments)
        if key not in query_functions.FUNCTIONS:
            raise Unfit(f"knows no function `{name}` of {len(arguments)} arguments")
        return _call(query_functions.FUNCTIONS[key], arguments)

    def array(self, body: Query | None) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            run.scope.step()
            yield run.scope.weigh([] if body is None else list(body(run, value)))

        return query

    def named_entry(self, name: Token, value: Query | None) -> tuple[Query, Query]:
        return _constant(str(name)), value or self._of(self.identity(), str(name))

    def text_entry(self, name: Token, value: Query | None) -> tuple[Query, Query]:
        return self.text(name), value or self._of(self.identity(), _unquoted(name))

    def variable_entry(self, name: Token) -> tuple[Query, Query]:
        return _constant(name[1:]), self.variable(name)

    def computed_entry(self, key: Query, value: Query) -> tuple[Query, Query]:
        return key, value

    def object(self, *entries: tuple[Query, Query] | None) -> Query:
        pairs = [entry for entry in entries if entry is not None]

        def query(run: Run, value: Any) -> Iterator[Any]:
            made: list[dict[str, Any]] = [{}]
            for key, item in pairs:
                made = [
                    {**one, as_text(name): inner}
                    for one in made
                    for name in key(run, value)
                    for inner in item(run, value)
                ]
                run.scope.step(len(made) * len(pairs))
            for one in made:
                yield run.scope.weigh(one)

        return query

    def choice(self, *parts: Any) -> Query:
        queries = [it for it in parts if callable(it) and not isinstance(it, Token)]
        otherwise = queries.pop() if len(queries) % 2 else self.identity()
        branches = list(zip(queries[::2], queries[1::2], strict=True))

        def query(run: Run, value: Any, at: int = 0) -> Iterator[Any]:
            if at == len(branches):
                yield from otherwise(run, value)
                return
            condition, then = branches[at]
            for held in condition(run, value):
                run.scope.step()
                yield from then(run, value) if _true(held) else query(run, value, at + 1)

        return query

    def reduced(self, word: Token, source: Query, as_: Token, name: Token, *two: Query) -> Query:
        start, update = two

        def query(run: Run, value: Any) -> Iterator[Any]:
            for total in start(run, value):
                for item in source(run, value):
                    run.scope.step(len(run.bound) + 1)
                    inner = Run(run.scope, {**run.bound, name: item})
                    total = _last(update(inner, total))
                yield total

        return query


def _last(results: Iterator[Any]) -> Any:
    last = None
    for last in results:  # noqa: B007 - it is what is wanted
        pass
    return last


def _silent(body: Query, run: Run, value: Any) -> Iterator[Any]:
    """What comes until there is an error. A spent budget is none that can be passed over."""
    try:
        yield from body(run, value)
    except ExpressionError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return


def _constant(value: Any) -> Query:
    return lambda run, _: iter((value,))


def _call(function: Callable[..., Any], arguments: tuple[Query, ...]) -> Query:
    """With every combination of the arguments' results."""

    def query(run: Run, value: Any) -> Iterator[Any]:
        for values in _combined(run, value, arguments):
            size = len(value) if isinstance(value, str | list | Mapping) else 1
            run.scope.step(1 + size // 16)
            yield _counted(run, function(run.scope, value, *values))

    return query


def _counted(run: Run, value: Any) -> Any:
    """A value that was made just now."""
    run.scope.step()
    return run.scope.grow(value) if isinstance(value, str) else run.scope.weigh(value)


def _combined(run: Run, value: Any, queries: tuple[Query, ...]) -> Iterator[tuple[Any, ...]]:
    if not queries:
        yield ()
        return
    for rest in _combined(run, value, queries[1:]):
        for first in queries[0](run, value):
            yield (first, *rest)


def _index(value: Any) -> int | None:
    return None if value is None else int(as_number(value))


def _unquoted(token: str) -> str:
    try:
        text: str = msgspec.json.decode(str(token))
    except msgspec.DecodeError:
        raise Unfit(f"can't read the string {token[:80]}") from None
    return text


def _interpolated(token: str) -> Query:
    parts: list[Query] = []
    position = 1
    for found in _INTERPOLATION.finditer(token, 1, len(token) - 1):
        parts.append(_constant(_unquoted(f'"{token[position : found.start()]}"')))
        parts.append(_parse(found[1]))
        position = found.end()
    rest = _unquoted(f'"{token[position:-1]}"')
    if not parts:
        return _constant(rest)
    queries = (*parts, _constant(rest))

    def query(run: Run, value: Any) -> Iterator[Any]:
        for values in _combined(run, value, queries):
            run.scope.step()
            texts = [query_functions.plain_text(run.scope, it) for it in values]
            run.scope.room(sum(map(len, texts)))
            yield run.scope.grow("".join(texts))

    return query


@cache
def _parser() -> Lark:
    """Made when the first query comes: that takes a while."""
    return Lark(
        QUERY_GRAMMAR,
        parser="lalr",
        lexer="contextual",
        transformer=_Builder(),
        maybe_placeholders=True,
    )


def _parse(text: str) -> Query:
    try:
        found: Any = _parser().parse(text)
    except UnexpectedInput as error:
        at_end = getattr(getattr(error, "token", None), "type", "") == "$END"
        near = "at its end" if at_end else f"near `{text[error.pos_in_stream or 0 :][:20]}`"
        raise Unfit(f"can't read the query `{text[:80]}` {near}") from None
    except VisitError as error:
        raise error.orig_exc from None
    query: Query = found
    return query


@lru_cache(maxsize=512)
def _compiled(text: str) -> Query:
    return _parse(text)


def jq(scope: Scope, value: Any, expression: Any) -> Any:
    """The list of a query's results. A string is read as JSON first."""
    if value is None:
        return None
    query = as_text(expression)
    if len(query) > QUERY_LIMIT:
        raise Unfit(f"needs a query of at most {QUERY_LIMIT:,} characters")
    data = query_functions.from_json(scope, value) if isinstance(value, str) else value
    return list(_compiled(query)(Run(scope, {}), data))


FILTERS = tuple(filters({"jq": jq}))
