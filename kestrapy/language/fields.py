"""Reads the properties of one map of a document, each by its type.

Scalars convert as Kestra's parser converts them: text takes numbers and booleans, numbers and
booleans take text. A property that is null counts as absent. What doesn't fit becomes a problem,
and the property's default is given.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from kestrapy.language.durations import to_ms
from kestrapy.language.expression import has_expression
from kestrapy.language.problems import Problems, near, shown
from kestrapy.language.yaml_source import Path


class Fields:
    """The properties of the map at a path."""

    def __init__(self, value: dict[str, Any], path: Path, problems: Problems):
        self.path = path
        self.problems = problems
        self.value = value
        self._known: set[str] = set()

    @property
    def known(self) -> Collection[str]:
        """The properties that were asked for so far, there or not."""
        return self._known

    def take(self, name: str) -> Any:
        """The property as it stands; None when it is absent."""
        self._known.add(name)
        return self.value.get(name)

    def has(self, name: str) -> bool:
        return self.value.get(name) is not None

    def is_list(self, name: str) -> bool:
        """Whether it is one, where it may also be something else."""
        return isinstance(self.take(name), list)

    def add(self, name: str, message: str) -> None:
        """A problem of one property."""
        self.problems.add((*self.path, name), message)

    def text(self, name: str, default: str = "") -> str:
        value = self.take(name)
        if isinstance(value, str):
            return value
        if isinstance(value, bool | int | float):
            return plain(value)
        if value is not None:
            self.add(name, f"expected text, got {shown(value)}")
        return default

    def required(self, name: str) -> str:
        """Text that must not be empty."""
        if not self.has(name):
            self.problems.add(self.path, f"`{name}` is required")
        text = self.text(name)
        if self.has(name) and not text:
            self.add(name, f"`{name}` must not be empty")
        return text

    def identifier(self, name: str, pattern: re.Pattern[str], longest: int) -> str:
        """Required text that a pattern describes, of at most longest characters."""
        text = self.required(name)
        if text and not pattern.fullmatch(text):
            self.add(name, f"{shown(text)} must match `{pattern.pattern}`")
        if len(text) > longest:
            self.add(name, f"{len(text)} characters are too long: expected {longest} at most")
        return text

    def choice(self, name: str, options: Collection[str], default: str = "") -> str:
        """One of the options, else the default."""
        text = self.text(name, default)
        if text != default and text not in options:
            self.add(name, f"{shown(text)} is unknown: expected one of {', '.join(options)}")
            return default
        return text

    def kind(self, name: str, options: Collection[str], default: str) -> str:
        """Like ``choice``, of what the other properties depend on; required."""
        text = self.text(name)
        if text in options:
            return text
        found = f"Invalid type: {text or 'null'}"
        if not self.has(name):
            found += f": missing type id property '{name}'"
            self.problems.add(self.path, f"{found}; `{name}` is required")
        else:
            self.add(name, f"{found}{near(text, options)} (expected: {', '.join(options)})")
        return default

    def some(self, name: str, message: str) -> list[Any]:
        """A list that must not be empty. message: the problem of one that is, or isn't there."""
        found = self.items(name)
        if not found and self.value.get(name) in (None, []):
            self.problems.add(self.path, message)
        return found

    def texts(self, name: str) -> list[str]:
        """A list of texts, none of them empty."""
        found = []
        for index, item in enumerate(self.items(name)):
            if isinstance(item, bool | int | float):
                item = plain(item)
            if isinstance(item, str) and item:
                found.append(item)
            else:
                message = f"expected text that is not empty, got {shown(item)}"
                self.problems.add((*self.path, name, index), message)
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.take(name)
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return bool(value == "true")
        if value is not None:
            self.add(name, f"expected true or false, got {shown(value)}")
        return default

    def integer(self, name: str, low: int, default: int) -> int:
        value = self.take(name)
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= low:
            return value
        if value is not None:
            self.add(name, f"expected a whole number of {low} or more, got {shown(value)}")
        return default

    def number(self, name: str) -> int | float | None:
        value = self.take(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if value is not None:
            self.add(name, f"expected a number, got {shown(value)}")
        return None

    def duration_or_template(self, name: str) -> int | str | None:
        """In ms; as it is where it has an expression."""
        value = self.value.get(name)
        if not has_expression(value):
            return self.duration(name)
        self.problems.add_expressions((*self.path, name), self.take(name))
        return str(value)

    def duration(self, name: str) -> int | None:
        """In ms."""
        value = self.take(name)
        if value is None:
            return None
        if has_expression(value):
            self.add(name, "an expression is not supported here yet: write a duration such as PT5S")
            return None
        try:
            return to_ms(value)
        except ValueError as error:
            self.add(name, str(error))
            return None

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.take(name)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.add(name, f"expected a map, got {shown(value)}")
        return {}

    def items(self, name: str) -> list[Any]:
        value = self.take(name)
        if isinstance(value, list):
            return value
        if value is not None:
            self.add(name, f"expected a list, got {shown(value)}")
        return []

    def fields(self, name: str) -> Fields:
        """The properties of a map; none when it is absent."""
        return Fields(self.mapping(name), (*self.path, name), self.problems)

    def each(self, name: str) -> list[Fields]:
        """The properties of each map of a list."""
        found = []
        for index, item in enumerate(self.items(name)):
            path = (*self.path, name, index)
            if isinstance(item, dict):
                found.append(Fields(item, path, self.problems))
            else:
                self.problems.add(path, f"expected a map, got {shown(item)}")
        return found

    def refuse(self, names: Iterable[str]) -> None:
        """Properties that Kestra knows and that can't be kept: a problem for each that is there."""
        for name in names:
            if self.take(name) is not None:
                self.add(name, f"`{name}` is not supported yet: leave it out")

    def rest(self) -> dict[str, Any]:
        """What was not asked for so far; it counts as known from here on."""
        names = [name for name in self.value if name not in self._known]
        self._known.update(names)
        return {name: self.value[name] for name in names}

    def close(self) -> None:
        """A problem for each property that nobody asked for."""
        known = sorted(self._known)
        for name in self.rest():
            self.add(name, f"unknown property `{name}`{near(name, known)}{expected(known)}")


def expected(names: Iterable[str]) -> str:
    """The end of a message about an unknown property."""
    return f" (expected: {', '.join(sorted(names))})"


def plain(value: bool | int | float) -> str:
    """A scalar as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def unique(fields: Iterable[Fields], what: str) -> None:
    """A problem for each map whose id another one before it has. what: ``task``, ``trigger``, …"""
    seen: set[str] = set()
    for each in fields:
        name = each.take("id")
        if str(name) in seen:
            each.add("id", f"Duplicate {what} id with name [{name}]: give each its own")
        if name is not None:
            seen.add(str(name))
