"""SseRequest against a server on this machine, and how a stream is read."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from kestrapy.model.state import State
from kestrapy.plugins.tasks.http_sse import EventStream
from tests.integration.worker import test_http_tasks
from tests.integration.worker.test_http_tasks import Site
from tests.task_bench import Bench

SSE = "io.kestra.plugin.core.http.SseRequest"
GREETINGS = [{"message": "Hello", "n": 1}, {"message": "World", "n": 2}]


site, bench = test_http_tasks.site, test_http_tasks.bench


@pytest.fixture
def web(site: Site) -> Site:
    return site


@pytest.fixture
def tasks(bench: Bench) -> Bench:
    return bench


def stream(web: Site, *pieces: str, query: str = "") -> str:
    coded = [base64.urlsafe_b64encode(it.encode()).decode() for it in pieces]
    return f"{web.url}/events/{'/'.join(coded)}{query}"


def data(*values: Any) -> list[str]:
    texts = (it if isinstance(it, str) else json.dumps(it) for it in values)
    return [f"data: {text}\n\n" for text in texts]


def test_events_with_data_of_json_or_text(tasks: Bench, web: Site) -> None:
    named = "id: 7\nevent: e\nretry: 1500\ndata: a\ndata: b\n\n"
    outputs = tasks.done(SSE, uri=stream(web, *data(GREETINGS[0], "plain text"), named))
    assert outputs["events"] == [
        {"data": GREETINGS[0]},
        {"data": "plain text"},
        {"data": "a\nb", "id": "7", "name": "e", "retry": "PT1.5S"},
    ]
    assert (outputs["size"], outputs["result"]) == (3, None)
    assert outputs["uri"].startswith(web.url)
    assert ("size", "counter", 3, {}) in tasks.metrics


def test_what_a_query_gives_is_put_together(tasks: Bench, web: Site) -> None:
    uri = stream(web, *data(*GREETINGS))
    outputs = tasks.done(SSE, uri=uri, concatJqExpression=".data.message")
    assert (outputs["result"], outputs["events"], outputs["size"]) == ("HelloWorld", None, 2)
    assert tasks.done(SSE, uri=uri, concatJqExpression=".data | .n, .n + 1")["result"] == "23"


def test_an_event_that_does_not_fit_the_query(tasks: Bench, web: Site) -> None:
    uri = stream(web, *data({"n": 1}, "text", {"n": 2}, {"other": 3}))
    told = tasks.refusal(SSE, uri=uri, concatJqExpression=".data.n")
    assert "event 2" in told and "'.data.n'" in told and "failedOnMissingJq" in told
    some = tasks.done(SSE, uri=uri, concatJqExpression=".data.n", failedOnMissingJq=False)
    assert (some["result"], some["size"]) == ("12", 4)
    none = tasks.done(SSE, uri=uri, concatJqExpression=".nothing", failedOnMissingJq=False)
    assert (none["result"], len(none["events"])) == (None, 4)
    assert "can't read the query" in tasks.refusal(SSE, uri=uri, concatJqExpression=".[")


def test_it_says_what_it_accepts_and_fails_as_requests_do(tasks: Bench, web: Site) -> None:
    tasks.done(SSE, uri=f"{web.url}/echo", options={"logs": ["REQUEST_HEADERS"]})
    assert any("text/event-stream" in message for _, message in tasks.logs)
    own = {"ACCEPT": "text/other"}
    tasks.done(SSE, uri=f"{web.url}/echo", headers=own, options={"logs": ["REQUEST_HEADERS"]})
    assert "text/other" in tasks.logs[-1][1] and "event-stream" not in tasks.logs[-1][1]
    assert "answered with 500" in tasks.refusal(SSE, uri=f"{web.url}/code/500")
    few = {"maxContentLength": 10}
    assert "more than 10 bytes" in tasks.refusal(SSE, uri=stream(web, "x" * 11), options=few)


def test_a_stream_without_an_end_is_ended_with_its_run(tasks: Bench, web: Site) -> None:
    thread = tasks.start(SSE, uri=stream(web, *data("a"), query="?endless"))
    web.asked.wait()
    thread.kill("asked for")
    assert tasks.end(thread).state is State.KILLED


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_pieces_may_end_anywhere(size: int) -> None:
    text = (
        "\ufeffdata: \u00fc1\r\n\r\n: note\rdata:2\r\rdata: 3\u2028\n\nid\ndata\n\n"
        "event: no data\n\ndata: lost"
    )
    coded, found = text.encode(), []
    events = EventStream()
    for start in range(0, len(coded), size):
        found += events.feed(coded[start : start + size])
    assert found == [
        {"data": "\u00fc1"},
        {"data": 2, "comment": "note"},
        {"data": "3\u2028"},
        {"data": "", "id": ""},
    ]
