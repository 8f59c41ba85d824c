"""What of internal storage a task may use: its reach, over the port ``Blobs``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from kestrapy.errors import UserError
from kestrapy.ports.blobs import SCHEME, Blobs
from kestrapy.ports.places import (
    FILES,
    PAIRS,
    STATES,
    execution_folder,
    namespace_caches,
    namespace_files,
    namespace_pairs,
    namespace_states,
)


class Reach:
    """The port ``Blobs``, for the folders in writable, and for reading those in readable too.

    Anything else is refused with UserError. Folders: URIs without a last slash.
    """

    def __init__(self, blobs: Blobs, writable: tuple[str, ...], readable: tuple[str, ...] = ()):
        self._blobs = blobs
        self._writable = writable
        self._readable = (*writable, *readable)

    def put(self, uri: str, content: IO[bytes]) -> None:
        self._check(uri, self._writable)
        self._blobs.put(uri, content)

    def create(self, uri: str, content: IO[bytes]) -> bool:
        self._check(uri, self._writable)
        return self._blobs.create(uri, content)

    def open(self, uri: str) -> IO[bytes]:
        self._check(uri, self._readable)
        return self._blobs.open(uri)

    def fetch(self, uri: str, target: Path) -> None:
        self._check(uri, self._readable)
        self._blobs.fetch(uri, target)

    def exists(self, uri: str) -> bool:
        self._check(uri, self._readable)
        return self._blobs.exists(uri)

    def size(self, uri: str) -> int:
        self._check(uri, self._readable)
        return self._blobs.size(uri)

    def delete(self, uri: str) -> bool:
        self._check(uri, self._writable)
        return self._blobs.delete(uri)

    def list(self, prefix: str) -> Iterator[str]:
        self._check(f"{prefix.removesuffix('/')}/", self._readable)
        return self._blobs.list(prefix)

    def _check(self, uri: str, folders: tuple[str, ...]) -> None:
        """Names alone: what leads up with ``..`` the storage itself refuses."""
        if uri.startswith(f"{SCHEME}/") and not uri.startswith(tuple(f"{it}/" for it in folders)):
            known = ", ".join(f"{it}/" for it in folders)
            raise UserError(
                f"{uri} is out of this task's reach, which is {known}:"
                " hand the file over as an input, or keep it among the namespace's files"
            )


def reach_of_run(
    blobs: Blobs, namespace: str, flow_id: str, execution_id: str, variables: Mapping[str, Any]
) -> Reach:
    """A task's own execution and namespace; to read, also the execution that started its own, and
    the first one of which its own is a replay.

    variables: of the job, as many as it has.
    """
    own = execution_folder(namespace, flow_id, execution_id)
    readable: tuple[str, ...] = ()
    match variables.get("trigger"):
        case {"executionId": str(starter), "namespace": str(of), "flowId": str(flow)}:
            readable += (execution_folder(of, flow, starter),)
    match variables.get("execution"):
        case {"originalId": str(original)} if original != execution_id:
            readable += (execution_folder(namespace, flow_id, original),)
    shared = tuple(
        of(namespace)
        for of in (namespace_files, namespace_pairs, namespace_states, namespace_caches)
    )
    return Reach(blobs, (own, *shared), readable)


def reach_of_namespaces(blobs: Blobs) -> Reach:
    """The files, pairs and states of all namespaces."""
    return Reach(blobs, (FILES, PAIRS, STATES))
