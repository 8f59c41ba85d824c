"""Internal storage in a bucket of S3, or of what speaks its language. Needs the extra ``s3``.

Credentials come as all of AWS's clients look for them: environment, profile, role of the machine.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

from kestrapy.adapters.blobs.paths import names_in
from kestrapy.errors import NotFound, OperatorError, SettingsRefused, StorageUnavailable
from kestrapy.ports.blobs import SCHEME

try:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    raise SettingsRefused(
        "storage.type is s3, which needs boto3: install kestrapy-server[s3]"
    ) from None

_IN_MEMORY = 1024 * 1024
"""Bytes of a content that is stored once which are kept in memory; more goes into a file."""
_MISSING = ("404", "NoSuchKey")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class S3Blobs:
    """The port ``Blobs`` over a bucket, which has to exist. Safe from any thread.

    prefix: what all keys begin with, a folder's name or nothing. Raises StorageUnavailable, from
    every method, where the bucket can't be reached or refuses.
    """

    def __init__(self, bucket: str, prefix: str, endpoint: str | None, region: str | None):
        self._bucket = bucket
        self._prefix = [name for name in prefix.split("/") if name]
        settings = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},
            request_checksum_calculation="when_required",  # not all others know these checksums
            response_checksum_validation="when_required",
        )
        self._client: Any = boto3.client(
            "s3", endpoint_url=endpoint, region_name=region, config=settings
        )
        # In this thread: a run that is ended stops its stream, and nothing reads on.
        self._transfer = TransferConfig(use_threads=False)

    def put(self, uri: str, content: IO[bytes]) -> None:
        key = self._key(uri)
        with _told(uri):
            self._client.upload_fileobj(_Kept(content), self._bucket, key, Config=self._transfer)

    def create(self, uri: str, content: IO[bytes]) -> bool:
        key = self._key(uri)
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy, _told(uri):
            shutil.copyfileobj(content, copy)
            copy.seek(0)
            try:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=copy, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) in _TAKEN:
                    return False
                raise
        return True

    def open(self, uri: str) -> IO[bytes]:
        key = self._key(uri)
        with _told(uri):
            found = self._client.get_object(Bucket=self._bucket, Key=key)
        return cast(IO[bytes], found["Body"])

    def fetch(self, uri: str, target: Path) -> None:
        with self.open(uri) as content, _told(uri), target.open("wb") as file:
            shutil.copyfileobj(content, file)

    def exists(self, uri: str) -> bool:
        try:
            self.size(uri)
        except NotFound:
            return False
        return True

    def size(self, uri: str) -> int:
        key = self._key(uri)
        with _told(uri):
            return int(self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"])

    def delete(self, uri: str) -> bool:
        there = self.exists(uri)
        with _told(uri):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(uri))
        return there

    def list(self, prefix: str) -> Iterator[str]:
        root = prefix == f"{SCHEME}/"
        folder = self._prefix if root else [*self._prefix, *names_in(prefix.removesuffix("/"))]
        begin = "".join(f"{name}/" for name in folder)
        own = sum(len(name) + 1 for name in self._prefix)
        pages = self._client.get_paginator("list_objects_v2")
        with _told(prefix):
            for page in pages.paginate(Bucket=self._bucket, Prefix=begin):
                for found in page.get("Contents", ()):
                    yield f"{SCHEME}/{quote(found['Key'][own:])}"

    def _key(self, uri: str) -> str:
        return "/".join([*self._prefix, *names_in(uri)])


class _Kept:
    """A content that an upload reads and does not close: it is its giver's."""

    def __init__(self, content: IO[bytes]):
        self._content = content

    def read(self, size: int = -1) -> bytes:
        return self._content.read(size)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """Errors of the client, as this project's."""
    try:
        yield
    except ClientError as error:
        if _code(error) in _MISSING:
            raise NotFound(f"{uri} is not in the internal storage") from None
        raise _unavailable(uri, error) from None
    except BotoCoreError as error:
        raise _unavailable(uri, error) from None


def _unavailable(uri: str, error: Exception) -> OperatorError:
    return StorageUnavailable(f"{uri}: the internal storage did not do what it was asked: {error}")
