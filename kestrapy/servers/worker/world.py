"""The world as the expressions of one task run see it: time, chance, files, key-value pairs."""

from __future__ import annotations

import binascii
import json
import socket
from base64 import b64decode
from collections.abc import Callable, Collection, Iterable, Set
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote

from kestrapy.errors import UserError
from kestrapy.machine.outputs import LogEntry
from kestrapy.plugins.expression_http import fetch
from kestrapy.plugins.pairs import find_pair, upwards
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.cipher import Cipher
from kestrapy.ports.clock import Clock, Entropy
from kestrapy.ports.places import FILES, namespace_files
from kestrapy.ports.secrets import Secrets
from kestrapy.wire.kestra_json import log_json

MOST_ERRORS = 100
"""Log entries that ``errorLogs()`` gives, the oldest ones."""


class Beyond(NamedTuple):
    """What is read outside of internal storage. secrets: None without a store. keyed: a cipher for
    a key of 32 bytes. lines: what the execution has logged. heard: told each secret that is read.
    made: told the texts that an expression made of secrets. hidden: the secrets known so far.
    """

    secrets: Secrets | None = None
    keyed: Callable[[bytes], Cipher] | None = None
    lines: Callable[[], Iterable[LogEntry]] = lambda: ()
    heard: Callable[[str], None] = lambda _: None
    made: Callable[[Collection[str]], None] = lambda _: None
    hidden: Callable[[], Set[str] | None] = lambda: None


class WorkerWorld:
    """``language.expression.World`` of a task run.

    blobs: what is within the run's reach. shared: what namespaces keep. namespace: the flow's.
    """

    def __init__(
        self,
        blobs: Blobs,
        shared: Blobs,
        namespace: str,
        clock: Clock,
        entropy: Entropy,
        beyond: Beyond | None = None,
    ):
        self._beyond = beyond or Beyond()
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
        names = [namespace] if namespace else upwards(self._namespace)
        return find_pair(self._shared, names, key, self._clock.wall(), error_on_missing)

    def port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("", 0))
            return int(probe.getsockname()[1])

    def secret(self, key: str, namespace: str | None, subkey: str | None) -> str:
        found = None
        if self._beyond.secrets is not None:
            found = self._beyond.secrets.find(key, namespace or self._namespace)
        if found is None:
            raise UserError(f"Cannot find secret for key '{key}'.")
        self._beyond.heard(found)
        return found if subkey is None else self._part(key, found, subkey)

    def hidden(self) -> Set[str] | None:
        return self._beyond.hidden()

    def made(self, texts: Collection[str]) -> None:
        self._beyond.made(texts)

    def _part(self, key: str, text: str, subkey: str) -> str:
        """Of a secret that is a JSON map."""
        try:
            value = json.loads(text)[subkey]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"Cannot find secret sub-key '{subkey}' in '{key}'.") from None
        part = value if isinstance(value, str) else json.dumps(value)
        self._beyond.heard(part)
        return part

    def http(self, request: dict[str, Any]) -> Any:
        return fetch(request)

    def error_logs(self) -> list[dict[str, Any]]:
        errors = (it for it in self._beyond.lines() if it.level == "ERROR")
        return [log_json(it) for it in islice(errors, MOST_ERRORS)]

    def encrypt(self, key: str, text: str) -> str:
        return self._keyed(key).encrypt(text)

    def decrypt(self, key: str, text: str) -> str:
        found = self._keyed(key).decrypt(text)
        self._beyond.heard(found)
        return found

    def _keyed(self, key: str) -> Cipher:
        if self._beyond.keyed is None:
            raise UserError("encrypt and decrypt: this worker has no cipher for keys of flows")
        try:
            return self._beyond.keyed(b64decode(key, validate=True))
        except (binascii.Error, ValueError):
            raise UserError("encrypt and decrypt: the key must be 32 bytes in Base64") from None
