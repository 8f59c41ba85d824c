"""The functions of jq that look for patterns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kestrapy.language.expression.calls import Unfit, as_text
from kestrapy.language.expression.library.patterns import pattern_for
from kestrapy.language.expression.library.query_runs import Query, Run, first_of

_FLAGS = {"i": "i", "s": "s"}
"""Of jq, those that RE2 has too; ``g`` and ``n`` say what is done with what is found."""


def _found(run: Run, value: Any, given: tuple[Query, ...], every: bool) -> Iterator[Any]:
    """What a pattern fits. given: the pattern, or a list of it and its flags, and flags."""
    text = as_text(value)
    pattern = first_of(given[0], run, value)
    flags = first_of(given[1], run, value) if len(given) > 1 else None
    if isinstance(pattern, list):
        pattern, flags = pattern[0], pattern[1] if len(pattern) > 1 else None
    wanted = "" if flags is None else as_text(flags)
    if odd := wanted.strip("gnis"):
        raise Unfit(f"knows the flags g, i, n and s, not `{odd[:20]}`")
    own = "".join(_FLAGS[it] for it in wanted if it in _FLAGS)
    source = (f"(?{own})" if own else "") + as_text(pattern)
    for hit in pattern_for(run.scope, source, text).finditer(text):
        run.scope.step()
        if hit.group() or "n" not in wanted:
            yield hit
        if not every and "g" not in wanted:
            return


def _match(hit: Any) -> dict[str, Any]:
    names = {number: name for name, number in hit.re.groupindex.items()}
    return {
        "offset": hit.start(),
        "length": len(hit.group()),
        "string": hit.group(),
        "captures": [
            {
                "offset": hit.start(number),
                "length": len(text or ""),
                "string": text,
                "name": names.get(number),
            }
            for number, text in enumerate(hit.groups(), 1)
        ],
    }


def _told(shape: Callable[[Any], Any], every: bool = False) -> Callable[..., Query]:
    def make(*given: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            for hit in _found(run, value, given, every):
                run.scope.step(4)
                yield run.scope.weigh(shape(hit))

        return query

    return make


def _scanned(hit: Any) -> Any:
    return list(hit.groups()) or hit.group()


def test(*given: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        yield next(_found(run, value, given, False), None) is not None

    return query


def split(pattern: Query, flags: Query) -> Query:
    return lambda run, value: iter((list(splits(pattern, flags)(run, value)),))


def splits(*given: Query) -> Query:
    def query(run: Run, value: Any) -> Iterator[Any]:
        position = 0
        for hit in _found(run, value, given, True):
            yield run.scope.grow(value[position : hit.start()])
            position = hit.end()
        yield run.scope.grow(as_text(value)[position:])

    return query


def substituted(every: bool) -> Callable[..., Query]:
    """``sub`` and ``gsub``: the replacement is given the named groups."""

    def make(pattern: Query, replacement: Query, *flags: Query) -> Query:
        def query(run: Run, value: Any) -> Iterator[Any]:
            text, parts, position = as_text(value), [], 0
            for hit in _found(run, value, (pattern, *flags), every):
                filled = as_text(first_of(replacement, run, dict(hit.groupdict())))
                parts += [text[position : hit.start()], run.scope.grow(filled)]
                position = hit.end()
            yield run.scope.grow("".join([*parts, text[position:]]))

        return query

    return make


STREAMS: dict[tuple[str, int], Callable[..., Query]] = {
    ("capture", 1): _told(lambda hit: dict(hit.groupdict())),
    ("capture", 2): _told(lambda hit: dict(hit.groupdict())),
    ("gsub", 2): substituted(True),
    ("gsub", 3): substituted(True),
    ("match", 1): _told(_match),
    ("match", 2): _told(_match),
    ("scan", 1): _told(_scanned, every=True),
    ("scan", 2): _told(_scanned, every=True),
    ("split", 2): split,
    ("splits", 1): splits,
    ("splits", 2): splits,
    ("sub", 2): substituted(False),
    ("sub", 3): substituted(False),
    ("test", 1): test,
    ("test", 2): test,
}
"""By name and number of arguments."""
