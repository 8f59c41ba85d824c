"""The world as the expressions of one task run see it: time, chance, files, key-value pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Never
from urllib.parse import quote

from kestrapy.errors import UserError
from kestrapy.plugins.pairs import Pairs
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.clock import Clock, Entropy
from kestrapy.ports.places import FILES, namespace_files


class WorkerWorld:
    """``language.expression.World`` of a task run.

    blobs: what is within the run's reach. shared: what namespaces keep. namespace: the flow's.
    """

    def __init__(self, blobs: Blobs, shared: Blobs, namespace: str, clock: Clock, entropy: Entropy):
        self._blobs = blobs
        self._shared = shared
        self._namespace = namespace
        self._clock = clock
        self._entropy = entropy

    def now(self) -> int:
        return self._clock.wall()

    def random(self, count: int) -> bytes:
        made = b""
        while len(made) < count:
            made += bytes.fromhex(self._entropy.token())
        return made[:count]

    def read(self, uri: str, limit: int) -> str:
        with self._of(uri).open(uri) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise UserError(f"{uri} is larger than {limit:,} bytes: read it in a task")
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise UserError(f"{uri} is no UTF-8 text: read it in a task") from None

    def file_size(self, uri: str) -> int:
        return self._of(uri).size(uri)

    def file_exists(self, uri: str) -> bool:
        return self._of(uri).exists(uri)

    def file_uri(self, path: str, namespace: str | None) -> str:
        return f"{namespace_files(namespace or self._namespace)}/{quote(path.removeprefix('/'))}"

    def _of(self, uri: str) -> Blobs:
        """Files of any namespace can be read, of executions those within reach."""
        return self._shared if uri.startswith(f"{FILES}/") else self._blobs

    def kv(self, key: str, namespace: str | None, error_on_missing: bool) -> Any:
        """Without a namespace, the flow's is asked, and then those above it."""
        now = self._clock.wall()
        for name in (namespace,) if namespace else _upwards(self._namespace):
            pair = Pairs(self._shared, name, now).get(key)
            if pair is not None:
                return pair.value
        if error_on_missing:
            place = namespace or self._namespace
            raise UserError(
                f"The key '{key}' does not exist in the namespace '{place}'."
                " Set it, or give errorOnMissing=false"
            )
        return None

    def port(self) -> int:
        _not_supported("free ports")

    def secret(self, key: str, namespace: str | None, subkey: str | None) -> str:
        _not_supported("secrets")

    def http(self, request: dict[str, Any]) -> Any:
        _not_supported("HTTP requests")

    def error_logs(self) -> list[dict[str, Any]]:
        _not_supported("error logs")

    def encrypt(self, key: str, text: str) -> str:
        _not_supported("encryption")

    def decrypt(self, key: str, text: str) -> str:
        _not_supported("encryption")


def _upwards(namespace: str) -> Iterator[str]:
    """company.team → company.team, company."""
    names = namespace.split(".")
    return (".".join(names[:count]) for count in range(len(names), 0, -1))


def _not_supported(what: str) -> Never:
    raise UserError(f"{what} in expressions: not supported by this build")
