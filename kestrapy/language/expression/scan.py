"""Text of a template → its pieces: plain text, and the insides of ``{{ }}`` and ``{% %}``.

Comments fall away, and what stands between ``{% raw %}`` and ``{% endraw %}`` is plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from kestrapy.errors import ExpressionError

_OPEN = re.compile(r"\{\{|\{%|\{#")
_TRIM = re.compile(r"-(?=\s)")
_TAG_TRIM = re.compile(r"-")
_RAW = re.compile(r"\s*(raw|verbatim)\s*")
_KESTRAS_RAW = re.compile(r"\s*raw\s*-?%\}")
"""Kestra's own tag, which takes its text as it is and trims nothing around it."""
_STOP = re.compile(r"""(?s)"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+'|%\}|[][(){}"']""")
"""What matters on the way to an expression's end: strings are skipped, brackets counted."""

PIECES_LIMIT = 5_000
"""Expressions and tags of one text: each takes a while to compile."""
EXPRESSION_LIMIT = 50_000
"""Characters of all its expressions and tags."""
_PAIRS = ("()", "[]", "{}")
_CLOSE = {"{{": "}}", "{%": "%}"}
_NAMES = {"{{": "expression", "{%": "tag"}


class Kind(Enum):
    """What a piece is."""

    TEXT = "text"
    EXPRESSION = "{{"
    TAG = "{%"


@dataclass(slots=True)
class Piece:
    """A piece of a template. text: plain, or what stands between the braces.

    start, end: where an expression or tag stands, braces included; inside: where its text begins.
    Offsets from 0.
    """

    text: str
    kind: Kind = Kind.TEXT
    start: int = 0
    end: int = 0
    inside: int = 0


def scan(text: str) -> Iterator[Piece]:
    """The pieces in order. Raises ExpressionError for what is not closed."""
    position, trim_next, pieces, size = 0, False, 0, 0
    while opened := _OPEN.search(text, position):
        start, inside = opened.start(), opened.end()
        plain = text[position:start].lstrip() if trim_next else text[position:start]
        if trim_before := (_TAG_TRIM if opened[0] == "{%" else _TRIM).match(text, inside):
            inside = trim_before.end()
            plain = plain if _KESTRAS_RAW.match(text, inside) else plain.rstrip()
        yield Piece(plain)
        close = _end_of_comment(text, start) if opened[0] == "{#" else _end(text, start, opened[0])
        trim_next = text[close - 1] == "-" and close > inside
        body = text[inside : close - 1 if trim_next else close]
        position = close + 2
        if opened[0] == "{#":
            continue
        if opened[0] == "{%" and (raw := _RAW.fullmatch(body)):
            kept, position, trim_next = _raw(text, start, position, raw[1], trim_next)
            yield Piece(kept)
        else:
            pieces, size = pieces + 1, size + len(body)
            if pieces > PIECES_LIMIT:
                raise _error(text, start, f"more than {PIECES_LIMIT:,} expressions and tags")
            if size > EXPRESSION_LIMIT:
                raise _error(
                    text,
                    start,
                    f"expressions and tags of more than {EXPRESSION_LIMIT:,} characters",
                )
            yield Piece(body, Kind(opened[0]), start, position, inside)
    rest = text[position:]
    yield Piece(rest.lstrip() if trim_next else rest)


def _raw(text: str, start: int, position: int, name: str, trim: bool) -> tuple[str, int, bool]:
    """-> what is kept as it is, where the end tag ends, and whether what follows is trimmed."""
    end = re.compile(rf"\{{%(-?)\s*end{name}\s*(-?)%\}}").search(text, position)
    if end is None:
        raise _error(text, start, f"the tag `{name}` is not closed by `{{% end{name} %}}`")
    kept = text[position : end.start()]
    if name == "raw":
        return kept, end.end(), False
    kept = kept.lstrip() if trim else kept
    return kept.rstrip() if end[1] else kept, end.end(), bool(end[2])


def _end_of_comment(text: str, start: int) -> int:
    close = text.find("#}", start + 2)
    if close < 0:
        raise _error(text, start, "the comment `{#` is not closed by `#}`")
    return close


def _end(text: str, start: int, opening: str) -> int:
    """Where its ``}}`` or ``%}`` stands. Braces of a map and those in strings don't count."""
    closing, opened = _CLOSE[opening], list[re.Match[str]]()
    for stop in _STOP.finditer(text, start + 2):
        match stop[0]:
            case "%}" if closing == "%}":
                return stop.start()
            case "(" | "[" | "{":
                opened.append(stop)
            case '"' | "'":
                raise _error(text, stop.start(), f"the string {stop[0]} is not closed")
            case ")" | "]" | "}" if opened:
                last = opened.pop()
                if last[0] + stop[0] not in _PAIRS:
                    raise _error(text, last.start(), f"the bracket `{last[0]}` is not closed")
            case "}" if closing == "}}" and text.startswith("}}", stop.start()):
                return stop.start()
            case "}" if closing == "}}" and not opened:
                raise _error(text, stop.start(), "one `}` alone: the expression ends with `}}`")
            case ")" | "]" | "}" | "%}":
                raise _error(text, stop.start(), f"unexpected `{stop[0]}`")
    name = _NAMES[opening]
    raise _error(text, start, f"the {name} `{opening}` is not closed by `{closing}`")


def _error(text: str, offset: int, message: str) -> ExpressionError:
    line, column = place(text, offset)
    return ExpressionError(f"{message}, at line {line}, column {column}")


def place(text: str, offset: int) -> tuple[int, int]:
    """The line and column of an offset, both 1-based."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")
