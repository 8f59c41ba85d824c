"""Request and Download: HTTP, in bounded sizes, broken off when the run ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from email.message import Message
from pathlib import PurePosixPath
from typing import IO, Annotated, Any, TypeVar
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
from kestrapy.plugins.rendering import as_map
from kestrapy.plugins.tasks.http_options import Options, Ssl
from kestrapy.ports.blobs import SCHEME
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

MAX_BODY = 10 * 1024 * 1024
"""Bytes of an answer that becomes an output, unless options.maxContentLength says another limit."""
MAX_DOWNLOAD = 10 * 1024 * 1024 * 1024
"""The same of one that becomes a file."""

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


class RequestProperties(HttpProperties):
    __doc__ = (
        f"{HttpProperties.__doc__}    encryptBody: the answer's body becomes"
        " ``outputs.encryptedBody``, which only workers can read; false by default."
    )

    encrypt_body: bool | Expression = False


class RequestTask:
    """``io.kestra.plugin.core.http.Request``: ``outputs.code``, ``headers``, ``body``, ``uri``."""

    def run(self, properties: RequestProperties, context: TaskContext) -> TaskOutcome:
        options = properties.chosen_options()
        limit = _limit(options, MAX_BODY)

        async def exchange() -> TaskOutcome:
            async with _answer(properties, options, context) as response:
                body = b"".join([piece async for piece in _pieces(response, limit)])
            charset = response.charset_encoding or options.default_charset
            outputs = _outputs(response)
            if properties.encrypt_body:
                outputs["encryptedBody"] = _encrypted(_decoded(body, charset), context)
            else:
                outputs["body"] = _decoded(body, charset)
            _check_code(response, options, outputs)
            return TaskOutcome(outputs=outputs)

        return _run(exchange(), properties, context)


class DownloadProperties(HttpProperties):
    __doc__ = (
        f"{HttpProperties.__doc__}    failOnEmptyResponse: true by default. saveAs: the file's"
        " name; by default what the server calls it, or the last part of the uri."
    )

    fail_on_empty_response: bool | Expression = True
    save_as: Text | None = None


class DownloadTask:
    """``io.kestra.plugin.core.http.Download``: ``outputs.uri`` of the file in internal storage,
    ``code``, ``length`` and ``headers``.
    """

    def run(self, properties: DownloadProperties, context: TaskContext) -> TaskOutcome:
        options = properties.chosen_options()
        limit = _limit(options, MAX_DOWNLOAD)
        copy = context.working_dir / "download"

        async def exchange() -> httpx.Response:
            with copy.open("wb") as file:
                async with _answer(properties, options, context) as response:
                    async for piece in _pieces(response, limit):
                        file.write(piece)
            return response

        response = _run(exchange(), properties, context)
        length = copy.stat().st_size
        outputs = _outputs(response) | {"length": length}
        del outputs["uri"]
        _check_code(response, options, outputs)
        if not length and properties.fail_on_empty_response and not options.allow_failed:
            raise TaskFailed(f"{_place(properties)}: the answer is empty", outputs)
        uri = context.output_uri(_file_name(properties, response))
        with copy.open("rb") as content:
            context.blobs.put(uri, content)
        context.metric("response.length", "counter", length, {})
        return TaskOutcome(outputs={"uri": uri, **outputs})


def _run(work: Coroutine[Any, Any, T], properties: HttpProperties, context: TaskContext) -> T:
    """Do it on an event loop of its own; the run's end cancels it. Raises TaskFailed."""
    try:
        return asyncio.run(_until_end(work, context))
    except asyncio.CancelledError:
        raise TaskFailed(_ENDED) from None
    except httpx.TimeoutException as error:
        reason = "connecting" if isinstance(error, httpx.ConnectTimeout) else "the answer"
        raise TaskFailed(f"{_place(properties)}: {reason} took too long") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TaskFailed(f"{_place(properties)}: {error or type(error).__name__}") from None


async def _until_end(work: Coroutine[Any, Any, T], context: TaskContext) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def cancel() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    with context.on_end(cancel):
        return await task


@asynccontextmanager
async def _answer(
    properties: HttpProperties, options: Options, context: TaskContext
) -> AsyncIterator[httpx.Response]:
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
        async with (
            httpx.AsyncClient(**options.client_settings()) as client,
            client.stream(properties.method, url, headers=headers, **sent) as response,
        ):
            yield response


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


async def _pieces(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > limit:
            raise TaskFailed(
                f"the answer has more than {limit} bytes: raise options.maxContentLength, or use"
                " Download"
            )
        yield piece


def _limit(options: Options, default: int) -> int:
    limit = options.max_content_length
    return limit if isinstance(limit, int) else default


def _outputs(response: httpx.Response) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.raw:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    url = response.request.url.copy_with(username=None, password=None)
    return {"code": response.status_code, "headers": headers, "uri": str(url)}


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset)
    except (UnicodeDecodeError, LookupError):
        raise TaskFailed(f"the answer is no text in {charset}: use Download") from None


def _encrypted(text: str, context: TaskContext) -> Any:
    sealed = context.sealed(text)
    if isinstance(sealed, str):
        raise TaskFailed("encryptBody: this worker has no key: set its `encryption.secretKey`")
    return sealed


def _check_code(response: httpx.Response, options: Options, outputs: dict[str, Any]) -> None:
    if options.is_failure(response.status_code):
        request = response.request
        where = request.url.copy_with(username=None, password=None, query=None, fragment=None)
        raise TaskFailed(
            f"{request.method} {where} was answered with {response.status_code}", outputs
        )


def _place(properties: HttpProperties) -> str:
    """What is asked of whom, without what may be secret: query, user and password."""
    try:
        url = httpx.URL(properties.uri).copy_with(
            username=None, password=None, query=None, fragment=None
        )
    except httpx.InvalidURL:
        return properties.method
    return f"{properties.method} {url}"


def _file_name(properties: DownloadProperties, response: httpx.Response) -> str:
    message = Message()
    message["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    called = message.get_filename()
    path = unquote(response.request.url.path)
    for name in (properties.save_as, called, path):
        last = PurePosixPath((name or "").replace("\\", "/").replace("\0", "")).name
        if last not in ("", ".", ".."):
            return last
    return "download"
