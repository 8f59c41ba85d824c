"""Files of internal storage as streams: read in rows, written as they come, never held whole."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Any

from kestrapy.ports.tasks import TaskContext, TaskFailed

CHUNK = 64 * 1024
MAX_ROW = 4 * 1024 * 1024
"""Bytes of one row, its separator included; a longer one fails its task."""


def rows(content: IO[bytes], separator: bytes = b"\n") -> Iterator[bytes]:
    """The rows of a file, without the separator that ends each; the last needn't have one.

    Raises TaskFailed for a row of more than MAX_ROW bytes.
    """
    rest = b""
    while data := content.read(CHUNK):
        *done, rest = (rest + data).split(separator)
        yield from done
        _check_length(rest, separator)
    if rest:
        yield rest


def rows_backwards(content: IO[bytes], separator: bytes = b"\n") -> Iterator[bytes]:
    """The rows of a file that can seek, from the last to the first; else as ``rows``."""
    position = size = content.seek(0, io.SEEK_END)
    content.seek(max(0, size - len(separator)))
    if content.read() == separator:
        position -= len(separator)
    rest = b""
    while position > 0:
        start = max(0, position - CHUNK)
        content.seek(start)
        rest, *done = (content.read(position - start) + rest).split(separator)
        position = start
        yield from reversed(done)
        _check_length(rest, separator)
    if size:
        yield rest


def _check_length(row: bytes, separator: bytes) -> None:
    if len(row) > MAX_ROW:
        raise TaskFailed(
            f"a row is longer than {MAX_ROW} bytes: does {separator!r} separate the rows?"
        )


def chunks(content: IO[bytes]) -> Iterator[bytes]:
    while data := content.read(CHUNK):
        yield data


class Pulled(io.RawIOBase):
    """A file that is read from an iterator of bytes; the run's end breaks it off."""

    def __init__(self, source: Iterator[bytes], context: TaskContext):
        self._source = source
        self._context = context
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._rest:
            if self._context.ending:
                raise TaskFailed("The run was ended before its time")
            data = next(self._source, None)
            if data is None:
                return 0
            self._rest = memoryview(data)
        view = memoryview(target).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def store(name: str, source: Iterator[bytes], context: TaskContext) -> str:
    """Put what the iterator gives into a file of the run. -> its URI"""
    uri = context.output_uri(name)
    with io.BufferedReader(Pulled(source, context), CHUNK) as content:
        context.blobs.put(uri, content)
    return uri


def file_name(stem: str, extension: str) -> str:
    """stem with an extension, which may begin with its dot or without."""
    if not extension:
        return stem
    return f"{stem}{extension}" if extension.startswith(".") else f"{stem}.{extension}"
