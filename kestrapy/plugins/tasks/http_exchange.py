"""One HTTP request of a task: what is sent, and its answer in pieces, in bounded sizes, broken off
when the run ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from pathlib import PurePosixPath
from typing import IO, Annotated, Any, NamedTuple, TypeVar
from urllib.parse import unquote

import httpx
from pydantic import BeforeValidator, Field

from kestrapy.plugins.properties import (
    Expression,
    Properties,
    Text,
    TextMap,
    from_json,
    to_text,
)
from kestrapy.plugins.rendering import as_list, as_map
from kestrapy.plugins.tasks.http_logs import ExchangeLogs
from kestrapy.plugins.tasks.http_options import Options, Ssl
from kestrapy.ports.blobs import SCHEME
from kestrapy.ports.tasks import TaskContext, TaskFailed

_ENDED = "The run was ended before its time"
T = TypeVar("T")


class HttpProperties(Properties):
    """uri: of the server, and what is asked of it. method: GET by default. params: added to the
    query. headers: texts by name.

    body: a text. formData: fields by name, sent as a form; with contentType multipart/form-data a
    URI of internal storage is sent as a file, and so is a map of name and content. contentType:
    application/json by default. options: see there. allowFailed, sslOptions: older places of
    options.
    """

    uri: Text
    method: Text = "GET"
    params: TextMap = Field(default_factory=dict)
    headers: TextMap = Field(default_factory=dict)
    body: Text | None = None
    form_data: Annotated[dict[str, Any] | Expression | None, BeforeValidator(from_json)] = None
    content_type: Text | None = None
    options: Options = Options()
    allow_failed: bool | Expression | None = None
    ssl_options: Ssl | None = None

    def chosen_options(self) -> Options:
        older = {"allow_failed": self.allow_failed, "ssl": self.ssl_options}
        given = {name: value for name, value in older.items() if value is not None}
        return self.options.model_copy(update=given)


class Answer(NamedTuple):
    """An answer that has begun, and who logs it."""

    response: httpx.Response
    logs: ExchangeLogs


def run_exchange(
    work: Coroutine[Any, Any, T], properties: HttpProperties, context: TaskContext
) -> T:
    """Do it on an event loop of its own; the run's end cancels it. Raises TaskFailed."""
    try:
        return asyncio.run(_until_end(work, context))
    except asyncio.CancelledError:
        raise TaskFailed(_ENDED) from None
    except httpx.TimeoutException as error:
        reason = "connecting" if isinstance(error, httpx.ConnectTimeout) else "the answer"
        raise TaskFailed(f"{place(properties)}: {reason} took too long") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TaskFailed(f"{place(properties)}: {error or type(error).__name__}") from None


async def _until_end(work: Coroutine[Any, Any, T], context: TaskContext) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def cancel() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    with context.on_end(cancel):
        return await task


@asynccontextmanager
async def answering(
    properties: HttpProperties, options: Options, context: TaskContext
) -> AsyncIterator[Answer]:
    """Sends the request. The answer can be read within the block."""
    headers = as_map(properties.headers)
    url = httpx.URL(properties.uri.replace(" ", "%20"))
    if properties.params:
        url = url.copy_merge_params(as_map(properties.params))
    with ExitStack() as opened:
        sent = _sent(properties, options, context, opened)
        names = {name.lower() for name in headers}
        kind = properties.content_type or ("application/json" if "content" in sent else None)
        if kind and "content-type" not in names and properties.form_data is None:
            headers = {**headers, "Content-Type": kind}
        wanted = [] if options.logs is None else as_list(options.logs)
        logs = ExchangeLogs(wanted, lambda: _for_people(properties), context)
        async with (
            httpx.AsyncClient(**options.client_settings(), event_hooks=logs.hooks()) as client,
            client.stream(properties.method, url, headers=headers, **sent) as response,
        ):
            yield Answer(response, logs)


def _for_people(properties: HttpProperties) -> str:
    """The request's body, not encoded: what is secret in it can be found and masked."""
    form = properties.form_data
    if isinstance(form, dict):
        return "\n".join(f"{name}={to_text(value)}" for name, value in form.items())
    return properties.body or ""


def _sent(
    properties: HttpProperties, options: Options, context: TaskContext, opened: ExitStack
) -> dict[str, Any]:
    """The request's body, as arguments of the client. opened: what closes its files."""
    form = properties.form_data
    if form is None:
        body = properties.body
        return {} if body is None else {"content": body.encode(options.default_charset, "replace")}
    if isinstance(form, str):
        raise TaskFailed("formData: expected a map")
    if properties.content_type != "multipart/form-data":
        return {"data": {name: to_text(value) for name, value in form.items()}}
    parts = [(name, _part(value, context, opened)) for name, value in form.items()]
    return {"files": parts}


def _part(value: Any, context: TaskContext, opened: ExitStack) -> tuple[str | None, Any]:
    """A field of a form: (None, text), or (the file's name, its content)."""
    match value:
        case {"name": name, "content": content}:
            text = to_text(content)
            return to_text(name), _content(text, context, opened)
        case str() if value.startswith(f"{SCHEME}/"):
            return PurePosixPath(unquote(value)).name, _content(value, context, opened)
        case _:
            return None, to_text(value)


def _content(text: str, context: TaskContext, opened: ExitStack) -> IO[bytes] | bytes:
    if not text.startswith(f"{SCHEME}/"):
        return text.encode()
    return opened.enter_context(context.blobs.open(text))


async def pieces(answer: Answer, limit: int, charset: str) -> AsyncIterator[bytes]:
    """Raises TaskFailed for more than limit bytes. charset: of the log of a text that says none."""
    size = 0
    async for piece in answer.response.aiter_bytes():
        size += len(piece)
        if size > limit:
            raise TaskFailed(
                f"the answer has more than {limit} bytes: raise options.maxContentLength, or use"
                " Download"
            )
        answer.logs.piece(piece)
        yield piece
    answer.logs.end(answer.response.charset_encoding or charset)


def limit_of(options: Options, default: int) -> int:
    """Bytes that an answer may have."""
    limit = options.max_content_length
    return limit if isinstance(limit, int) else default


def outputs_of(response: httpx.Response) -> dict[str, Any]:
    """code, headers (lists of texts by name), and uri."""
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.raw:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    url = response.request.url.copy_with(username=None, password=None)
    return {"code": response.status_code, "headers": headers, "uri": str(url)}


def check_code(response: httpx.Response, options: Options, outputs: dict[str, Any]) -> None:
    """Raises TaskFailed, with the outputs, for a code that the options call a failure."""
    if options.is_failure(response.status_code):
        request = response.request
        where = request.url.copy_with(username=None, password=None, query=None, fragment=None)
        raise TaskFailed(
            f"{request.method} {where} was answered with {response.status_code}", outputs
        )


def place(properties: HttpProperties) -> str:
    """What is asked of whom, without what may be secret: query, user and password."""
    try:
        url = httpx.URL(properties.uri).copy_with(
            username=None, password=None, query=None, fragment=None
        )
    except httpx.InvalidURL:
        return properties.method
    return f"{properties.method} {url}"
