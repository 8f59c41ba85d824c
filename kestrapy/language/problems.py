"""Collects what is wrong with a document, so that its author sees all of it at once."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from kestrapy.errors import ExpressionError, FlowRefused, Problem
from kestrapy.language.expression import compile_template, has_expression
from kestrapy.language.yaml_source import Document, Path, path_text


class Problems:
    """The problems of one document, in the order in which they were found.

    origins: values that come from elsewhere in the document: their path → where they stand.
    """

    def __init__(self, document: Document):
        self.origins: dict[Path, Path] = {}
        self._document = document
        self._found: dict[Problem, None] = {}
        """In order, each once: a property may be read twice."""

    def add(self, path: Path, message: str) -> None:
        """message: what is wrong, with the value and the remedy."""
        place = self._origin(path)
        if place != path:
            message += f" (taken on by {path_text(path)})"
        line, column = self._document.place(place)
        self._found[Problem(message, path_text(place), line, column)] = None

    def _origin(self, path: Path) -> Path:
        for end in range(len(path), 0, -1) if self.origins else ():
            if path[:end] in self.origins:
                return (*self.origins[path[:end]], *path[end:])
        return path

    def check(self) -> None:
        """Raises FlowRefused when there is a problem; they are sorted by place."""
        if self._found:
            raise FlowRefused(sorted(self._found, key=lambda it: (it.line, it.column)))

    def add_expressions(self, path: Path, value: object) -> None:
        """Add a problem for each string in value, keys included, that is no template."""
        if isinstance(value, str):
            if has_expression(value):
                try:
                    compile_template(value)
                except ExpressionError as error:
                    self.add(path, str(error))
        elif isinstance(value, dict):
            for key, item in value.items():
                self.add_expressions((*path, key), key)
                self.add_expressions((*path, key), item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.add_expressions((*path, index), item)


def near(name: str, options: Iterable[str]) -> str:
    """A remedy for a name that is none of the options: the nearest ones, or nothing."""
    return did_you_mean(closest(name, options))


def closest(name: str, options: Iterable[str]) -> list[str]:
    """The options that name may be a misspelling of, at most three."""
    return get_close_matches(name, sorted(options), n=3, cutoff=0.65)


def did_you_mean(options: Iterable[str]) -> str:
    """The end of a message; empty without options."""
    names = " or ".join(f"`{it}`" for it in options)
    return f"; did you mean {names}?" if names else ""


def shown(value: object) -> str:
    """A value as an error quotes it, cut where it is long."""
    text = (
        "null" if value is None else str(value).lower() if value in (True, False) else repr(value)
    )
    return text if len(text) <= 80 else f"{text[:80]}…"
