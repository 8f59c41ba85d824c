"""The folder of a WorkingDirectory: what is put there before its tasks, and kept after them."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import Field

from kestrapy.errors import NotFound, UserError
from kestrapy.plugins.globs import matcher
from kestrapy.plugins.properties import Duration, Properties, TextList, TextMap, parse_duration
from kestrapy.plugins.rendering import as_list, as_map
from kestrapy.plugins.tasks.namespace_files import NamespaceFiles
from kestrapy.plugins.tasks.script_files import store_output_files, write_input_files
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

_MADE = "kestrapy.made"
"""Header of a cache's archive: when it was made, epoch ms."""


class Cache(Properties):
    """patterns: globs of files that later executions find again. ttl: how long; for ever by
    default.
    """

    patterns: TextList
    ttl: Duration | None = None


class WorkingDirectoryProperties(Properties):
    """inputFiles: text or kestra:/// URI by name, put into the folder first. outputFiles: globs of
    what to keep of it at the end. namespaceFiles: which of a namespace's files are put there.
    cache: files that are kept for the next execution.
    """

    input_files: TextMap = Field(default_factory=dict)
    output_files: TextList = Field(default_factory=list)
    namespace_files: NamespaceFiles | None = None
    cache: Cache | None = None


class WorkingDirectoryTask:
    """``io.kestra.plugin.core.flow.WorkingDirectory`` where all of its tasks are disabled: the
    worker itself runs one that has some, in between.
    """

    def run(self, properties: WorkingDirectoryProperties, context: TaskContext) -> TaskOutcome:
        stale = fill(properties, context)
        return TaskOutcome(outputs=keep(properties, context, stale=stale))


def fill(properties: WorkingDirectoryProperties, context: TaskContext) -> bool:
    """Put everything into the folder that its tasks shall find. -> whether the cache is to be made.

    Raises TaskFailed, UserError.
    """
    stale = properties.cache is not None and not _restore(properties.cache, context)
    if properties.namespace_files is not None:
        properties.namespace_files.load(context)
    write_input_files(as_map(properties.input_files), context)
    return stale


def keep(
    properties: WorkingDirectoryProperties, context: TaskContext, *, stale: bool
) -> dict[str, Any]:
    """Keep what later executions, and other tasks, shall find. -> the outputs.

    Raises TaskFailed, UserError.
    """
    if stale and properties.cache is not None:
        _save(as_list(properties.cache.patterns), context)
    globs = as_list(properties.output_files)
    return {"outputFiles": store_output_files(globs, context)} if globs else {}


def _restore(cache: Cache, context: TaskContext) -> bool:
    """Unpack the cache. -> False where there is none, or it is older than it may be."""
    uri = context.cache_uri("files")
    archive = context.working_dir.with_suffix(".cache")
    try:
        context.blobs.fetch(uri, archive)
    except NotFound:
        context.log("DEBUG", f"cache: nothing is kept at {uri} yet")
        return False
    try:
        with tarfile.open(archive) as found:
            age = context.now() - int(found.pax_headers.get(_MADE, 0))
            if cache.ttl is not None and age > parse_duration(cache.ttl):
                context.log("DEBUG", f"cache: {uri} is {age} ms old, and is made anew")
                return False
            found.extractall(context.working_dir, filter="data")
    except (tarfile.TarError, ValueError) as error:
        context.log("WARN", f"cache: {uri} can't be unpacked, and is made anew: {error}")
        return False
    finally:
        archive.unlink()
    context.log("DEBUG", f"cache: unpacked {uri}")
    return True


def _save(patterns: Sequence[str], context: TaskContext) -> None:
    with tempfile.TemporaryFile(dir=context.working_dir.parent) as packed:
        _pack(patterns, context, packed)
        packed.seek(0)
        context.blobs.put(context.cache_uri("files"), packed)


def _pack(patterns: Sequence[str], context: TaskContext, packed: IO[bytes]) -> None:
    made = {_MADE: str(context.now())}
    root = context.working_dir
    with tarfile.open(
        fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers=made
    ) as archive:
        for name, path in _matching(root, patterns):
            if context.ending:
                raise TaskFailed("The run was ended before its time")
            archive.add(path, name, recursive=False)


def _matching(root: Path, patterns: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Files and links of the folder that a pattern matches, by their paths in it."""
    try:
        chosen = matcher(patterns)
    except UserError as error:
        raise TaskFailed(f"cache: {error}") from None
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if (path.is_symlink() or path.is_file()) and chosen(name):
            yield name, path
