"""Text of a template → its pieces: plain text, and the insides of ``{{ }}``. Comments fall away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kestrapy.errors import ExpressionError
from kestrapy.language.expression.scope import quote

_OPEN = re.compile(r"\{\{|\{%|\{#")
_TAG = re.compile(r"\{%-?\s*(\w*)")
_TRIM = re.compile(r"-(?=\s)")
_STOP = re.compile(r"""(?s)"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[][(){}"']""")
"""What matters on the way to an expression's end: strings are skipped, brackets counted."""

_PAIRS = ("()", "[]", "{}")


@dataclass(slots=True)
class Piece:
    """A piece of a template. text: plain, or what stands between the braces.

    start, end: where an expression stands, braces included; inside: where its text begins. Offsets
    from 0.
    """

    text: str
    is_expression: bool = False
    start: int = 0
    end: int = 0
    inside: int = 0


def scan(text: str) -> Iterator[Piece]:
    """The pieces in order. Raises ExpressionError for what is not closed and for ``{% %}``."""
    position, trim_next = 0, False
    while opened := _OPEN.search(text, position):
        start, inside = opened.start(), opened.end()
        plain = text[position:start].lstrip() if trim_next else text[position:start]
        if trim_before := _TRIM.match(text, inside):
            plain, inside = plain.rstrip(), trim_before.end()
        yield Piece(plain)
        if opened[0] == "{%":
            raise _error(text, start, f"the tag `{_tag(text, start)}` is not supported yet")
        close = (
            _end_of_comment(text, start) if opened[0] == "{#" else _end_of_expression(text, start)
        )
        trim_next = text[close - 1] == "-" and close > inside
        if opened[0] == "{{":
            body = text[inside : close - 1 if trim_next else close]
            yield Piece(body, True, start, close + 2, inside)
        position = close + 2
    rest = text[position:]
    yield Piece(rest.lstrip() if trim_next else rest)


def _end_of_comment(text: str, start: int) -> int:
    close = text.find("#}", start + 2)
    if close < 0:
        raise _error(text, start, "the comment `{#` is not closed by `#}`")
    return close


def _end_of_expression(text: str, start: int) -> int:
    """Where its ``}}`` stands. Braces of a map and those in strings don't count."""
    opened: list[re.Match[str]] = []
    for stop in _STOP.finditer(text, start + 2):
        match stop[0]:
            case "(" | "[" | "{":
                opened.append(stop)
            case '"' | "'":
                raise _error(text, stop.start(), f"the string {stop[0]} is not closed")
            case ")" | "]" | "}" if opened:
                last = opened.pop()
                if last[0] + stop[0] not in _PAIRS:
                    raise _error(text, last.start(), f"the bracket `{last[0]}` is not closed")
            case "}" if text.startswith("}}", stop.start()):
                return stop.start()
            case ")" | "]" | "}":
                raise _error(text, stop.start(), f"unexpected `{stop[0]}`")
    raise _error(text, start, "the expression `{{` is not closed by `}}`")


def _tag(text: str, start: int) -> str:
    found = _TAG.match(text, start)
    return quote(found[1]) if found else ""


def _error(text: str, offset: int, message: str) -> ExpressionError:
    line, column = place(text, offset)
    return ExpressionError(f"{message}, at line {line}, column {column}")


def place(text: str, offset: int) -> tuple[int, int]:
    """The line and column of an offset, both 1-based."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")
