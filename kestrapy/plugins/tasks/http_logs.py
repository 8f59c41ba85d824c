"""What ``options.logs`` of an HTTP task has logged: requests and answers, without credentials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, Literal

import httpx

from kestrapy.ports.tasks import TaskContext

Logged = Literal["REQUEST_HEADERS", "REQUEST_BODY", "RESPONSE_HEADERS", "RESPONSE_BODY"]
MOST_LOGGED = 64 * 1024
"""Bytes of a body, from its beginning."""
_CREDENTIALS = ("authorization", "proxy-authorization", "cookie", "set-cookie")
"""Headers that are told by their names only: what they hold is encoded, no mask would find it."""
_STARS = "******"
_Hook = Callable[[Any], Awaitable[None]]


class ExchangeLogs:
    """Headers at DEBUG, bodies at TRACE, as in Kestra; those of redirects too. body: what is sent,
    for people. The context masks secrets.
    """

    def __init__(self, wanted: Collection[str], body: Callable[[], str], context: TaskContext):
        self._wanted = wanted
        self._body = body
        self._context = context
        self._answer = bytearray()
        self._size = 0

    def hooks(self) -> dict[str, list[_Hook]]:
        """Of an ``httpx.AsyncClient``."""
        return {"request": [self._sent], "response": [self._answered]}

    async def _sent(self, request: httpx.Request) -> None:
        if "REQUEST_HEADERS" in self._wanted:
            where = request.url.copy_with(username=None, password=None, query=None, fragment=None)
            said = [("method", request.method), ("uri", str(where))]
            self._context.log("DEBUG", _block("request:", said))
            self._context.log("DEBUG", _block("request headers:", _shown(request.headers)))
        if "REQUEST_BODY" in self._wanted:
            body = self._body().encode("utf-8", "replace")
            self._context.log("TRACE", f"request body:\n{_text(body[:MOST_LOGGED], len(body))}")

    async def _answered(self, response: httpx.Response) -> None:
        if "RESPONSE_HEADERS" in self._wanted:
            status = f"{response.status_code} {response.reason_phrase}".rstrip()
            self._context.log("DEBUG", _block("response:", [("status", status)]))
            self._context.log("DEBUG", _block("response headers:", _shown(response.headers)))

    def piece(self, content: bytes) -> None:
        """Of the last answer's body."""
        if "RESPONSE_BODY" in self._wanted:
            self._answer += content[: MOST_LOGGED - len(self._answer)]
            self._size += len(content)

    def end(self, charset: str) -> None:
        """The answer is complete."""
        if "RESPONSE_BODY" in self._wanted:
            shown = _text(bytes(self._answer), self._size, charset)
            self._context.log("TRACE", f"response body:\n{shown}")


def _block(head: str, pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join([head, *(f"    {name}: {value}" for name, value in pairs)])


def _shown(headers: httpx.Headers) -> list[tuple[str, str]]:
    return [
        (name, _STARS if name.lower() in _CREDENTIALS else value)
        for name, value in headers.multi_items()
    ]


def _text(beginning: bytes, size: int, charset: str = "utf-8") -> str:
    try:
        shown = beginning.decode(charset, "replace")
    except LookupError:
        shown = beginning.decode("utf-8", "replace")
    rest = size - len(beginning)
    return f"{shown}\n… and {rest:,} bytes more" if rest else shown
