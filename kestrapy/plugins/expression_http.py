"""What ``http()`` does in an expression that a worker renders."""

from __future__ import annotations

import json
from typing import Any

import httpx

from kestrapy.errors import UserError

TIMEOUT = 10.0
"""Seconds for each step of a request."""
LIMIT = 1_000_000
"""Bytes of an answer's body."""


def fetch(request: dict[str, Any]) -> Any:
    """The answer's body: a JSON value where it says that it is one, else text.

    request: see ``language.expression.World.http``. Raises UserError.
    """
    method = (request.get("method") or "GET").upper()
    headers = {name: str(value) for name, value in (request.get("headers") or {}).items()}
    for name, key in (("Content-Type", "contentType"), ("Accept", "accept")):
        if key in request:
            headers[name] = request[key]
    body = request.get("body")
    content = {"json": body} if isinstance(body, dict | list) else {"content": body}
    try:
        with (
            httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client,
            client.stream(
                method, request["uri"], params=request.get("query"), headers=headers, **content
            ) as answer,
        ):
            if answer.is_error:
                raise UserError(f"http: {method} was answered with {answer.status_code}")
            return _decoded(answer, _read(answer))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(f"http: {method} failed: {type(error).__name__}: {error}") from None


def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > LIMIT:
            raise UserError(f"http: the answer has more than {LIMIT:,} bytes: use an HTTP task")
    return bytes(body)


def _decoded(answer: httpx.Response, body: bytes) -> Any:
    text = body.decode(answer.charset_encoding or "utf-8", errors="replace")
    if "json" not in answer.headers.get("Content-Type", ""):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"http: the answer is no JSON: {error}") from None
