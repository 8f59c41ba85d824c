"""All filters, functions and tests by name. A new one is a line in a module of ``library``."""

from __future__ import annotations

from collections.abc import Iterable

from kestrapy.language.expression.calls import Callee
from kestrapy.language.expression.library import (
    context,
    dates,
    documents,
    encodings,
    lists,
    methods,
    numbers,
    queries,
    text,
    worldly,
)


def _by_name(*groups: Iterable[Callee]) -> dict[str, Callee]:
    found: dict[str, Callee] = {}
    for group in groups:
        for callee in group:
            assert callee.name not in found, callee.name  # noqa: S101 - at import, of our own data
            found[callee.name] = callee
    return found


FILTERS = _by_name(
    dates.FILTERS,
    documents.FILTERS,
    encodings.FILTERS,
    lists.FILTERS,
    numbers.FILTERS,
    queries.FILTERS,
    text.FILTERS,
)
FUNCTIONS = _by_name(context.FUNCTIONS, documents.FUNCTIONS, numbers.FUNCTIONS, worldly.FUNCTIONS)
TESTS = _by_name(context.TESTS, documents.TESTS, lists.TESTS, numbers.TESTS)
METHODS = _by_name(methods.METHODS)
