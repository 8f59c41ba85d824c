"""Internal storage: files of executions, by ``kestra:///`` URI. Adapter:
``adapters.blobs.local``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

SCHEME = "kestra://"


class Blobs(Protocol):
    """Files by URI, such as ``kestra:///company/team/flow/executions/<id>/inputs/file/data.csv``.

    A URI that is not of the scheme, or has ``..`` in its path, is refused with ``UserError``.
    """

    def put(self, uri: str, content: IO[bytes]) -> None:
        """Store content, replacing what was there; readers see all of it or none."""

    def create(self, uri: str, content: IO[bytes]) -> bool:
        """Store content unless something is there; of many at once one does. -> whether it did."""

    def open(self, uri: str) -> IO[bytes]:
        """Raises NotFound."""

    def fetch(self, uri: str, target: Path) -> None:
        """Copy into a file. Raises NotFound."""

    def exists(self, uri: str) -> bool: ...

    def size(self, uri: str) -> int:
        """In bytes. Raises NotFound."""

    def delete(self, uri: str) -> bool:
        """-> whether it was there."""

    def list(self, prefix: str) -> Iterator[str]:
        """URIs below a folder's URI, in order."""
