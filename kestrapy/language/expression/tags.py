"""Pieces of a template → its statements: which tags there are, and how they nest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kestrapy.errors import ExpressionError
from kestrapy.language.expression.scan import Kind, Piece, place, scan
from kestrapy.language.expression.scope import quote
from kestrapy.language.expression.statements import (
    FILTERED,
    Block,
    Body,
    FilterText,
    For,
    If,
    Macro,
    Output,
    Set,
    Statement,
)
from kestrapy.language.expression.syntax import Refused, parse_expression, unknown

NESTING_LIMIT = 20
"""Tags within each other: rendering recurses."""

_TAG = re.compile(r"\s*(\w*)\s*")
_FOR = re.compile(r"([^\W\d]\w*)\s+in\b")
_SET = re.compile(r"([^\W\d]\w*)\s*=(?!=)")
_MACRO = re.compile(r"([^\W\d]\w*)\s*\((.*)\)\s*", re.DOTALL)
_BLOCK = re.compile(r"""([^\W\d]\w*|"[^"]*"|'[^']*')\s*$""")
_PARAMETER = re.compile(
    r"""\s*+([^\W\d]\w*+)\s*+(?:=\s*+("(?:[^"\\]|\\.)*+"\s*+|'(?:[^'\\]|\\.)*+'\s*+|[^,'"]++))?(?:,|$)"""
)
ENDS = {
    "block": "endblock",
    "filter": "endfilter",
    "for": "endfor",
    "if": "endif",
    "macro": "endmacro",
}
"""Tags that hold others, and what closes them."""
_BRANCHES = {"elseif": ("if",), "else": ("if", "for")}
_OPENING = (*ENDS, "set", "raw", "verbatim")
_TEMPLATES = {
    **dict.fromkeys(
        ("embed", "extends", "from", "import", "include"), "a template has no other templates"
    ),
    "autoescape": "nothing is escaped; use the filter `escape` where it has to be",
    **dict.fromkeys(("cache", "flush", "parallel"), "leave it and its end out"),
}
"""Tags of Pebble that are refused, and why."""


@dataclass(slots=True)
class _Open:
    """A tag whose end has not come. branches: what its ``elseif`` and ``else`` divide."""

    name: str
    piece: Piece
    header: Any = None
    branches: list[tuple[Any, list[str | Statement]]] = field(default_factory=list)
    has_else: bool = False


class TagReader:
    """Reads one text; made for it alone."""

    def __init__(self, text: str):
        self._text = text
        self._pieces = list(scan(text))
        self._macros = frozenset(self._macro_names())
        self._open = [_Open("", Piece(""), branches=[(None, [])])]

    def read(self) -> Body:
        """The whole template. Raises ExpressionError, with the place of what is wrong."""
        for piece in self._pieces:
            if piece.kind is Kind.TAG:
                self._tag(piece)
            elif piece.kind is Kind.EXPRESSION:
                self._add(self._output(piece, 0))
            elif piece.text:
                self._add(piece.text)
        if len(self._open) > 1:
            last = self._open[-1]
            end = ENDS[last.name]
            raise self._error(last.piece, f"the tag `{last.name}` is not closed by `{end}`")
        parts = self._open[0].branches[0][1]
        return tuple(
            sorted(parts, key=lambda it: not isinstance(it, Macro))
        )  # called from anywhere

    def _add(self, part: str | Statement) -> None:
        self._open[-1].branches[-1][1].append(part)

    def _tag(self, piece: Piece) -> None:
        found = _TAG.match(piece.text)
        name, offset = (found[1], found.end()) if found else ("", 0)
        if name == "set":
            header = self._header(piece, _SET, offset, "{% set name = value %}")
            self._add(Set(header[1], self._output(piece, header.end())))
        elif name in ENDS:
            self._begin(name, piece, offset)
        elif name in _BRANCHES:
            self._branch(name, piece, offset)
        elif name in ENDS.values():
            if name != "endblock":  # its name may be said again
                self._nothing_after(piece, offset)
            self._end(name, piece)
        elif name in _TEMPLATES:
            raise self._error(piece, f"the tag `{name}` is not supported: {_TEMPLATES[name]}")
        else:
            raise self._error(piece, unknown("tag", name, (*_OPENING, *_BRANCHES, *ENDS.values())))

    def _begin(self, name: str, piece: Piece, offset: int) -> None:
        if len(self._open) > NESTING_LIMIT:
            raise self._error(piece, f"more than {NESTING_LIMIT} tags within each other")
        opened = _Open(name, piece)
        first = None
        if name == "if":
            first = self._output(piece, offset)
        elif name == "for":
            header = self._header(piece, _FOR, offset, "{% for name in list %}")
            opened.header = (header[1], self._output(piece, header.end()))
        elif name == "filter":
            opened.header = self._filter(piece, offset)
        elif name == "block":
            header = self._header(piece, _BLOCK, offset, "{% block name %}")
            opened.header = header[1].strip("\"'")
        else:
            header = self._header(piece, _MACRO, offset, "{% macro name(argument) %}")
            opened.header = (header[1], tuple(self._parameters(piece, header)))
        opened.branches.append((first, []))
        self._open.append(opened)

    def _branch(self, name: str, piece: Piece, offset: int) -> None:
        opened = self._open[-1]
        if opened.name not in _BRANCHES[name] or opened.has_else:
            raise self._error(piece, f"the tag `{name}` stands where there is nothing to divide")
        if name == "else":
            self._nothing_after(piece, offset)
        opened.has_else = name == "else"
        opened.branches.append((self._output(piece, offset) if name == "elseif" else None, []))

    def _end(self, name: str, piece: Piece) -> None:
        opened = self._open[-1]
        if ENDS.get(opened.name) != name:
            raise self._error(piece, f"the tag `{name}` closes nothing here")
        self._open.pop()
        bodies = [(header, tuple(parts)) for header, parts in opened.branches]
        body = bodies[0][1]
        match opened.name:
            case "if":
                self._add(If(tuple(bodies)))
            case "for":
                name, items = opened.header
                self._add(For(name, items, body, bodies[1][1] if len(bodies) > 1 else ()))
            case "filter":
                self._add(FilterText(opened.header, body))
            case "block":
                self._add(Block(opened.header, body))
            case _:
                name, parameters = opened.header
                self._add(Macro(name, parameters, body))

    def _filter(self, piece: Piece, offset: int) -> Output:
        """``upper | trim`` → the filters, upon the tag's text."""
        before = f"{FILTERED} | "
        return self._compiled(piece, before + piece.text[offset:], offset - len(before))

    def _parameters(
        self, piece: Piece, header: re.Match[str]
    ) -> Iterator[tuple[str, Output | None]]:
        text, position = header[2], 0
        while position < len(text.rstrip()):
            found = _PARAMETER.match(text, position)
            if found is None:
                raise self._error(piece, f"unexpected `{quote(text[position:].strip())}`")
            default = None
            if found[2] is not None:
                default = self._compiled(piece, found[2], header.start(2) + found.start(2))
            yield found[1], default
            position = found.end()

    def _header(self, piece: Piece, form: re.Pattern[str], offset: int, like: str) -> re.Match[str]:
        found = form.match(piece.text, offset)
        if found is None or (form is _MACRO and found.end() != len(piece.text)):
            raise self._error(piece, f"write the tag like `{like}`")
        return found

    def _nothing_after(self, piece: Piece, offset: int) -> None:
        if rest := piece.text[offset:].strip():
            instead = ": write `elseif`" if re.match(r"if\b", rest) else ""
            raise self._error(piece, f"unexpected `{quote(rest)}`{instead}")

    def _output(self, piece: Piece, offset: int) -> Output:
        """The expression that begins at an offset of a piece."""
        return self._compiled(piece, piece.text[offset:], offset)

    def _compiled(self, piece: Piece, text: str, offset: int) -> Output:
        source = self._text[piece.start : piece.end]
        try:
            node = parse_expression(text, self._macros)
        except Refused as error:
            line, column = place(self._text, piece.inside + offset + error.offset)
            raise ExpressionError(
                f"{error} in the expression `{quote(source)}` at line {line}, column {column}"
            ) from None
        return Output(node, source, place(self._text, piece.start)[0])

    def _macro_names(self) -> Iterator[str]:
        for piece in self._pieces:
            if piece.kind is Kind.TAG and (tag := _TAG.match(piece.text)) and tag[1] == "macro":
                found = _MACRO.match(piece.text, tag.end())
                if found is not None:
                    yield found[1]

    def _error(self, piece: Piece, message: str) -> ExpressionError:
        line, column = place(self._text, piece.start)
        return ExpressionError(f"{message}, at line {line}, column {column}")
