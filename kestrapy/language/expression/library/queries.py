"""The filter ``jq``: a query is compiled once to closures, each of which counts its steps.

The libraries for jq run a query to its end, however long that takes, and let it read the
environment; a fold can have neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any

import msgspec
from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from kestrapy.language.expression.calls import Unfit, as_number, as_text, filters
from kestrapy.language.expression.library import query_functions, query_steps
from kestrapy.language.expression.library.query_grammar import INTERPOLATION, QUERY_GRAMMAR
from kestrapy.language.expression.library.query_names import defined, named_call
from kestrapy.language.expression.library.query_runs import Query, Run
from kestrapy.language.expression.library.query_steps import Names, constant
from kestrapy.language.expression.library.query_streams import STREAMS
from kestrapy.language.expression.operators import equal, fits
from kestrapy.language.expression.scope import Scope

QUERY_LIMIT = 2_000
"""Characters of a query."""
_INTERPOLATION = re.compile(INTERPOLATION, re.DOTALL)
_CONSTANTS = {"null": None, "true": True, "false": False}

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
    "//": lambda scope, left, right: left if query_functions.true(left) else right,
}


@v_args(inline=True)
class _Builder(Transformer[Token, Query]):
    """A method per alias of the grammar: its children → a closure.

    own: whether the query defines functions, so that any name may be one of them.
    """

    def __init__(self, own: bool):
        super().__init__()
        self._own = own

    def identity(self) -> Query:
        return query_steps.IDENTITY

    def everything(self) -> Query:
        return STREAMS["recurse", 0]()

    def pipe(self, left: Query, right: Query) -> Query:
        return query_steps.pipe(left, right)

    def bound(self, source: Query, word: Token, names: Names, body: Query) -> Query:
        return query_steps.bound(source, names, body)

    def defined(self, word: Token, name: Token, names: Any, body: Query, rest: Query) -> Query:
        return defined(str(name), names or (), body, rest)

    def parameters(self, *names: Token) -> tuple[str, ...]:
        return tuple(map(str, names))

    def both(self, left: Query, right: Query) -> Query:
        return query_steps.both(left, right)

    def alternative(self, left: Query, right: Query) -> Query:
        return query_steps.alternative(left, right)

    def assigned(self, target: Query, symbol: Token, new: Query) -> Query:
        if symbol == "|=":
            return query_steps.updated(target, new)
        change = (lambda scope, _, it: it) if symbol == "=" else _BINARY[symbol[:-1]]
        return query_steps.assigned(target, new, change)

    def logical(self, left: Query, word: Token, right: Query) -> Query:
        return query_steps.logical(left, word == "or", right)

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

    def guarded(self, word: Token, body: Query, *caught: Any) -> Query:
        return query_steps.guarded(body, caught[-1] if caught else None)

    def silent(self, body: Query) -> Query:
        return query_steps.guarded(body, None)

    def field(self, name: Token) -> Query:
        return query_steps.field(query_steps.IDENTITY, name[1:])

    def quoted(self, name: Token) -> Query:
        return query_steps.field(query_steps.IDENTITY, _unquoted(name))

    def field_of(self, target: Query, name: Token) -> Query:
        return query_steps.field(target, name[1:])

    def quoted_of(self, target: Query, name: Token) -> Query:
        return query_steps.field(target, _unquoted(name))

    def items_of(self, target: Query) -> Query:
        return query_steps.items(target)

    def item_of(self, target: Query, key: Query) -> Query:
        return query_steps.item(target, key)

    def slice_of(self, target: Query, start: Query | None, end: Query | None) -> Query:
        return query_steps.part(target, start, end)

    def number(self, token: Token) -> Query:
        return constant(msgspec.json.decode(str(token)))

    def text(self, token: Token) -> Query:
        return self._interpolated(token, query_functions.plain_text)

    def encoded(self, name: Token) -> Query:
        form = _format(name)
        return lambda run, value: iter((run.scope.grow(form(run.scope, value)),))

    def encoded_text(self, name: Token, token: Token) -> Query:
        return self._interpolated(token, _format(name))

    def _interpolated(self, token: str, form: Callable[[Scope, Any], str]) -> Query:
        parts: list[str | Query] = []
        position = 1
        for found in _INTERPOLATION.finditer(token, 1, len(token) - 1):
            parts += [
                _unquoted(f'"{token[position : found.start()]}"'),
                _parse(found[1], self._own),
            ]
            position = found.end()
        rest = _unquoted(f'"{token[position:-1]}"')
        return query_steps.joined([*parts, rest], form) if parts else constant(rest)

    def variable(self, name: Token) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            if name not in run.bound:
                raise Unfit(f"knows no variable `{name}`")
            yield run.bound[name]

        return query

    def call(self, name: Token, *arguments: Query) -> Query:
        key = (str(name), len(arguments))
        known: Query | None = None
        if key in STREAMS:
            known = STREAMS[key](*arguments)
        elif key in query_functions.FUNCTIONS:
            known = query_steps.called(query_functions.FUNCTIONS[key], arguments)
        elif not arguments and name in _CONSTANTS:
            known = constant(_CONSTANTS[name])
        if self._own:
            return named_call(key, arguments, known)
        if known is None:
            raise Unfit(f"knows no function `{name}` of {len(arguments)} arguments")
        return known

    def array(self, body: Query | None) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            run.scope.step()
            yield run.scope.weigh([] if body is None else list(body(run, value)))

        return query

    def named_entry(self, name: Token, value: Query | None) -> tuple[Query, Query]:
        return constant(str(name)), value or query_steps.field(query_steps.IDENTITY, str(name))

    def text_entry(self, name: Token, value: Query | None) -> tuple[Query, Query]:
        key = self.text(name)
        return key, value or query_steps.item(query_steps.IDENTITY, key)

    def variable_entry(self, name: Token) -> tuple[Query, Query]:
        return constant(name[1:]), self.variable(name)

    def computed_entry(self, key: Query, value: Query) -> tuple[Query, Query]:
        return key, value

    def object(self, *entries: tuple[Query, Query] | None) -> Query:
        return query_steps.made([entry for entry in entries if entry is not None])

    def choice(self, *parts: Any) -> Query:
        queries = [it for it in parts if callable(it) and not isinstance(it, Token)]
        otherwise = queries.pop() if len(queries) % 2 else query_steps.IDENTITY
        return query_steps.choice(list(zip(queries[::2], queries[1::2], strict=True)), otherwise)

    def reduced(self, word: Token, source: Query, as_: Token, names: Names, *two: Query) -> Query:
        start, update = two
        return query_steps.reduced(source, names, start, update)

    def each(self, word: Token, source: Query, as_: Token, names: Names, *rest: Any) -> Query:
        start, update, extract = rest
        return query_steps.each(source, names, start, update, extract)

    def one_name(self, name: Token) -> Names:
        return lambda run, value: iter(({str(name): value},))

    def list_of_names(self, *parts: Names) -> Names:
        return query_steps.all_names([(constant(at), part) for at, part in enumerate(parts)])

    def map_of_names(self, *parts: tuple[Query, Names]) -> Names:
        return query_steps.all_names(list(parts))

    def own_name(self, name: Token) -> tuple[Query, Names]:
        return constant(name[1:]), self.one_name(name)

    def under_name(self, name: Token, names: Names) -> tuple[Query, Names]:
        return constant(str(name)), names

    def under_text(self, name: Token, names: Names) -> tuple[Query, Names]:
        return self.text(name), names

    def under_key(self, key: Query, names: Names) -> tuple[Query, Names]:
        return key, names


def _format(name: str) -> Callable[[Scope, Any], str]:
    if name not in query_functions.FORMATS:
        raise Unfit(f"knows no format `{name}`")
    return query_functions.FORMATS[name]


def _unquoted(token: str) -> str:
    try:
        text: str = msgspec.json.decode(str(token))
    except msgspec.DecodeError:
        raise Unfit(f"can't read the string {token[:80]}") from None
    return text


@cache
def _parser(own: bool) -> Lark:
    """Made when the first query comes: that takes a while."""
    return Lark(
        QUERY_GRAMMAR,
        parser="lalr",
        lexer="contextual",
        transformer=_Builder(own),
        maybe_placeholders=True,
    )


def _parse(text: str, own: bool) -> Query:
    try:
        found: Any = _parser(own).parse(text)
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
    return _parse(text, re.search(r"\bdef\b", text) is not None)


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
