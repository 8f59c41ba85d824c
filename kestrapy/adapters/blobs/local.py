"""Internal storage in a folder of the local file system, or of one that all servers mount."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from kestrapy.adapters.blobs.paths import names_in
from kestrapy.errors import NotFound, UserError
from kestrapy.ports.blobs import SCHEME

_UNFINISHED = ".unfinished"
"""Folder of what is being put: beside the files, for a rename works within one file system only."""

_NO_FOLDER = "{}: a file can't have files below it"


class LocalBlobs:
    """The port ``Blobs`` over the folder base, which is made if it doesn't exist."""

    def __init__(self, base: Path):
        self._base = base.resolve()
        (self._base / _UNFINISHED).mkdir(parents=True, exist_ok=True)

    def put(self, uri: str, content: IO[bytes]) -> None:
        self._store(uri, content, lambda unfinished, target: unfinished.replace(target))

    def create(self, uri: str, content: IO[bytes]) -> bool:
        target = self._path(uri)
        if target.is_dir():
            raise UserError(_NO_FOLDER.format(uri))
        try:
            self._store(uri, content, lambda unfinished, target: target.hardlink_to(unfinished))
        except FileExistsError:
            return False
        return True

    def _store(self, uri: str, content: IO[bytes], publish: Callable[[Path, Path], object]) -> None:
        target = self._path(uri)
        handle, name = tempfile.mkstemp(dir=self._base / _UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as unfinished:
                shutil.copyfileobj(content, unfinished)
                unfinished.flush()
                os.fsync(handle)  # else a power cut may leave the name with nothing in it
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise NotADirectoryError from None
            publish(Path(name), target)
        except (NotADirectoryError, IsADirectoryError):
            raise UserError(_NO_FOLDER.format(uri)) from None
        finally:
            Path(name).unlink(missing_ok=True)

    def open(self, uri: str) -> IO[bytes]:
        return self._file(uri).open("rb")

    def fetch(self, uri: str, target: Path) -> None:
        shutil.copyfile(self._file(uri), target)

    def exists(self, uri: str) -> bool:
        return self._path(uri).is_file()

    def size(self, uri: str) -> int:
        return self._file(uri).stat().st_size

    def delete(self, uri: str) -> bool:
        path = self._path(uri)
        there = path.is_file()
        if there:
            path.unlink(missing_ok=True)
        return there

    def list(self, prefix: str) -> Iterator[str]:
        folder = self._base if prefix == f"{SCHEME}/" else self._path(prefix.removesuffix("/"))
        names = (it.relative_to(self._base).as_posix() for it in folder.rglob("*") if it.is_file())
        for name in sorted(it for it in names if not it.startswith(f"{_UNFINISHED}/")):
            yield f"{SCHEME}/{quote(name)}"

    def _file(self, uri: str) -> Path:
        path = self._path(uri)
        if not path.is_file():
            raise NotFound(f"{uri} is not in the internal storage")
        return path

    def _path(self, uri: str) -> Path:
        """Where a URI's file is.

        Raises UserError for what leads, or could lead, out of the base.
        """
        parts = names_in(uri)
        if parts[0] == _UNFINISHED:
            raise UserError(f"{uri!r} is no URI of a file: its first name is the storage's own")
        path = self._base.joinpath(*parts)
        if not path.resolve().is_relative_to(self._base):
            raise UserError(f"{uri!r} leads out of the internal storage")
        return path
