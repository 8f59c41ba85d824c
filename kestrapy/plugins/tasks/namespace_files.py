"""Files of a namespace: found, and put into a working directory by the property
``namespaceFiles``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from pydantic import Field

from kestrapy.plugins.globs import chooser
from kestrapy.plugins.properties import Expression, Properties, TextList
from kestrapy.plugins.rendering import as_list
from kestrapy.plugins.tasks.script_files import place_below
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.places import FILES, namespace_files
from kestrapy.ports.tasks import TaskContext, TaskFailed


def files_of(
    namespace: str, chosen: Callable[[str], bool], context: TaskContext
) -> Iterator[tuple[str, str]]:
    """Paths, such as ``scripts/main.py``, and URIs of the files of a namespace that are chosen."""
    folder = namespace_files(namespace)
    for uri in context.shared.list(folder):
        if context.ending:
            raise TaskFailed("The run was ended before its time")
        path = unquote(uri[len(folder) + 1 :])
        if chosen(path):
            yield path, uri


def namespaces_with_files(blobs: Blobs) -> list[str]:
    """All namespaces that have files, in order."""
    return sorted({unquote(uri[len(FILES) + 1 :].split("/", 1)[0]) for uri in blobs.list(FILES)})


class NamespaceFiles(Properties):
    """enabled: true by default. include, exclude: globs of paths; all by default.

    namespaces: whose files, the flow's own by default; of a path that several have the last is
    taken. ifExists: of a path that is there already: OVERWRITE (the default), FAIL, WARN or IGNORE.
    folderPerNamespace: each namespace's files in a folder of its name, false by default.
    """

    enabled: bool | Expression = True
    include: TextList = Field(default_factory=list)
    exclude: TextList = Field(default_factory=list)
    namespaces: TextList | None = None
    if_exists: Literal["OVERWRITE", "FAIL", "WARN", "IGNORE"] | Expression = "OVERWRITE"
    folder_per_namespace: bool | Expression = False

    def load(self, context: TaskContext) -> None:
        """Put the files into the working directory. Raises TaskFailed."""
        if not self.enabled:
            return
        named = [context.namespace] if self.namespaces is None else as_list(self.namespaces)
        chosen = chooser(as_list(self.include), as_list(self.exclude))
        for namespace in named:
            root = context.working_dir
            if self.folder_per_namespace:
                root = root / namespace
            for path, uri in files_of(namespace, chosen, context):
                self._put(uri, place_below(root, path), path, context)

    def _put(self, uri: str, target: Path, path: str, context: TaskContext) -> None:
        if target.exists():
            if self.if_exists == "FAIL":
                raise TaskFailed(f"namespaceFiles: {path} is there already, and ifExists is FAIL")
            if self.if_exists == "WARN":
                context.log("WARN", f"namespaceFiles: {path} is there already, and is kept")
            if self.if_exists in ("WARN", "IGNORE"):
                return
        context.shared.fetch(uri, target)
