"""Key-value pairs of namespaces: one small file for each, with its metadata, in internal storage.

A file is replaced as a whole, so readers see one write or another; the last of two writers wins.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args
from urllib.parse import quote, unquote

import msgspec

from kestrapy.errors import Conflict, NotFound, UserError
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.places import PAIRS, namespace_pairs

MAX_BYTES = 1024 * 1024
"""Of a pair's file; larger values belong into a file of the namespace."""

PairType = Literal["STRING", "NUMBER", "BOOLEAN", "DATETIME", "DATE", "DURATION", "JSON"]
TYPES: tuple[str, ...] = get_args(PairType)

_KEY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}")
_SUFFIX = ".json"


class Pair(msgspec.Struct, frozen=True):
    """value: JSON; dates and durations as ISO-8601 texts. Times: epoch ms; expires: None never."""

    value: Any
    type: str
    description: str | None = None
    created: int = 0
    updated: int = 0
    expires: int | None = None


class Pairs:
    """The pairs of one namespace. now: epoch ms; what has expired by then is not there."""

    def __init__(self, blobs: Blobs, namespace: str, now: int):
        self._blobs = blobs
        self._namespace = namespace
        self._folder = namespace_pairs(namespace)
        self._now = now

    def get(self, key: str) -> Pair | None:
        pair = self._read(self._uri(key))
        return pair if pair and not self._is_over(pair) else None

    def put(self, key: str, pair: Pair, overwrite: bool = True) -> None:
        """Created and updated are set here. Raises Conflict where one is there and overwrite is
        false, UserError for a key that can't be one and for a value that is too large.
        """
        uri = self._uri(key)
        before = self._read(uri)
        if before and self._is_over(before):
            self._blobs.delete(uri)
            before = None
        created = before.created if before else self._now
        content = msgspec.json.encode(
            msgspec.structs.replace(pair, created=created, updated=self._now)
        )
        if len(content) > MAX_BYTES:
            raise UserError(
                f"the value of {key!r} has {len(content)} bytes, at most {MAX_BYTES} are kept:"
                " put it into a file of the namespace"
            )
        if overwrite:
            self._blobs.put(uri, io.BytesIO(content))
        elif not self._blobs.create(uri, io.BytesIO(content)):
            raise Conflict(
                f"the namespace {self._namespace} has the key {key!r} already, and `overwrite` is"
                " false"
            )

    def delete(self, key: str) -> bool:
        """-> whether it was there."""
        there = self.get(key) is not None
        return self._blobs.delete(self._uri(key)) and there

    def entries(self, prefix: str = "", expired: bool = False) -> Iterator[tuple[str, Pair]]:
        """Keys and pairs, by key. expired: those that have expired, else the others."""
        for key in self.keys_stored(prefix):
            pair = self._read(self._uri(key))
            if pair and self._is_over(pair) == expired:
                yield key, pair

    def keys_stored(self, prefix: str = "") -> Iterator[str]:
        """All keys, also of pairs that have expired."""
        for uri in self._blobs.list(self._folder):
            key = unquote(uri[len(self._folder) + 1 :]).removesuffix(_SUFFIX)
            if key.startswith(prefix):
                yield key

    def remove(self, key: str) -> bool:
        """Delete, whether expired or not. -> whether something was there."""
        return self._blobs.delete(self._uri(key))

    def _uri(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise UserError(
                f"{key[:80]!r} is no key: it begins with a letter or a digit, and has up to 200"
                " letters, digits, dots, dashes and underscores"
            )
        return f"{self._folder}/{quote(key)}{_SUFFIX}"

    def _read(self, uri: str) -> Pair | None:
        try:
            with self._blobs.open(uri) as content:
                return msgspec.json.decode(content.read(MAX_BYTES), type=Pair)
        except NotFound:
            return None

    def _is_over(self, pair: Pair) -> bool:
        return pair.expires is not None and pair.expires <= self._now


def namespaces_with_pairs(blobs: Blobs) -> list[str]:
    """All namespaces that have pairs, in order."""
    found = {uri[len(PAIRS) + 1 :].split("/", 1)[0] for uri in blobs.list(PAIRS)}
    return sorted(unquote(it) for it in found)


def upwards(namespace: str) -> list[str]:
    """company.team → company.team, company."""
    names = namespace.split(".")
    return [".".join(names[:count]) for count in range(len(names), 0, -1)]


def find_pair(
    blobs: Blobs, namespaces: Sequence[str], key: str, now: int, error_on_missing: bool
) -> Any:
    """The value of a key, of the first namespace that has it; null where none does. now: epoch ms.
    Raises UserError.
    """
    for name in namespaces:
        pair = Pairs(blobs, name, now).get(key)
        if pair is not None:
            return pair.value
    if error_on_missing:
        raise UserError(
            f"The key '{key}' does not exist in the namespace '{namespaces[0]}'."
            " Set it, or give errorOnMissing=false"
        )
    return None
