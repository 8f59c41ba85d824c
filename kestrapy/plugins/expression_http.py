"""What ``http()`` does in an expression that a worker renders."""

from __future__ import annotations

import json
from typing import Any

import httpx
import yaml

from kestrapy.errors import FlowRefused, UserError
from kestrapy.language.yaml_source import parse
from kestrapy.plugins.properties import validate_rendered
from kestrapy.plugins.tasks.http_options import Options
from kestrapy.ports.tasks import TaskFailed

TIMEOUT = 10.0
"""Seconds for each step of a request."""
_JSON = "application/json"
_YAML = "yaml"
"""Stands in the types of YAML: there are several."""
LIMIT = 1_000_000
"""Bytes of an answer's body."""


def fetch(request: dict[str, Any]) -> Any:
    """The answer's body: a JSON value where it says that it is JSON or YAML, else text.

    request: see ``language.expression.World.http``. Raises UserError.
    """
    method = (request.get("method") or "GET").upper()
    options, settings = _options(request.get("options"))
    try:
        with (
            httpx.Client(**settings) as client,
            client.stream(
                method,
                request["uri"],
                params=request.get("query"),
                headers=_headers(request),
                content=_content(request.get("body"), request.get("contentType") or _JSON),
            ) as answer,
        ):
            if options.is_failure(answer.status_code):
                raise UserError(f"http: {method} was answered with {answer.status_code}")
            return _decoded(answer, _read(answer))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(f"http: {method} failed: {type(error).__name__}: {error}") from None


def _options(given: Any) -> tuple[Options, dict[str, Any]]:
    """As those of an HTTP task. -> with what the client is made with."""
    named: dict[str, Any] = {} if given is None else given
    waits = {"timeout", "connectTimeout", "readTimeout", "readIdleTimeout"}
    try:
        options = validate_rendered(Options, named)
        settings = options.client_settings()
    except (TaskFailed, UserError) as error:
        raise UserError(f"http: options: {error}") from None
    return options, settings if waits & named.keys() else {**settings, "timeout": TIMEOUT}


def _headers(request: dict[str, Any]) -> httpx.Headers:
    """A name may have a list of values. What is sent and wanted is JSON, unless it is said."""
    found = [
        (name, str(one))
        for name, value in (request.get("headers") or {}).items()
        for one in (value if isinstance(value, list) else [value])
    ]
    headers = httpx.Headers(found)
    headers.setdefault("Accept", _JSON)
    if request.get("body") is not None:
        headers.setdefault("Content-Type", _JSON)
    for name, key in (("Content-Type", "contentType"), ("Accept", "accept")):
        if key in request:
            headers[name] = request[key]
    return headers


def _content(body: Any, content_type: str) -> str | None:
    """A text as it is, another value as YAML or JSON."""
    if body is None or isinstance(body, str):
        return body
    if _YAML in content_type:
        text: str = yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
        return text
    return json.dumps(body, ensure_ascii=False)


def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > LIMIT:
            raise UserError(f"http: the answer has more than {LIMIT:,} bytes: use an HTTP task")
    return bytes(body)


def _decoded(answer: httpx.Response, body: bytes) -> Any:
    text = body.decode(answer.charset_encoding or "utf-8", errors="replace")
    content_type = answer.headers.get("Content-Type", "")
    try:
        if "json" in content_type:
            return json.loads(text) if text.strip() else None
        return parse(text).data if _YAML in content_type else text
    except (ValueError, FlowRefused) as error:
        raise UserError(f"http: the answer is not what it says, {content_type}: {error}") from None
