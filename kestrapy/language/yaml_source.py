"""YAML text → plain values, each with its place in the text.

Scalars are read by YAML 1.2's core schema, as Kestra does: only true and false are booleans
(``yes`` and ``on`` are strings), dates stay strings. Keys of maps are strings, whatever they look
like. PyYAML parses; the document is put together here from its events, without recursion, because
its own loaders follow YAML 1.1 and keep no places.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Never

import yaml

from kestrapy.errors import FlowRefused, Problem

DEPTH_LIMIT = 64
"""Levels of a document: what walks it recurses."""
NODE_LIMIT = 200_000
"""Values of a document with its aliases expanded: a small text can stand for billions."""

Path = tuple[str | int, ...]
"""Keys and indexes from the document inwards, such as ``("tasks", 0, "id")``."""
Place = tuple[int, int]
"""A line and a column, both 1-based."""
MERGE = "<<"
"""The key whose maps become a part of the map that it stands in."""

_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False
}  # fmt: skip
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")


@dataclass(frozen=True)
class Document:
    """A parsed text. data: JSON values; aliases share them, so leave it as it is."""

    data: Any
    places: dict[Path, Place]

    def place(self, path: Path) -> Place:
        """Where path's key or item begins, else that of the nearest value around it."""
        while path not in self.places:
            if not path:
                return (1, 1)
            path = path[:-1]
        return self.places[path]


@dataclass
class _Made:
    """A finished value. size: values in it, itself included. height: levels below it."""

    value: Any
    size: int = 1
    height: int = 0


@dataclass
class _Open:
    """A map or list that is being read. key: of the value that comes next; None before a key."""

    made: _Made
    path: Path
    anchor: str | None
    key: str | None = None
    merged: dict[str, Any] = field(default_factory=dict)

    @property
    def at_key(self) -> bool:
        return isinstance(self.made.value, dict) and self.key is None

    @property
    def next_path(self) -> Path:
        items = self.made.value
        return (*self.path, len(items) if isinstance(items, list) else self.key or "")


def parse(text: str) -> Document:
    """Raises FlowRefused for what isn't YAML, keys given twice, odd tags, a bound passed."""
    builder = _Builder()
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "it can't be read"
        _refuse(f"not YAML: {what}{_remedy(what, text, mark)}", mark)
    except (yaml.YAMLError, UnicodeError) as error:
        _refuse(f"not YAML: {str(error).splitlines()[0]}", None)
    if builder.problems:
        raise FlowRefused(builder.problems)
    return Document(builder.root, builder.places)


def _remedy(what: str, text: str, mark: Any) -> str:
    """What most often leads to a complaint of the YAML parser, as the end of a message."""
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return ": a tab can't indent, use blanks"
    return next((f": {remedy}" for part, remedy in _REMEDIES.items() if part in what), "")


_INDENT = "check how far this line and the ones above are indented"
_REMEDIES = {
    "mapping values are not allowed": f"{_INDENT}, and put text that has `: ` in it in quotes",
    "expected '-' indicator": _INDENT,
    "expected <block end>": _INDENT,
    "end of stream": "a quote, a bracket or a brace is not closed",
    "expected ',' or": "a bracket or a brace is not closed",
    "start any token": "put the text in quotes",
}
"""By a part of the complaint."""


def _events(text: str) -> Iterator[Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    yield from yaml.parse(text, Loader=loader)


class _Builder:
    """Takes the events of a document and holds what they made so far."""

    def __init__(self) -> None:
        self.root: Any = None
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, _Made] = {}
        self._documents = 0
        self._count = 0

    def take(self, event: Any) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    _refuse(
                        "a second document: keep one, without `---` in between", event.start_mark
                    )
            case yaml.ScalarEvent() if self._open and self._open[-1].at_key:
                self._take_key(event)
            case yaml.ScalarEvent():
                self._note_place(event)
                self._put(_Made(_scalar(event)), event.anchor, event)
            case yaml.AliasEvent():
                self._take_alias(event)
            case yaml.MappingStartEvent():
                self._start({}, event)
            case yaml.SequenceStartEvent():
                self._start([], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end(event)

    def _take_key(self, event: Any) -> None:
        parent, key = self._open[-1], event.value
        parent.key = key
        path = parent.next_path
        if key not in parent.made.value:
            self.places[path] = _place_of(event.start_mark)
            return
        line, column = _place_of(event.start_mark)
        message = f"Duplicate field '{path[-1]}': keep one of them"
        self.problems.append(Problem(message, path_text(path), line, column))

    def _take_alias(self, event: Any) -> None:
        made = self._anchors.get(event.anchor)
        if made is None:
            _refuse(f"the alias `*{event.anchor}` has no anchor before it", event.start_mark)
        if self._open and self._open[-1].at_key:
            _refuse("an alias can't be a key: write the key out", event.start_mark)
        self._note_place(event)
        self._put(made, None, event)

    def _start(self, value: dict[str, Any] | list[Any], event: Any) -> None:
        if self._open and self._open[-1].at_key:
            remedy = 'put text that starts with `{{` or `[` in quotes: "{{ … }}"'
            _refuse(f"a key has to be text, not a map or list: {remedy}", event.start_mark)
        own_tag = "map" if isinstance(value, dict) else "seq"
        if event.tag not in (None, f"tag:yaml.org,2002:{own_tag}"):
            _refuse(f"the tag `{event.tag}` is not supported: leave it out", event.start_mark)
        self._note_place(event)
        path = self._open[-1].next_path if self._open else ()
        self._open.append(_Open(_Made(value), path, event.anchor))
        self._check_height(0, event)

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        for key, value in done.merged.items():
            done.made.value.setdefault(key, value)
        self._put(done.made, done.anchor, event)

    def _note_place(self, event: Any) -> None:
        """Remember where the root or a list's item begins; a map's value is where its key is."""
        if not self._open:
            self.places[()] = _place_of(event.start_mark)
        elif self._open[-1].key is None:
            self.places[self._open[-1].next_path] = _place_of(event.start_mark)

    def _put(self, made: _Made, anchor: str | None, event: Any) -> None:
        """A value is finished: it goes where it belongs."""
        if anchor:
            self._anchors[anchor] = made
        self._count += made.size if isinstance(event, yaml.AliasEvent) else 1
        if self._count > NODE_LIMIT:
            _refuse(f"more than {NODE_LIMIT:,} values, aliases expanded", event.start_mark)
        if not self._open:
            self.root = made.value
            return
        parent = self._open[-1]
        parent.made.size += made.size
        parent.made.height = max(parent.made.height, made.height + 1)
        self._check_height(parent.made.height, event)
        if isinstance(parent.made.value, list):
            parent.made.value.append(made.value)
        elif parent.key == MERGE:
            _merge(parent.merged, made.value, event)
        else:
            parent.made.value[parent.key] = made.value
        parent.key = None

    def _check_height(self, below: int, event: Any) -> None:
        if len(self._open) + below > DEPTH_LIMIT:
            _refuse(f"more than {DEPTH_LIMIT} levels deep", event.start_mark)


def _merge(merged: dict[str, Any], value: Any, event: Any) -> None:
    """``<<``: the first of several maps wins, and what the map has itself wins over all."""
    for each in value if isinstance(value, list) and value else [value]:
        if not isinstance(each, dict):
            _refuse("`<<` takes a map or a list of maps, such as `<<: *base`", event.start_mark)
        for key, item in each.items():
            merged.setdefault(key, item)


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag in _STRING_TAGS or (event.tag is None and not event.implicit[0]):
        return text
    if event.tag is not None:
        _refuse(f"the tag `{event.tag}` is not supported: leave it out", event.start_mark)
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return _integer(text, event)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
        _refuse(f"the number {text[:40]} is out of range: put it in quotes", event.start_mark)
    if _NOT_FINITE.fullmatch(text):
        _refuse(f"{text} is no number that JSON has: put it in quotes", event.start_mark)
    return text


def _integer(text: str, event: Any) -> int:
    if len(text) <= 30:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        number = int(text[2:] if base != 10 else text, base)
        if -(1 << 63) <= number < 1 << 63:
            return number
    _refuse(f"the number {text[:40]} has more than 64 bits: put it in quotes", event.start_mark)


def _place_of(mark: Any) -> Place:
    return (mark.line + 1, mark.column + 1)


def _refuse(message: str, mark: Any) -> Never:
    line, column = _place_of(mark) if mark is not None else (0, 0)
    raise FlowRefused([Problem(message, "", line, column)])


def path_text(path: Path) -> str:
    """A path as errors show it: ``tasks[0].retry.interval``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
