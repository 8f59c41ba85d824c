"""What an expression may read beside its variables: given by a worker, never by the executor."""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import Any, Protocol


class World(Protocol):
    """The world as a worker shows it to an expression.

    Every method may raise UserError, which says what can't be had and why.
    """

    def now(self) -> int:
        """The time, in epoch milliseconds."""

    def random(self, count: int) -> bytes:
        """Fresh random bytes, count of them: for ids and for ``randomInt``."""

    def port(self) -> int:
        """A TCP port that nobody listens on just now."""

    def read(self, uri: str, limit: int) -> str:
        """A file's text, which must be UTF-8, of at most limit bytes.

        uri: of internal storage, or a namespace file's path.
        """

    def file_uri(self, path: str, namespace: str | None) -> str:
        """The URI of a namespace file. namespace: None for the flow's own."""

    def file_size(self, uri: str) -> int:
        """In bytes."""

    def file_exists(self, uri: str) -> bool:
        """Whether there is such a file."""

    def secret(self, key: str, namespace: str | None, subkey: str | None) -> str:
        """A secret in the clear. subkey: a name within a secret that is a JSON map."""

    def hidden(self) -> Set[str] | None:
        """The texts that nobody else may read; grows while they are read. None: there are none."""

    def made(self, texts: Collection[str]) -> None:
        """Told what an expression that read such a text gives, before anybody has it."""

    def kv(self, key: str, namespace: str | None, error_on_missing: bool) -> Any:
        """A value of the key-value store, a JSON value; None for one that is missing and may be."""

    def http(self, request: dict[str, Any]) -> Any:
        """The body of an HTTP answer, as a JSON value.

        request: ``uri``, and where given ``method``, ``body``, ``headers``, ``contentType``,
        ``accept``, ``query``, and ``options`` as an HTTP task has them.
        """

    def error_logs(self) -> list[dict[str, Any]]:
        """The execution's log entries of level ERROR, oldest first."""

    def encrypt(self, key: str, text: str) -> str:
        """Text, encrypted with a Base64 key."""

    def decrypt(self, key: str, text: str) -> str:
        """The opposite of ``encrypt``."""
