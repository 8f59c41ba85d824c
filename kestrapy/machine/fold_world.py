"""The world as a fold has it: the log's time, and chance that is the same for whoever folds."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b
from typing import Any, NoReturn

from kestrapy.language.expression.scope import WorldNeeded


class FoldWorld:
    """``language.expression.World``: time and chance alone. at: epoch ms. seed: of the chance."""

    def __init__(self, at: int, seed: str):
        self._at = at
        self._seed = seed
        self._drawn = 0

    def now(self) -> int:
        return self._at

    def random(self, count: int) -> bytes:
        made = b""
        while len(made) < count:
            self._drawn += 1
            made += blake2b(f"{self._seed}/{self._at}/{self._drawn}".encode()).digest()
        return made[:count]

    def port(self) -> int:
        _refuse("randomPort")

    def read(self, uri: str, limit: int) -> str:
        _refuse("read")

    def file_uri(self, path: str, namespace: str | None) -> str:
        _refuse("fileURI")

    def file_size(self, uri: str) -> int:
        _refuse("fileSize")

    def file_exists(self, uri: str) -> bool:
        _refuse("fileExists")

    def secret(self, key: str, namespace: str | None, subkey: str | None) -> str:
        _refuse("secret")

    def hidden(self) -> None:
        return None

    def made(self, texts: Collection[str]) -> None:
        _refuse("secret")

    def kv(self, key: str, namespace: str | None, error_on_missing: bool) -> Any:
        _refuse("kv")

    def http(self, request: dict[str, Any]) -> Any:
        _refuse("http")

    def error_logs(self) -> list[dict[str, Any]]:
        _refuse("errorLogs")

    def encrypt(self, key: str, text: str) -> str:
        _refuse("encrypt")

    def decrypt(self, key: str, text: str) -> str:
        _refuse("decrypt")


def _refuse(name: str) -> NoReturn:
    raise WorldNeeded(
        f"`{name}` reads the world, which is not there where this is rendered: let a property of a"
        " task read it, by a call of its own, not within a text that is rendered"
    )
