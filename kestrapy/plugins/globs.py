"""Globs over files' paths, as Kestra has them: ``*``, ``?``, ``[a-z]``, ``{a,b}`` and ``**``.

A pattern that begins with a letter, digit or underscore matches at any depth; one that begins with
a slash from the top. ``**`` crosses folders. Matching takes time in proportion to path × pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from kestrapy.errors import UserError

MAX_ALTERNATIVES = 100
"""How many patterns the braces of one may stand for."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_WITHIN = re.compile(r"(?<=[^/*{},])\*\*+(?=[^/*{},])")
"""``**`` amid a name: it stays within the name, or crosses folders."""
_Parts = tuple[str, ...]


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether any of the patterns matches a path, such as ``scripts/main.py``.

    Raises UserError for a pattern that can't be used.
    """
    compiled = [parts for pattern in patterns for parts in _compile(pattern)]

    def matches(path: str) -> bool:
        names = tuple(path.strip("/").split("/"))
        return any(_matches(parts, names) for parts in compiled)

    return matches


def chooser(include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path is included, which all are when include is empty, and not excluded."""
    included, excluded = matcher(include), matcher(exclude)
    return lambda path: (not include or included(path)) and not excluded(path)


def _compile(pattern: str) -> list[_Parts]:
    if pattern.startswith("regex:"):
        raise UserError(f"{pattern!r}: regular expressions are not supported here, write a glob")
    glob = _WITHIN.sub("{*,*/**/*}", pattern.removeprefix("glob:"))
    return [_parts(it) for it in _alternatives(glob, pattern)]


def _alternatives(pattern: str, whole: str) -> list[str]:
    """The pattern for each choice in its braces."""
    found, left = [pattern], MAX_ALTERNATIVES
    while any(_BRACES.search(it) for it in found):
        spread = []
        for it in found:
            braces = _BRACES.search(it)
            choices = braces[1].split(",") if braces else [""]
            start, end = braces.span() if braces else (len(it), len(it))
            spread += [it[:start] + choice + it[end:] for choice in choices]
        found, left = spread, left - 1
        if len(found) > MAX_ALTERNATIVES or not left:
            raise UserError(f"{whole!r} stands for more than {MAX_ALTERNATIVES} patterns")
    return found


def _parts(pattern: str) -> _Parts:
    """The pattern of each folder and of the file; ``**`` stands for any number of folders."""
    if re.match(r"\w", pattern):
        pattern = f"**/{pattern}"
    parts: list[str] = []
    folders = pattern.strip("/").split("/")
    for number, part in enumerate(folders, 1):
        if re.fullmatch(r"\*\*+", part):
            parts += ["**"] if number < len(folders) else ["**", "*"]
            continue
        head, *tail = re.split(r"\*\*+", part)
        parts += [head] if not tail else [f"{head}*"] * bool(head) + ["**"]
        last = "*".join(tail)
        parts += [f"*{last}"] * bool(last)
    return tuple(parts)


def _matches(parts: _Parts, names: _Parts) -> bool:
    """Part by part: which beginnings of the path the pattern so far matches, by their length."""
    reached = [True] + [False] * len(names)
    for part in parts:
        if part == "**":
            first = reached.index(True) if True in reached else len(reached)
            reached = [length >= first for length in range(len(reached))]
        else:
            before = zip(reached[:-1], names, strict=True)
            reached = [False, *(was and fnmatchcase(name, part) for was, name in before)]
    return reached[-1]
