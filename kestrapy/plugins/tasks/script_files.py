"""Files of a script task: what it finds in its working directory, and what it leaves for others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from kestrapy.errors import NotFound, UserError
from kestrapy.ports.blobs import SCHEME
from kestrapy.ports.tasks import TaskContext, TaskFailed

FOLDER_VARIABLES = ("workingDir", "outputDir")
"""Variables that name folders of the run; asking for them makes the folders."""

_OUTPUT_FOLDER = ".outputs"
_FETCHED_FOLDER = ".files"
PRIVATE = (_OUTPUT_FOLDER, _FETCHED_FOLDER, ".script.py")
"""What a task puts into its working directory for itself: one that shares it leaves none."""
_URI = re.compile(r"kestra://[-\w.+~#=/%]*", re.ASCII)


def folder_variables(working_dir: Path) -> dict[str, str]:
    """``{{ workingDir }}`` and ``{{ outputDir }}``, the latter made here: its files become
    outputs."""
    output_dir = working_dir / _OUTPUT_FOLDER
    output_dir.mkdir(exist_ok=True)
    return dict(zip(FOLDER_VARIABLES, (str(working_dir), str(output_dir)), strict=True))


class Fetched:
    """Local copies of the files of internal storage that a task's texts name, each fetched once."""

    def __init__(self, context: TaskContext):
        self.context = context
        self._copies: dict[str, Path] = {}

    def localize(self, text: str) -> str:
        """text with each kestra:/// URI replaced by the path of its copy. Raises TaskFailed."""
        return _URI.sub(lambda found: str(self._copy(found[0])), text) if SCHEME in text else text

    def _copy(self, uri: str) -> Path:
        copy = self._copies.get(uri)
        if copy is None:
            folder = self.context.working_dir / _FETCHED_FOLDER / str(len(self._copies))
            copy = self._copies[uri] = folder / PurePosixPath(uri).name
            folder.mkdir(parents=True, exist_ok=True)
            fetch(uri, copy, self.context)
        return copy


def fetch(uri: str, target: Path, context: TaskContext) -> None:
    """Copy a file of internal storage. Raises TaskFailed."""
    try:
        context.blobs.fetch(uri, target)
    except (NotFound, UserError) as error:
        raise TaskFailed(str(error)) from None


def write_input_files(files: Mapping[str, str], context: TaskContext) -> None:
    """Each file at its name below the working directory: a text, or a copy of what a URI names."""
    for name, content in files.items():
        target = place_below(context.working_dir, name)
        if _URI.fullmatch(content):
            fetch(content, target, context)
        else:
            target.write_text(content, encoding="utf-8")


def place_below(root: Path, name: str) -> Path:
    """The path of a file below a folder, whose folders are made. Raises TaskFailed."""
    root = root.resolve()
    target = (root / name).resolve()
    if not target.is_relative_to(root) or target == root or "\0" in name:
        raise TaskFailed(f"inputFiles: {name!r} is not below the working directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def store_output_files(globs: Sequence[str], context: TaskContext) -> dict[str, str]:
    """Put what the globs match, and all of outputDir, into internal storage. -> URI by relative
    name.

    Links that lead out of the working directory are left alone.
    """
    root = context.working_dir.resolve()
    found = dict(match(root, globs))
    output_dir = root / _OUTPUT_FOLDER
    found |= {str(it.relative_to(output_dir)): it for it in _files_below(output_dir, root)}
    stored = {}
    for name, path in sorted(found.items()):
        stored[name] = context.output_uri(name)
        with path.open("rb") as content:
            context.blobs.put(stored[name], content)
    return stored


def match(root: Path, globs: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for glob in globs:
        pattern = PurePosixPath(glob)
        if not glob or pattern.is_absolute() or ".." in pattern.parts:
            raise TaskFailed(f"outputFiles: {glob!r} is not below the working directory")
        for path in root.glob(glob):
            if path.is_file() and path.resolve().is_relative_to(root):
                yield str(path.relative_to(root)), path


def _files_below(folder: Path, root: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and path.resolve().is_relative_to(root):
            yield path
