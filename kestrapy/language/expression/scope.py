"""What an expression is evaluated in: its variables, and a bounded budget of work and output."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from typing import Any

import msgspec

from kestrapy.errors import ExpressionError
from kestrapy.language.expression.world import World

STEP_LIMIT = 100_000
"""Nodes that one rendering may evaluate."""
OUTPUT_LIMIT = 1_000_000
"""Characters that one rendering may put together."""
WEIGHT_LIMIT = 1_000_000
"""Items of lists and maps, nested ones included, that one rendering may make or compare."""
LEVEL_LIMIT = 100
"""Levels of a list or map that an expression makes or writes."""
NESTED_LIMIT = 6
"""Macros and ``render`` within each other. Each evaluates a tree of its own on the same stack."""
CHARACTERS_A_STEP = 64
"""Of strings that are handed to filters and functions, or written within lists and maps."""
STEPS_A_BRACE = 20
"""For each expression, tag and comment of a text that ``render`` is given: it is compiled."""
SHOWN = 200
"""Characters of an expression that an error quotes."""


class Undefined(ExpressionError):
    """A variable or an attribute is not there; ``??`` catches this.

    known: the names that are there. Near ones are looked for only when somebody reads the message.
    """

    def __init__(self, message: str, name: str, known: Iterable[Any]):
        super().__init__(message)
        self._name = name
        self._known = known

    def __str__(self) -> str:
        names = sorted(it for it in islice(self._known, SHOWN) if isinstance(it, str))
        found = get_close_matches(self._name[:SHOWN], names, cutoff=0.65)
        near = " or ".join(f"`{it}`" for it in found)
        return f"{self.args[0]}; did you mean {near}?" if near else str(self.args[0])


class WorldNeeded(ExpressionError):
    """An expression reads the world, and is rendered where there is none: a worker has one."""


class Scope:
    """The state of one rendering; its counts go through all expressions of a value.

    world: None where nothing but variables may be read. secrets_read: how often so far.
    compiler: text → a template, for ``render``.
    """

    __slots__ = (
        "_compiler",
        "_line",
        "_nested",
        "_size",
        "_source",
        "_steps",
        "_weight",
        "_world",
        "hidden",
        "secrets_read",
        "variables",
    )

    def __init__(
        self,
        variables: Mapping[str, Any],
        world: World | None = None,
        compiler: Callable[[str], Any] | None = None,
    ):
        self.variables = variables
        self._world = world
        self.hidden = world.hidden() if world is not None else None
        self.secrets_read = 0
        self._compiler = compiler
        self._steps = 0
        self._size = 0
        self._weight = 0
        self._nested = 0
        self._source = ""
        self._line = 0

    def enter(self, source: str, line: int) -> None:
        """Errors from here on are about this expression, which stands on this line (1-based)."""
        self._source = source
        self._line = line

    def noticed(self, value: Any) -> Any:
        """A value as it is. One that nobody else may read is counted."""
        if isinstance(value, str) and self.hidden is not None and value in self.hidden:
            self.secrets_read += 1
        return value

    def tell_made(self, value: Any) -> None:
        """What an expression that read a secret gives may be as secret."""
        if self._world is not None:
            self._world.made([value] if isinstance(value, str) else list(_texts(self.weigh(value))))

    def step(self, count: int = 1) -> None:
        self._steps += count
        if self._steps > STEP_LIMIT:
            raise self.error(f"more than {STEP_LIMIT:,} steps: make it smaller,")

    def grow(self, text: str) -> str:
        """Count text as output, and give it back."""
        self.room(len(text))
        self._size += len(text)
        return text

    def room(self, size: int) -> None:
        """Ask, before so many characters are made, whether the budget has them."""
        if self._size + size > OUTPUT_LIMIT:
            raise self.error(f"more than {OUTPUT_LIMIT:,} characters of output,")

    def weigh(self, value: Any) -> Any:
        """Count a value's items at every level, shared ones each time, and give it back.

        A long string counts as several items. Done for all that an expression makes, so that what
        handles it later, item by item, ends.
        """
        level = [value]
        for _ in range(LEVEL_LIMIT):
            left = max(0, WEIGHT_LIMIT - self._weight)
            level = list(islice(_items(level), left + 1))
            if len(level) > left:
                raise self.error(f"more than {WEIGHT_LIMIT:,} items of lists and maps,")
            if not level:
                return value
            self._weight += len(level) + sum(
                len(it) // CHARACTERS_A_STEP for it in level if isinstance(it, str)
            )
        raise self.error(f"a list or map of more than {LEVEL_LIMIT} levels,")

    def text(self, value: Any) -> str:
        """A value as it is written into text; counted as output."""
        return self.grow(self.written(value))

    def written(self, value: Any) -> str:
        """Like ``text``, for what looks at it or counts its own result."""
        match value:
            case str():
                return value
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case int() | float():
                return repr(value)
        self.weigh(value)
        size = sum(len(it) for it in _texts(value))
        self.room(size)
        self.step(size // CHARACTERS_A_STEP)
        try:
            return msgspec.json.encode(value).decode()
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self.error(f"a {type(value).__name__} can't be written: {error},") from error

    def world(self, name: str) -> World:
        """For the function of this name. Raises WorldNeeded."""
        if self._world is None:
            raise WorldNeeded(
                f"`{name}` reads the world, so that a worker has to render it: use it in a "
                f"property of a task that workers run, {self._place()}"
            )
        return self._world

    def render(self, text: str) -> Any:
        """A text, rendered once as a template of its own, within this budget."""
        self.step(len(text) // CHARACTERS_A_STEP + STEPS_A_BRACE * _braces(text))
        assert self._compiler is not None  # noqa: S101 - whoever makes a scope with calls gives it
        source, line = self._source, self._line
        with self.nested():
            try:
                return self._compiler(text).render_in(self)
            finally:
                self.enter(source, line)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Around what evaluates another tree."""
        if self._nested == NESTED_LIMIT:
            raise self.error(f"more than {NESTED_LIMIT} macros or renders within each other,")
        self._nested += 1
        try:
            yield
        finally:
            self._nested -= 1

    @contextmanager
    def local(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Names that are known inside only. What ``assign`` adds inside is forgotten as well."""
        outer = self.variables
        self.step(len(values) + 1)
        self.variables = ChainMap(dict(values), *_maps(outer))
        try:
            yield
        finally:
            self.variables = outer

    def assign(self, name: str, value: Any) -> None:
        """Set a local name where it is already known, or here. Only inside ``local``."""
        *local, _ = _maps(self.variables)
        target = next((it for it in local if name in it), local[0])
        target[name] = value

    def _place(self) -> str:
        if not self._source:
            return ""
        return f"in the expression `{quote(self._source)}` at line {self._line}"

    def error(self, message: str) -> ExpressionError:
        return ExpressionError(f"{message} {self._place()}")

    def undefined(self, name: str, known: Iterable[Any] = ()) -> Undefined:
        return Undefined(f"Unable to find `{quote(name)}` used {self._place()}", name, known)


def _braces(text: str) -> int:
    return sum(text.count(mark) for mark in ("{{", "{%", "{#"))


def _maps(variables: Any) -> list[Any]:
    return variables.maps if isinstance(variables, ChainMap) else [variables]


def _items(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Mapping):
            yield from value.values()
        elif isinstance(value, list | tuple):
            yield from value


def _texts(value: Any) -> Iterator[str]:
    """The strings of a value that was weighed, keys included."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            yield from (key for key in item if isinstance(key, str))
            todo += item.values()
        elif isinstance(item, list | tuple):
            todo += item


def quote(text: str) -> str:
    """Text for an error: cut where it is long."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
