"""What a reader of the language asks of a map, found out by letting it read one that has nothing.

Readers are written once, as code. A ``Recorder`` stands in for the map and notes each property with
the type that it was asked for by. Where a reader asks which kind of thing this is, or whether a
property is there, its other answers are tried as well, run after run, until every one was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kestrapy.language.fields import Fields
from kestrapy.language.problems import Problems
from kestrapy.language.yaml_source import Document, Path

V = TypeVar("V")
Schema = dict[str, Any]
"""A JSON Schema."""
_Question = tuple[Path, str, str]
"""Of the map at a path, about a property: ``kind``, ``has`` or ``list``."""

TEXT: Schema = {"type": ["string", "number", "boolean"]}
FLAG: Schema = {"enum": [True, False, "true", "false"]}
_MAP: Schema = {"type": "object"}
_LIST: Schema = {"type": "array"}
DURATION: Schema = {"type": ["string", "number"], "pattern": r"^[Pp]|\{\{|\{%"}


@dataclass
class _Run:
    """One reading. answers: those that are not the usual ones. asked: what else there is."""

    answers: dict[_Question, Any]
    asked: dict[_Question, tuple[Any, ...]] = field(default_factory=dict)

    def answer(self, question: _Question, usual: Any, others: Iterable[Any]) -> Any:
        self.asked.setdefault(question, tuple(others))
        return self.answers.get(question, usual)


class Recorder(Fields):
    """A map that has a few properties at most, and notes what it is asked for.

    found: a schema for each property, or the recorders of the maps in it.
    """

    def __init__(self, value: dict[str, Any], path: Path, problems: Problems, run: _Run):
        super().__init__(value, path, problems)
        self.found: dict[str, Schema | Recorder | list[Recorder]] = {}
        self.needed: set[str] = set()
        self.filled: set[str] = set()
        self.kinds: dict[str, str] = {}
        self.is_closed = False
        self._run = run

    def take(self, name: str) -> Any:
        self.found.setdefault(name, {})
        return super().take(name)

    def has(self, name: str) -> bool:
        if super().has(name):
            return True
        return bool(self._run.answer((self.path, name, "has"), False, (True,)))

    def is_list(self, name: str) -> bool:
        return bool(self._run.answer((self.path, name, "list"), False, (True,)))

    def text(self, name: str, default: str = "") -> str:
        return self._noted(name, TEXT, super().text(name, default))

    def required(self, name: str) -> str:
        self.needed.add(name)
        return super().required(name)

    def identifier(self, name: str, pattern: re.Pattern[str], longest: int) -> str:
        found = super().identifier(name, pattern, longest)
        shape = {**TEXT, "pattern": f"^(?:{pattern.pattern})$", "maxLength": longest}
        return self._noted(name, shape, found)

    def choice(self, name: str, options: Collection[str], default: str = "") -> str:
        found = super().choice(name, options, default)
        return self._noted(name, {"enum": list(options)}, found)

    def kind(self, name: str, options: Collection[str], default: str) -> str:
        first, *others = options
        found: str = self._run.answer((self.path, name, "kind"), first, others)
        self.needed.add(name)
        self.kinds[name] = found
        return self._noted(name, {"enum": list(options)}, found)

    def flag(self, name: str, default: bool = False) -> bool:
        return self._noted(name, FLAG, super().flag(name, default))

    def integer(self, name: str, low: int, default: int) -> int:
        shape = {"type": ["integer", "string"], "minimum": low, "pattern": "^-?[0-9]{1,18}$"}
        return self._noted(name, shape, super().integer(name, low, default))

    def number(self, name: str) -> int | float | None:
        return self._noted(name, {"type": "number"}, super().number(name))

    def duration(self, name: str) -> int | None:
        return self._noted(name, DURATION, super().duration(name))

    def mapping(self, name: str) -> dict[str, Any]:
        return self._noted(name, _MAP, super().mapping(name))

    def items(self, name: str) -> list[Any]:
        return self._noted(name, _LIST, super().items(name))

    def some(self, name: str, message: str) -> list[Any]:
        found = super().some(name, message)
        self.needed.add(name)
        self.filled.add(name)
        return self._noted(name, _LIST, found)

    def texts(self, name: str) -> list[str]:
        shape = {"type": "array", "items": {**TEXT, "minLength": 1}}
        return self._noted(name, shape, super().texts(name))

    def fields(self, name: str) -> Fields:
        found = self._within(self.mapping(name), (name,))
        self.found[name] = found
        return found

    def each(self, name: str) -> list[Fields]:
        self.items(name)
        found = self._within({}, (name, 0))
        self.found[name] = [found]
        return [found]

    def refuse(self, names: Iterable[str]) -> None:
        for name in names:
            super().take(name)

    def close(self) -> None:
        self.is_closed = True

    def rest(self) -> dict[str, Any]:
        return {}

    def _within(self, value: dict[str, Any], place: Path) -> Recorder:
        return Recorder(value, (*self.path, *place), self.problems, self._run)

    def _noted(self, name: str, shape: Schema, value: V) -> V:
        self.found[name] = shape
        return value


Read = Callable[[Recorder], Collection[Fields]]
"""Reads a map. -> the maps in it that are described elsewhere."""


def record(read: Read, elsewhere: Schema, value: dict[str, Any] | None = None) -> Schema:
    """The schema of the maps that a reader takes. elsewhere: stands for those that it returns.

    value: what each of these maps has.
    """
    runs: list[Recorder] = []
    apart: set[int] = set()
    answers: list[dict[_Question, Any]] = [{}]
    seen: set[tuple[Any, ...]] = set()
    while answers:
        run = _Run(answers.pop())
        root = Recorder(dict(value or {}), (), Problems(Document({}, {})), run)
        apart.update(map(id, read(root)))
        runs.append(root)  # kept, so that ids stay apart
        for question, others in run.asked.items():
            around = tuple(it for it in run.answers.items() if _is_kind_around(it[0], question))
            if (question, around) not in seen:
                seen.add((question, around))
                answers += [{**run.answers, question: other} for other in others]
    return _Merging(apart, elsewhere).merged(runs)


def _is_kind_around(other: _Question, question: _Question) -> bool:
    path, _, what = other
    return what == "kind" and question[0][: len(path)] == path and other != question


class _Merging:
    """Makes one schema of what several runs found of the same map."""

    def __init__(self, apart: set[int], elsewhere: Schema):
        self._apart = apart
        self._elsewhere = elsewhere

    def merged(self, found: list[Recorder]) -> Schema:
        if any(id(it) in self._apart for it in found):
            return self._elsewhere
        kinds = {name for it in found for name in it.kinds}
        if not kinds:
            return self._map(found)
        (name,) = kinds
        by_kind: dict[str, list[Recorder]] = {}
        for it in found:
            by_kind.setdefault(it.kinds[name], []).append(it)
        return by_type({kind: self._map(those) for kind, those in by_kind.items()}, name)

    def _map(self, found: list[Recorder]) -> Schema:
        names = sorted({name for it in found for name in it.found})
        needed = set.intersection(*(it.needed for it in found))
        filled = set.intersection(*(it.filled for it in found))
        properties = {
            name: self._property([it.found[name] for it in found if name in it.found])
            | ({"minItems": 1} if name in filled else {})
            for name in names
        }
        made: Schema = {
            "type": "object",
            "properties": {
                name: shape if name in needed else nullable(shape)
                for name, shape in properties.items()
            },
        }
        if needed:
            made["required"] = sorted(needed)
        if all(it.is_closed for it in found):
            made["additionalProperties"] = False
        return made

    def _property(self, found: list[Schema | Recorder | list[Recorder]]) -> Schema:
        shapes: list[Schema] = []
        maps = [it for it in found if isinstance(it, Recorder)]
        lists = [each for it in found if isinstance(it, list) for each in it]
        if maps:
            shapes.append(self.merged(maps))
        if lists:
            shapes.append({"type": "array", "items": self.merged(lists)})
        for it in found:
            # One that was looked at as it stands, and then read by its type, is of that type.
            if isinstance(it, dict) and it and it not in shapes:
                shapes.append(it)
        vague = [*([_MAP] if maps else []), *([_LIST] if lists else [])]
        shapes = [it for it in shapes if it not in vague]
        return shapes[0] if len(shapes) == 1 else {"anyOf": shapes} if shapes else {}


def by_type(schemas: dict[str, Schema], name: str = "type") -> Schema:
    """A map whose other properties depend on one of them: its values → what they may be then."""
    cases: list[tuple[list[str], Schema]] = []
    for kind, schema in schemas.items():
        alike = next((kinds for kinds, other in cases if other == schema), None)
        if alike is None:
            cases.append(([kind], schema))
        else:
            alike.append(kind)
    if len(cases) == 1:
        return cases[0][1]
    return {
        "type": "object",
        "required": [name],
        "properties": {name: {"enum": list(schemas)}},
        "allOf": [
            {"if": {"type": "object", "properties": {name: {"enum": kinds}}}, "then": schema}
            for kinds, schema in cases
        ],
    }


def nullable(shape: Schema) -> Schema:
    """A property that may also stand there without a value."""
    if not shape:
        return shape
    if "enum" in shape:
        return {**shape, "enum": [*shape["enum"], None]}
    if "type" in shape:
        types = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
        return {**shape, "type": [*types, "null"]}
    return {"anyOf": [shape, {"type": "null"}]}
