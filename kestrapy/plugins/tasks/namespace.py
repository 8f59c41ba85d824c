"""Tasks on the files of namespaces: UploadFiles, DownloadFiles, DeleteFiles, PurgeFiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal, Self
from urllib.parse import quote, unquote

from pydantic import BeforeValidator, Field, model_validator

from kestrapy.plugins.globs import matcher
from kestrapy.plugins.properties import (
    Expression,
    Instant,
    Properties,
    Text,
    TextList,
    TextMap,
    from_json,
)
from kestrapy.plugins.rendering import as_list, as_map
from kestrapy.plugins.tasks.namespace_files import files_of, namespaces_with_files
from kestrapy.plugins.tasks.namespaces import OfNamespaces
from kestrapy.plugins.tasks.script_files import match
from kestrapy.ports.blobs import SCHEME
from kestrapy.ports.places import namespace_files
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

_Opener = Callable[[], IO[bytes]]


class UploadFilesProperties(Properties):
    """namespace: whose files these become. files: URIs, or globs of the working directory; or URIs
    by path. filesMap: URIs by path. destination: the folder of those that have no path, ``/`` by
    default. conflict: of a path that is there already: OVERWRITE (the default), ERROR or SKIP.
    """

    namespace: Text
    files: Annotated[
        list[Text] | dict[str, Text] | Expression | None, BeforeValidator(from_json)
    ] = None
    files_map: TextMap | None = None
    destination: Text = "/"
    conflict: Literal["OVERWRITE", "ERROR", "SKIP"] | Expression = "OVERWRITE"

    @model_validator(mode="after")
    def check_files(self) -> Self:
        if self.files is None and self.files_map is None:
            raise ValueError("files or filesMap is required")
        return self


class UploadFilesTask:
    """``io.kestra.plugin.core.namespace.UploadFiles``: ``outputs.files``, URIs by path."""

    def run(self, properties: UploadFilesProperties, context: TaskContext) -> TaskOutcome:
        folder = namespace_files(properties.namespace)
        stored: dict[str, str] = {}
        for path, opened in _sources(properties, context):
            if context.ending:
                raise TaskFailed("The run was ended before its time")
            target = f"{folder}/{quote(path)}"
            if properties.conflict != "OVERWRITE" and context.shared.exists(target):
                if properties.conflict == "SKIP":
                    continue
                raise TaskFailed(f"/{path} is there already, and conflict is ERROR")
            with opened() as content:
                context.shared.put(target, content)
            stored[f"/{path}"] = target
        return TaskOutcome(outputs={"files": stored})


def _sources(
    properties: UploadFilesProperties, context: TaskContext
) -> Iterator[tuple[str, _Opener]]:
    """Each path among the namespace's files, and what opens its content."""
    listed, mapped = properties.files or {}, properties.files_map or {}
    if isinstance(listed, dict):
        mapped, listed = {**listed, **as_map(mapped)}, []
    for path, uri in as_map(mapped).items():
        yield _path("", path), partial(context.blobs.open, uri)
    for entry in as_list(listed):
        if entry.startswith(f"{SCHEME}/"):
            name = PurePosixPath(unquote(entry)).name
            yield _path(properties.destination, name), partial(context.blobs.open, entry)
            continue
        for name, file in match(context.working_dir, [entry]):
            yield _path(properties.destination, name), partial(_open, file)


def _open(file: Path) -> IO[bytes]:
    return file.open("rb")


def _path(folder: str, name: str) -> str:
    path = f"{folder.strip('/')}/{name.strip('/')}".strip("/")
    if not path or {"", ".", ".."} & set(path.split("/")):
        raise TaskFailed(f"{name!r} in {folder!r} is no path of a file")
    return path


class DownloadFilesProperties(Properties):
    """namespace: whose files. files: globs, or one. destination: a folder to begin the names of
    the copies with, none by default.
    """

    namespace: Text
    files: TextList | Text
    destination: Text = ""


class DownloadFilesTask:
    """``io.kestra.plugin.core.namespace.DownloadFiles``: copies in the execution's storage.

    ``outputs.files``: URIs by path, each with a slash before it. The metric ``downloaded`` counts.
    """

    def run(self, properties: DownloadFilesProperties, context: TaskContext) -> TaskOutcome:
        copies: dict[str, str] = {}
        chosen = matcher(as_list(properties.files))
        for path, uri in files_of(properties.namespace, chosen, context):
            copy = context.output_uri(_path(properties.destination, path))
            with context.shared.open(uri) as content:
                context.blobs.put(copy, content)
            copies[f"/{path}"] = copy
        context.metric("downloaded", "counter", len(copies), {})
        return TaskOutcome(outputs={"files": copies})


class DeleteFilesProperties(Properties):
    """namespace: whose files. files: globs, or one. deleteParentFolder: folders that are empty then
    go too: they always do, as a folder is no more than a part of its files' paths.
    """

    namespace: Text
    files: TextList | Text
    delete_parent_folder: bool | Expression = False


class DeleteFilesTask:
    """``io.kestra.plugin.core.namespace.DeleteFiles``. The metric ``deleted`` counts."""

    def run(self, properties: DeleteFilesProperties, context: TaskContext) -> TaskOutcome:
        chosen = matcher(as_list(properties.files))
        found = files_of(properties.namespace, chosen, context)
        deleted = sum(context.shared.delete(uri) for _, uri in found)
        context.metric("deleted", "counter", deleted, {})
        return TaskOutcome()


class VersionBehavior(Properties):
    """type: version. before: only versions older than this date, and never the last one.
    keepAmount: how many versions of each file stay; none by default. One of both at most.
    """

    type: Literal["version"] | Expression = "version"
    before: Instant | None = None
    keep_amount: Annotated[int, Field(ge=0)] | Expression | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.before is not None and self.keep_amount is not None:
            raise ValueError("give `before` or `keepAmount`, not both")
        return self

    @property
    def keeps_the_last(self) -> bool:
        """Rendered."""
        return self.before is not None or bool(self.keep_amount)


class PurgeFilesProperties(OfNamespaces):
    """filePattern: a glob of their paths; all by default. behavior: which versions are deleted; all
    but the last by default.
    """

    file_pattern: Text | None = None
    behavior: VersionBehavior | None = None


class PurgeFilesTask:
    """``io.kestra.plugin.core.namespace.PurgeFiles``: ``outputs.size``, how many were deleted.

    A file has one version here, its present one: so none is deleted, unless none is to be kept.
    """

    def run(self, properties: PurgeFilesProperties, context: TaskContext) -> TaskOutcome:
        if properties.behavior is None or properties.behavior.keeps_the_last:
            context.log("INFO", "no file has an older version: there is nothing to purge")
            return TaskOutcome(outputs={"size": 0})
        pattern = properties.file_pattern
        chosen = matcher(["**" if pattern is None else pattern])
        size = 0
        for namespace in namespaces_with_files(context.shared):
            if properties.chooses(namespace):
                found = files_of(namespace, chosen, context)
                size += sum(context.shared.delete(uri) for _, uri in found)
        return TaskOutcome(outputs={"size": size})
