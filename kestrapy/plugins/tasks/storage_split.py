"""Split: a file's rows are dealt out to smaller files."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Self
from urllib.parse import unquote

from pydantic import Field, field_validator, model_validator

from kestrapy.language.expression import has_expression
from kestrapy.plugins.properties import Expression, Properties, Text
from kestrapy.plugins.tasks.streams import rows
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

MAX_FILES = 10_000
"""How many files one Split may make."""
MAX_OPEN = 100
"""How many of them may take rows at the same time: partitions, or values of the pattern."""

_SIZE = re.compile(r"(\d{1,15})\s*(|B|KB|MB|GB)", re.IGNORECASE)
_FACTORS = {"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_RULES = ("bytes", "partitions", "rows", "regex_pattern")


def parse_size(text: str) -> int:
    """Bytes of a text such as 10MB, whose units are powers of 1024. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise ValueError(f"{text!r} is no size: write it as 500, 10KB, 10MB or 1GB")
    return int(found[1]) * _FACTORS[found[2].upper()]


class SplitRules(Properties):
    """separator: what ends a row, a line's end by default. One of:

    bytes: a new file before one would grow beyond it, such as 10MB. partitions: so many files, rows
    in turn. rows: so many in a file. regexPattern: a file for each value of its first group; rows
    that it does not match are left out.
    """

    separator: Text = "\n"
    bytes: Text | None = None
    partitions: int | Expression | None = None
    rows: int | Expression | None = None
    regex_pattern: Text | None = None

    @field_validator("bytes")
    @classmethod
    def check_bytes(cls, value: str | None) -> str | None:
        if value is not None and not has_expression(value):
            parse_size(value)
        return value

    @field_validator("partitions", "rows")
    @classmethod
    def check_count(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{value} is not at least 1")
        return value

    @model_validator(mode="after")
    def check_one_rule(self) -> Self:
        if len(self.rules) > 1:
            raise ValueError("give one of bytes, partitions, rows and regexPattern")
        return self

    @property
    def rules(self) -> list[str]:
        """The names of those that are given."""
        return [name for name in _RULES if getattr(self, name) is not None]


class SplitProperties(SplitRules):
    """from: URI."""

    from_: Text = Field(alias="from")

    @model_validator(mode="after")
    def check_a_rule(self) -> Self:
        if not self.rules:
            raise ValueError("give one of bytes, partitions, rows and regexPattern")
        return self


class SplitTask:
    """``io.kestra.plugin.core.storage.Split``: ``outputs.uris`` in order."""

    def run(self, properties: SplitProperties, context: TaskContext) -> TaskOutcome:
        name = PurePosixPath(unquote(properties.from_))
        uris = []
        for number, path in enumerate(split(properties, context)):
            uris.append(context.output_uri(f"{name.stem or 'part'}-{number}{name.suffix}"))
            with path.open("rb") as content:
                context.blobs.put(uris[-1], content)
        return TaskOutcome(outputs={"uris": uris})


def split(properties: SplitProperties, context: TaskContext) -> list[Path]:
    """Deal the rows out. -> the files in the working directory, in order. Raises TaskFailed."""
    separator = properties.separator.encode()
    if not separator:
        raise TaskFailed("separator: it can't be empty")
    parts = _Parts(context)
    with context.blobs.open(properties.from_) as content, parts:
        place = _places(properties)
        for row in rows(content, separator):
            if context.ending:
                raise TaskFailed("The run was ended before its time")
            number = place(row + separator)
            if number is not None:
                parts.write(number, row + separator)
    return parts.paths


def _places(properties: SplitProperties) -> Callable[[bytes], int | None]:
    """What says, row after row, the number of its file, from 0; None: in none."""
    if properties.bytes is not None:
        return _by_size(parse_size(properties.bytes))
    if properties.regex_pattern is not None:
        return _by_pattern(properties.regex_pattern)
    count = properties.partitions if properties.partitions is not None else properties.rows
    if not isinstance(count, int):
        raise TaskFailed(f"expected a number, not {count!r}")
    if properties.partitions is None:
        return _counted(lambda number: number // count)
    if count > MAX_OPEN:
        raise TaskFailed(f"partitions: {count} is more than {MAX_OPEN}, split by rows instead")
    return _counted(lambda number: number % count)


def _counted(place: Callable[[int], int]) -> Callable[[bytes], int]:
    numbers = iter(range(1 << 62))
    return lambda _: place(next(numbers))


def _by_size(limit: int) -> Callable[[bytes], int]:
    number = size = 0

    def place(row: bytes) -> int:
        nonlocal number, size
        if size and size + len(row) > limit:
            number, size = number + 1, 0
        size += len(row)
        return number

    return place


def _by_pattern(pattern: str) -> Callable[[bytes], int | None]:
    import re2  # linear in a row's length, whatever the pattern; few flows need it

    try:
        compiled = re2.compile(pattern.encode())
    except re2.error as error:
        raise TaskFailed(f"regexPattern: {pattern!r} can't be used: {error}") from None
    if compiled.groups < 1:
        raise TaskFailed(f"regexPattern: {pattern!r} has no group, whose value names the file")
    numbers: dict[bytes, int] = {}

    def place(row: bytes) -> int | None:
        found = compiled.search(row)
        if found is None or found[1] is None:
            return None
        return numbers.setdefault(found[1], len(numbers))

    return place


class _Parts:
    """The files that grow, in the working directory, by number."""

    def __init__(self, context: TaskContext):
        self._context = context
        self.paths: list[Path] = []
        self._open: dict[int, IO[bytes]] = {}
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def write(self, number: int, row: bytes) -> None:
        if number not in self._open:
            self._add(number)
        self._open[number].write(row)

    def _add(self, number: int) -> None:
        if len(self.paths) == MAX_FILES:
            raise TaskFailed(f"more than {MAX_FILES} files would be made")
        if len(self._open) == MAX_OPEN:
            self._close_oldest()
        path = self._context.working_dir / f"part-{number}"
        self._open[number] = path.open("ab")
        self._exits.callback(self._open[number].close)
        if number >= len(self.paths):
            self.paths.append(path)

    def _close_oldest(self) -> None:
        self._open.pop(next(iter(self._open))).close()
