"""HTTP tasks against a server on this machine."""

from __future__ import annotations

import base64
import gzip
import io
import json
import threading
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kestrapy.adapters.aes import AesCipher
from kestrapy.errors import UserError
from kestrapy.model.state import State
from kestrapy.plugins.expression_http import fetch
from tests.task_bench import Bench, NoLauncher

REQUEST = "io.kestra.plugin.core.http.Request"
DOWNLOAD = "io.kestra.plugin.core.http.Download"
OWN = "kestra:///company/team/flow/executions/execution"


class Handler(BaseHTTPRequestHandler):
    """/echo answers what was asked, as JSON; the others do what they are called."""

    protocol_version = "HTTP/1.1"
    server: Site

    def handle_any(self) -> None:
        self.server.asked.set()
        body = self._body()
        path, _, query = self.path.partition("?")
        match path.strip("/").split("/"):
            case ["echo"]:
                heard = {"method": self.command, "query": query, "body": body.decode("latin-1")}
                headers = {name.lower(): value for name, value in self.headers.items()}
                self._say(200, json.dumps({**heard, "headers": headers}).encode())
            case ["code", code]:
                self._say(int(code), b"as asked")
            case ["to", *where]:
                self._say(302, b"", {"Location": f"/{'/'.join(where)}"})
            case ["basic"]:
                wanted = base64.b64encode(b"Ada:secret").decode()
                known = self.headers.get("Authorization") == f"Basic {wanted}"
                self._say(200 if known else 401, b"")
            case ["bytes", size]:
                self._say(200, b"x" * int(size))
            case ["gzip", size]:
                packed = gzip.compress(b"x" * int(size))
                self._say(200, packed, {"Content-Encoding": "gzip"})
            case ["binary"]:
                self._say(200, b"\xff\xfe\x00")
            case ["yaml"]:
                self._say(200, b"with:\n- first\n", {"Content-Type": "application/x-yaml"})
            case ["latin"]:
                self._say(
                    200, "für".encode("latin-1"), {"Content-Type": "text/plain; charset=latin-1"}
                )
            case ["named"]:
                disposition = 'attachment; filename="../up/r%C3%A9sum.pdf"'
                self._say(200, b"pdf", {"Content-Disposition": disposition})
            case ["broken"]:
                self._say(200, b"half", {"Content-Length": "8"})
                self.close_connection = True
            case ["events", *pieces]:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                for piece in pieces:
                    self.wfile.write(base64.urlsafe_b64decode(piece))
                    self.wfile.flush()
                self.close_connection = True
                if query == "endless":
                    self.server.closing.wait()
            case ["silent"]:
                self.server.closing.wait()
            case _:
                self._say(404, b"")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("X-Twice", "1")
        self.send_header("X-Twice", "2")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Not to the tests' output."""


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.closing = threading.Event()
        self.asked = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.closing.set()
    site.shutdown()
    site.server_close()
    thread.join()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(NoLauncher(), tmp_path)


def heard(bench: Bench, site: Site, **properties: Any) -> dict[str, Any]:
    outputs = bench.done(REQUEST, **{"uri": f"{site.url}/echo", **properties})
    found: dict[str, Any] = json.loads(outputs["body"])
    return found


# -- what is asked ---------------------------------------------------------------------------------


def test_a_plain_request(bench: Bench, site: Site) -> None:
    outputs = bench.done(REQUEST, uri=f"{site.url}/code/200")
    assert (outputs["code"], outputs["body"]) == (200, "as asked")
    assert outputs["uri"] == f"{site.url}/code/200"
    assert outputs["headers"]["X-Twice"] == ["1", "2"]


def test_method_query_headers_and_body(bench: Bench, site: Site) -> None:
    found = heard(
        bench,
        site,
        uri=f"{site.url}/echo?a=1",
        method="PUT",
        params={"b": "{{ inputs.name }} & Co"},
        headers={"X-For": "{{ inputs.name }}"},
        body={"name": "{{ inputs.name }}", "ü": 1},
    )
    assert found["method"] == "PUT"
    assert found["query"] == "a=1&b=Ada+%26+Co"
    assert found["headers"]["x-for"] == "Ada"
    assert found["headers"]["content-type"] == "application/json"
    assert found["body"].encode("latin-1").decode() == '{"name":"Ada","ü":1}'


def test_content_type(bench: Bench, site: Site) -> None:
    found = heard(bench, site, method="POST", body="<a/>", contentType="text/xml")
    assert found["headers"]["content-type"] == "text/xml"
    own = {"content-TYPE": "text/csv"}
    found = heard(bench, site, method="POST", body="a", headers=own, contentType="text/xml")
    assert found["headers"]["content-type"] == "text/csv"
    options = {"defaultCharset": "latin-1"}
    assert heard(bench, site, method="POST", body="ü", options=options)["body"] == "ü"


def test_a_form(bench: Bench, site: Site) -> None:
    found = heard(bench, site, method="POST", formData={"user": "{{ inputs.name }}", "n": 1})
    assert found["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert found["body"] == "user=Ada&n=1"


def test_a_form_with_files(bench: Bench, site: Site) -> None:
    bench.blobs.put(f"{OWN}/data.csv", io.BytesIO(b"1,2"))
    form = {
        "text": "{{ inputs.name }}",
        "file": f"{OWN}/data.csv",
        "named": {"name": "other.csv", "content": f"{OWN}/data.csv"},
        "made": {"name": "made.txt", "content": "text"},
    }
    found = heard(bench, site, method="POST", formData=form, contentType="multipart/form-data")
    kind = found["headers"]["content-type"].encode()
    message = BytesParser().parsebytes(
        b"Content-Type: " + kind + b"\r\n\r\n" + found["body"].encode("latin-1")
    )
    parts = [
        (
            part.get_param("name", header="Content-Disposition"),
            part.get_filename(),
            part.get_payload(),
        )
        for part in message.get_payload()  # type: ignore[union-attr]
    ]
    assert parts == [
        ("text", None, "Ada"),
        ("file", "data.csv", "1,2"),
        ("named", "other.csv", "1,2"),
        ("made", "made.txt", "text"),
    ]


def test_others_files_are_not_sent(bench: Bench, site: Site) -> None:
    bench.blobs.put("kestra:///another/file", io.BytesIO(b"secret"))
    error = bench.refusal(
        REQUEST,
        uri=f"{site.url}/echo",
        method="POST",
        formData={"file": "kestra:///another/file"},
        contentType="multipart/form-data",
    )
    assert "out of this task's reach" in error
    assert not site.asked.is_set()


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"auth": {"type": "BASIC", "username": "Ada", "password": "{{ 'sec' ~ 'ret' }}"}},
        {"basicAuthUser": "Ada", "basicAuthPassword": "secret"},
    ],
)
def test_basic_auth(bench: Bench, site: Site, options: dict[str, Any]) -> None:
    assert bench.done(REQUEST, uri=f"{site.url}/basic", options=options)["code"] == 200
    assert "answered with 401" in bench.refusal(REQUEST, uri=f"{site.url}/basic")


def test_bearer_auth_stays_with_its_host(bench: Bench, site: Site) -> None:
    options = {"auth": {"type": "BEARER", "token": "t0"}}
    assert heard(bench, site, options=options)["headers"]["authorization"] == "Bearer t0"
    other = f"{site.url}/to//localhost:{site.server_port}/echo"
    outputs = bench.done(REQUEST, uri=other, options=options)
    assert outputs["uri"] == f"http://localhost:{site.server_port}/echo"
    assert "authorization" not in json.loads(outputs["body"])["headers"]


def test_redirects(bench: Bench, site: Site) -> None:
    uri = f"{site.url}/to/code/200"
    assert bench.done(REQUEST, uri=uri)["uri"] == f"{site.url}/code/200"
    assert bench.done(REQUEST, uri=uri, options={"followRedirects": False})["code"] == 302


@pytest.mark.parametrize(
    ("code", "properties", "state"),
    [
        (404, {}, State.FAILED),
        (500, {"options": {"allowFailed": True}}, State.SUCCESS),
        (500, {"allowFailed": True}, State.SUCCESS),
        (404, {"options": {"allowedResponseCodes": [200, 404]}}, State.SUCCESS),
        (201, {"options": {"allowedResponseCodes": [200, 404]}}, State.FAILED),
    ],
)
def test_codes(
    bench: Bench, site: Site, code: int, properties: dict[str, Any], state: State
) -> None:
    outcome = bench.run(REQUEST, uri=f"{site.url}/code/{code}?key=secret", **properties)
    assert (outcome.state, outcome.outputs["code"]) == (state, code)
    if state is State.FAILED:
        assert outcome.error == f"GET {site.url}/code/{code} was answered with {code}"


def test_an_answer_is_bounded(bench: Bench, site: Site) -> None:
    options = {"maxContentLength": 1_000}
    for kind in ("bytes", "gzip"):
        assert (
            len(bench.done(REQUEST, uri=f"{site.url}/{kind}/1000", options=options)["body"])
            == 1_000
        )
        for task in (REQUEST, DOWNLOAD):
            error = bench.refusal(task, uri=f"{site.url}/{kind}/1001", options=options)
            assert "more than 1000 bytes" in error


def test_texts_and_their_charsets(bench: Bench, site: Site) -> None:
    assert bench.done(REQUEST, uri=f"{site.url}/latin")["body"] == "für"
    assert "use Download" in bench.refusal(REQUEST, uri=f"{site.url}/binary")


def test_the_workers_proxy_is_not_its_tasks_proxy(
    bench: Bench, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert heard(bench, site)["method"] == "GET"
    proxy = {"address": "127.0.0.1", "port": site.server_port}
    uri = "http://nowhere.invalid/echo"
    assert bench.refusal(REQUEST, uri=uri, options={"proxy": proxy}) == (
        f"GET {uri} was answered with 404"  # by the site, which has no path that is a whole URL
    )
    direct = {**proxy, "type": "DIRECT"}
    assert heard(bench, site, options={"proxy": direct})["method"] == "GET"


# -- what goes wrong -------------------------------------------------------------------------------


def test_secrets_are_in_no_error(bench: Bench, site: Site) -> None:
    host = site.url.removeprefix("http://")
    uri = f"http://user:pass-word@{host}/code/500?key=to-ken"
    options = {"auth": {"type": "BASIC", "username": "u", "password": "pass-word"}}
    outcome = bench.run(REQUEST, uri=uri, options=options, headers={"X-Key": "to-ken"})
    gone = bench.run(REQUEST, uri="http://user:pass-word@127.0.0.1:1/x?key=to-ken")
    assert (outcome.state, gone.state) == (State.FAILED, State.FAILED)
    said = " ".join([outcome.error, gone.error, *(text for _, text in bench.logs)])
    assert "pass-word" not in said
    assert "to-ken" not in said
    assert "pass-word" not in str(outcome.outputs)
    assert gone.error.startswith("GET http://127.0.0.1:1/x: ")


def test_no_answer_in_time(bench: Bench, site: Site) -> None:
    options = {"timeout": {"readIdleTimeout": "PT0.05S"}}
    error = bench.refusal(REQUEST, uri=f"{site.url}/silent", options=options)
    assert error == f"GET {site.url}/silent: the answer took too long"


@pytest.mark.parametrize("task", [REQUEST, DOWNLOAD])
def test_a_killed_run_stops_waiting(bench: Bench, site: Site, task: str) -> None:
    thread = bench.start(task, uri=f"{site.url}/silent")
    site.asked.wait()
    assert thread.outcome() is None
    thread.kill("killed by Ada")
    assert bench.end(thread).state is State.KILLED


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"uri": "ftp://x/y"}, "GET ftp://x/y: "),
        ({"uri": "http://"}, "GET "),
        ({"uri": "http://x:port"}, "GET: "),
        ({"uri": "http://x", "options": {"auth": {"type": "BEARER"}}}, "BEARER has token"),
        ({"uri": "http://x", "options": {"proxy": {}}}, "address and port are required"),
        ({"uri": "http://x", "options": {"logs": ["BODY"]}}, "logs"),
    ],
)
def test_refused(bench: Bench, properties: dict[str, Any], error: str) -> None:
    assert error in bench.refusal(REQUEST, **properties)


# -- Download --------------------------------------------------------------------------------------


def test_download(bench: Bench, site: Site) -> None:
    outputs = bench.done(DOWNLOAD, uri=f"{site.url}/bytes/300000")
    assert (outputs["code"], outputs["length"]) == (200, 300_000)
    assert outputs["headers"]["X-Twice"] == ["1", "2"]
    assert outputs["uri"] == f"{OWN}/tasks/t1/run/4/300000"
    assert bench.content(outputs["uri"]) == b"x" * 300_000
    assert bench.metrics == [("response.length", "counter", 300_000, {})]


def test_the_files_name(bench: Bench, site: Site) -> None:
    outputs = bench.done(DOWNLOAD, uri=f"{site.url}/named")
    assert outputs["uri"].startswith(f"{OWN}/tasks/t1/run/4/r")
    outputs = bench.done(DOWNLOAD, uri=f"{site.url}/named", saveAs="own name.pdf")
    assert outputs["uri"].endswith("/4/own%20name.pdf")


def test_an_empty_file(bench: Bench, site: Site) -> None:
    uri = f"{site.url}/bytes/0"
    assert "the answer is empty" in bench.refusal(DOWNLOAD, uri=uri)
    outputs = bench.done(DOWNLOAD, uri=uri, failOnEmptyResponse=False)
    assert bench.content(outputs["uri"]) == b""


@pytest.mark.parametrize("path", ["broken", "code/404"])
def test_no_file_of_a_failed_download(bench: Bench, site: Site, path: str) -> None:
    bench.refusal(DOWNLOAD, uri=f"{site.url}/{path}")
    assert list(bench.blobs.list("kestra:///")) == []


def test_a_body_may_be_kept_encrypted(site: Site, bench: Bench) -> None:
    cipher = AesCipher(bytes(32))
    bench.tools = bench.tools._replace(cipher=cipher)
    outputs = bench.done(REQUEST, uri=f"{site.url}/code/200", encryptBody=True)
    assert "body" not in outputs
    assert cipher.decrypt(outputs["encryptedBody"]["value"]) == "as asked"
    bench.tools = bench.tools._replace(cipher=None)
    problem = bench.refusal(REQUEST, uri=f"{site.url}/code/200", encryptBody=True)
    assert "encryption.secretKey" in problem


def test_an_expression_may_ask(site: Site) -> None:
    heard = fetch(
        {
            "uri": f"{site.url}/echo",
            "method": "post",
            "query": {"q": "1"},
            "body": {"a": 1},
            "headers": {"X-Own": "2"},
            "accept": "text/x",
        }
    )
    said = json.loads(heard)
    assert (said["method"], said["query"], json.loads(said["body"])) == ("POST", "q=1", {"a": 1})
    assert (said["headers"]["x-own"], said["headers"]["accept"]) == ("2", "text/x")
    assert fetch({"uri": f"{site.url}/latin"}) == "f\u00fcr"


def test_an_expression_asks_with_options_and_says_that_it_speaks_json(site: Site) -> None:
    basic = {"auth": {"type": "BASIC", "username": "Ada", "password": "secret"}}
    assert fetch({"uri": f"{site.url}/basic", "options": basic}) == ""
    with pytest.raises(UserError, match="answered with 401"):
        fetch({"uri": f"{site.url}/basic"})
    assert fetch({"uri": f"{site.url}/code/418", "options": {"allowFailed": True}}) == "as asked"
    with pytest.raises(UserError, match="answered with 302"):
        fetch(
            {
                "uri": f"{site.url}/to/latin",
                "options": {"allowedResponseCodes": [200], "followRedirects": False},
            }
        )
    with pytest.raises(UserError, match=r"http: options: .*followRedirects"):
        fetch({"uri": f"{site.url}/latin", "options": {"followRedirects": "perhaps"}})
    heard = json.loads(
        fetch(
            {
                "uri": f"{site.url}/echo",
                "method": "PUT",
                "body": "[1]",
                "headers": {"X-Own": ["1", "2"]},
            }
        )
    )["headers"]
    assert (heard["accept"], heard["content-type"]) == ("application/json", "application/json")
    assert heard["x-own"] in ("1, 2", "2")


def test_an_expression_sends_and_reads_yaml(site: Site) -> None:
    asked = {"uri": f"{site.url}/echo", "method": "POST", "body": {"b": [1], "a": "\u00fc"}}
    heard = json.loads(fetch({**asked, "contentType": "application/yaml"}))
    assert heard["body"].encode("latin-1").decode() == "b:\n- 1\na: \u00fc\n"
    assert fetch({"uri": f"{site.url}/yaml"}) == {"with": ["first"]}


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("code/404", "answered with 404"),
        ("bytes/1000001", "more than 1,000,000 bytes"),
        ("gzip/1000001", "more than 1,000,000 bytes"),
        ("broken", "GET failed"),
    ],
)
def test_what_an_expression_is_refused(site: Site, path: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        fetch({"uri": f"{site.url}/{path}"})


# -- what is logged --------------------------------------------------------------------------------


def blocks(bench: Bench, level: str) -> str:
    return "\n".join(message for at, message in bench.logs if at == level)


def test_nothing_is_logged_unless_it_is_asked_for(bench: Bench, site: Site) -> None:
    bench.done(REQUEST, uri=f"{site.url}/echo", method="POST", body="text")
    assert bench.logs == []


def test_headers_and_bodies_are_logged_without_credentials(bench: Bench, site: Site) -> None:
    logs = ["REQUEST_HEADERS", "REQUEST_BODY", "RESPONSE_HEADERS", "RESPONSE_BODY"]
    auth = {"type": "BASIC", "username": "Ada", "password": "secret"}
    bench.done(
        REQUEST,
        uri=f"{site.url}/to/echo?token=abc",
        method="POST",
        headers={"X-For": "Ada", "Cookie": "crumbs"},
        formData={"a": "1 & 2"},
        options={"logs": logs, "auth": auth},
    )
    headers, bodies = blocks(bench, "DEBUG"), blocks(bench, "TRACE")
    assert "    method: POST" in headers and f"    uri: {site.url}/to/echo\n" in headers
    assert "    x-for: Ada" in headers and "    status: 302 Found" in headers
    assert f"    uri: {site.url}/echo\n" in headers and "    status: 200 OK" in headers
    assert "request body:\na=1 & 2" in bodies and 'response body:\n{"method": "GET"' in bodies
    coded = base64.b64encode(b"Ada:secret").decode()
    assert "authorization: ******" in headers and "cookie: ******" in headers
    assert not {it for it in (coded, "crumbs", "abc") if it in headers}


def test_a_large_body_is_logged_by_its_beginning(bench: Bench, site: Site) -> None:
    options = {"logs": "{{ ['RESPONSE_BODY'] }}"}
    bench.done(DOWNLOAD, uri=f"{site.url}/bytes/100000", options=options)
    (message,) = [message for _, message in bench.logs]
    assert message.endswith("xxx\n… and 34,464 bytes more") and len(message) < 66_000
