"""A client of a webserver's REST API, as much of it as the demo needs.

Python's own urllib does for that: an HTTP library is worth a dependency when connections are kept
and many requests go out at once.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from kestrapy.adapters.system import SystemEntropy
from kestrapy.errors import OperatorError, UserError
from kestrapy.model.flow import TENANT
from kestrapy.model.state import State
from kestrapy.wire.kestra_json import Json

PAUSE = 0.1
"""Seconds between two attempts."""
SAVE_ATTEMPTS = 6
"""Each takes the webserver up to 10 s, in which an executor should have come up."""
FOLLOW_ATTEMPTS = 300
_REFUSED = range(400, 500)


class NotNow(OperatorError):
    """The server is up, and what it needs is not: the request may be sent again."""


class RestClient:
    """url: such as http://127.0.0.1:8080. timeout: seconds without any answer of a request.

    Methods raise UserError for what the server refuses, and OperatorError where it can't be reached
    or can't do it.
    """

    def __init__(self, url: str, timeout: float = 30):
        self.url = url
        self._api = f"{url}/api/v1/{TENANT}"
        self._timeout = timeout
        # A proxy of the environment is for the world outside, not for a server that one starts.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._pause = threading.Event()

    def await_up(self, attempts: int, check: Callable[[], None] = lambda: None) -> None:
        """Return once the server is healthy. check: called after each failed attempt."""
        for _ in range(attempts):
            try:
                with self._open(f"{self.url}/health"):
                    return
            except (OperatorError, UserError):
                check()
                self._pause.wait(PAUSE)
        raise OperatorError(f"{self.url} did not become healthy after {attempts} attempts")

    def save(self, namespace: str, flow_id: str, source: str) -> None:
        """Make a new flow; asks again while no executor is up that could save it."""
        for attempt in range(1, SAVE_ATTEMPTS + 1):
            try:
                self._open(f"{self._api}/flows", source.encode(), "application/x-yaml").close()
                return
            except NotNow:
                # Nobody answered in time, but it may have been saved since.
                if self._exists(namespace, flow_id):
                    return
                if attempt == SAVE_ATTEMPTS:
                    raise
                self._pause.wait(PAUSE)

    def submit(self, namespace: str, flow_id: str, files: Mapping[str, Path]) -> str:
        """Start an execution. files: of its FILE inputs; others have defaults. -> its id"""
        boundary = SystemEntropy().token()
        body = b"".join(_part(boundary, name, path) for name, path in files.items())
        body += f"--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        with self._open(f"{self._api}/executions/{namespace}/{flow_id}", body, kind) as answer:
            return str(json.load(answer)["id"])

    def follow(self, execution_id: str) -> Iterator[Json]:
        """The execution each time that something of it changes; last as it ended."""
        attempts = 0
        while True:
            try:
                with self._open(f"{self._api}/executions/{execution_id}/follow") as events:
                    for execution in _documents(events):
                        attempts = 0
                        yield execution
                        if State(execution["state"]["current"]).is_terminal:
                            return
            except (OperatorError, OSError, http.client.HTTPException):
                # The webserver may be on its way up again; what is missed comes with its answer.
                attempts += 1
                if attempts == FOLLOW_ATTEMPTS:
                    raise
            self._pause.wait(PAUSE)

    def file(self, execution_id: str, uri: str) -> bytes:
        """The content of a file of the execution. uri: ``kestra:///…``."""
        place = f"{self._api}/executions/{execution_id}/file?path={quote(uri, safe='')}"
        with self._open(place) as content:
            return content.read()

    def logs(self, execution_id: str, lowest: str) -> list[Json]:
        """Its log lines of this level and above."""
        with self._open(f"{self._api}/logs/{execution_id}?minLevel={lowest}") as answer:
            found: list[Json] = json.load(answer)
            return found

    def _exists(self, namespace: str, flow_id: str) -> bool:
        try:
            self._open(f"{self._api}/flows/{namespace}/{flow_id}").close()
        except UserError:
            return False
        return True

    def _open(self, url: str, body: bytes | None = None, kind: str = "") -> IO[bytes]:
        request = urllib.request.Request(  # noqa: S310  # the url is of this class's making
            url, body, {"Content-Type": kind} if kind else {}
        )
        try:
            answer: IO[bytes] = self._opener.open(request, timeout=self._timeout)
            return answer
        except urllib.error.HTTPError as error:
            with error:
                message = _message(error)
            if error.code in _REFUSED:
                raise UserError(message) from None
            if error.code == http.HTTPStatus.SERVICE_UNAVAILABLE:
                raise NotNow(message) from None
            raise OperatorError(f"{url}: {error.code} {message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise OperatorError(f"{url} can't be reached: {error}") from error


def _part(boundary: str, name: str, path: Path) -> bytes:
    """A file in a form."""
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{name}"; filename="{quote(path.name)}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + path.read_bytes() + b"\r\n"


def _documents(events: IO[bytes]) -> Iterator[Json]:
    """The data of server-sent events; each is on one line here."""
    for line in events:
        if line.startswith(b"data: "):
            document: Json = json.loads(line.removeprefix(b"data: "))
            yield document


def _message(error: urllib.error.HTTPError) -> str:
    text = error.read().decode("utf-8", "replace")
    try:
        found: Any = json.loads(text)
        return str(found["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200] or str(error.reason)
