"""The world as the expressions of one task run see it: time, chance, and the execution's files."""

from __future__ import annotations

from typing import Any, Never

from kestrapy.errors import UserError
from kestrapy.ports.blobs import SCHEME, Blobs
from kestrapy.ports.clock import Clock, Entropy


class WorkerWorld:
    """``language.expression.World`` of a task run. blobs: what is within the run's reach."""

    def __init__(self, blobs: Blobs, clock: Clock, entropy: Entropy):
        self._blobs = blobs
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
        with self._blobs.open(uri) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise UserError(f"{uri} is larger than {limit:,} bytes: read it in a task")
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise UserError(f"{uri} is no UTF-8 text: read it in a task") from None

    def file_size(self, uri: str) -> int:
        return self._blobs.size(uri)

    def file_exists(self, uri: str) -> bool:
        return self._blobs.exists(uri)

    def port(self) -> int:
        _not_supported("free ports")

    def file_uri(self, path: str, namespace: str | None) -> str:
        _not_supported(f"the namespace file {path!r}: only {SCHEME}/ URIs of the execution")

    def secret(self, key: str, namespace: str | None, subkey: str | None) -> str:
        _not_supported("secrets")

    def kv(self, key: str, namespace: str | None, error_on_missing: bool) -> Any:
        _not_supported("the key-value store")

    def http(self, request: dict[str, Any]) -> Any:
        _not_supported("HTTP requests")

    def error_logs(self) -> list[dict[str, Any]]:
        _not_supported("error logs")

    def encrypt(self, key: str, text: str) -> str:
        _not_supported("encryption")

    def decrypt(self, key: str, text: str) -> str:
        _not_supported("encryption")


def _not_supported(what: str) -> Never:
    raise UserError(f"{what} in expressions: not supported by this build")
