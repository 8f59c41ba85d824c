"""SseRequest: server-sent events of an HTTP server, until it ends the stream."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from kestrapy.errors import ExpressionError
from kestrapy.plugins.properties import Expression, Text
from kestrapy.plugins.tasks.http_exchange import (
    HttpProperties,
    answering,
    check_code,
    limit_of,
    outputs_of,
    pieces,
    run_exchange,
)
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

MAX_BYTES = 10 * 1024 * 1024
"""Of all events, unless options.maxContentLength says another limit."""
MAX_EVENTS = 100_000
_LINE_END = re.compile(r"\r\n|\n|\r(?!\Z)")
"""A CR that ends what has come so far may be the half of an end."""
_QUERY = "{{ event | jq(query) }}"


class SseProperties(HttpProperties):
    __doc__ = (
        f"{HttpProperties.__doc__}    concatJqExpression: a query of jq over each event, a map with"
        " data, id, name, comment and retry; what it gives, texts one after the other, becomes"
        " ``outputs.result``, and no events are put out. failedOnMissingJq: whether the task fails"
        " where it gives no text, number or boolean for an event, true by default; else that event"
        " is left out."
    )

    concat_jq_expression: Text | None = None
    failed_on_missing_jq: bool | Expression = True


class SseTask:
    """``io.kestra.plugin.core.http.SseRequest``: ``outputs.events``, ``size``, ``result`` and
    ``uri``. Data that is JSON becomes its value. A `timeout` ends a stream that has no end, as a
    failure.
    """

    def run(self, properties: SseProperties, context: TaskContext) -> TaskOutcome:
        options = properties.chosen_options()
        limit = limit_of(options, MAX_BYTES)

        async def exchange() -> tuple[list[dict[str, Any]], str]:
            stream = EventStream()
            events: list[dict[str, Any]] = []
            asked = properties.model_copy(update={"headers": _asking(properties.headers)})
            async with answering(asked, options, context) as answer:
                outputs = outputs_of(answer.response)
                check_code(answer.response, options, outputs)
                async for piece in pieces(answer, limit, "utf-8"):
                    events += stream.feed(piece)
                    if len(events) > MAX_EVENTS:
                        raise TaskFailed(f"the answer has more than {MAX_EVENTS:,} events")
            return events, outputs["uri"]

        events, uri = run_exchange(exchange(), properties, context)
        context.metric("size", "counter", len(events), {})
        found = _extracted(events, properties, context)
        outputs = {
            "uri": uri,
            "size": len(events),
            "events": None if found else events,
            "result": "".join(found) if found else None,
        }
        return TaskOutcome(outputs=outputs)


def _asking(headers: dict[str, str] | str) -> dict[str, str] | str:
    """With what is to be accepted, unless that is said."""
    if isinstance(headers, str) or any(name.lower() == "accept" for name in headers):
        return headers
    return {"Accept": "text/event-stream", **headers}


def _extracted(
    events: list[dict[str, Any]], properties: SseProperties, context: TaskContext
) -> list[str]:
    query = properties.concat_jq_expression
    if query is None:
        return []
    found = []
    for number, event in enumerate(events, 1):
        try:
            results = context.render_with(_QUERY, {"event": event, "query": query})
            found += [_plain(results[-1])] if results else []
        except (ExpressionError, ValueError) as error:
            told = f"event {number}: concatJqExpression {query!r} gives no text: {error}"
            if properties.failed_on_missing_jq:
                raise TaskFailed(f"{told}; failedOnMissingJq: false leaves it out") from None
            context.log("DEBUG", told)
    return found


def _plain(value: Any) -> str:
    """Of a text, number or boolean. Raises ValueError for another value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise ValueError(f"its result is {json.dumps(value)[:80]}")


class EventStream:
    """Events of pieces of a stream, as the HTML standard reads it: UTF-8, lines that end with CR,
    LF or both, an event at each empty line that has data before it.
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._rest: list[str] = []
        self._event: dict[str, Any] = {}
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """The events that it completes. To be used up before the next piece is fed."""
        text = self._decode(piece)
        self._rest.append(text)
        if "\n" not in text and "\r" not in "".join(self._rest[-2:]):
            return  # a long line in many pieces is looked at once
        *lines, rest = _LINE_END.split("".join(self._rest))
        self._rest = [rest]
        for line in lines:
            if line:
                self._take(line)
                continue
            if self._data:
                yield self._complete()
            self._event, self._data = {}, []

    def _complete(self) -> dict[str, Any]:
        text = "\n".join(self._data)
        try:
            data = json.loads(text)
        except ValueError:
            data = text
        identified = {} if self._id is None else {"id": self._id}
        return {"data": data, **identified, **self._event}

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value  # it stays until another one comes
            case "event":
                self._event["name"] = value
            case "":
                self._event["comment"] = value
            case "retry" if value.isascii() and value.isdigit():
                self._event["retry"] = f"PT{int(value) / 1000:g}S"
