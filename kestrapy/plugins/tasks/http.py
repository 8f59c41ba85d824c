"""Request and Download: HTTP, with an answer that becomes an output, or a file."""

from __future__ import annotations

from email.message import Message
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import httpx

from kestrapy.plugins.properties import Expression, Text
from kestrapy.plugins.tasks.http_exchange import (
    HttpProperties,
    answering,
    check_code,
    limit_of,
    outputs_of,
    pieces,
    place,
    run_exchange,
)
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

MAX_BODY = 10 * 1024 * 1024
"""Bytes of an answer that becomes an output, unless options.maxContentLength says another limit."""
MAX_DOWNLOAD = 10 * 1024 * 1024 * 1024
"""The same of one that becomes a file."""


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
        limit = limit_of(options, MAX_BODY)

        async def exchange() -> TaskOutcome:
            async with answering(properties, options, context) as answer:
                found = pieces(answer, limit, options.default_charset)
                body = b"".join([piece async for piece in found])
            response = answer.response
            charset = response.charset_encoding or options.default_charset
            outputs = outputs_of(response)
            if properties.encrypt_body:
                outputs["encryptedBody"] = _encrypted(_decoded(body, charset), context)
            else:
                outputs["body"] = _decoded(body, charset)
            check_code(response, options, outputs)
            return TaskOutcome(outputs=outputs)

        return run_exchange(exchange(), properties, context)


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
        limit = limit_of(options, MAX_DOWNLOAD)
        copy = context.working_dir / "download"

        async def exchange() -> httpx.Response:
            with copy.open("wb") as file:
                async with answering(properties, options, context) as answer:
                    async for piece in pieces(answer, limit, options.default_charset):
                        file.write(piece)
            return answer.response

        response = run_exchange(exchange(), properties, context)
        length = copy.stat().st_size
        outputs = outputs_of(response) | {"length": length}
        del outputs["uri"]
        check_code(response, options, outputs)
        if not length and properties.fail_on_empty_response and not options.allow_failed:
            raise TaskFailed(f"{place(properties)}: the answer is empty", outputs)
        uri = context.output_uri(_file_name(properties, response))
        with copy.open("rb") as content:
            context.blobs.put(uri, content)
        context.metric("response.length", "counter", length, {})
        return TaskOutcome(outputs={"uri": uri, **outputs})


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
