"""The REST API over a log in memory, a real SQLite and a real indexer."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from kestrapy.machine.commands import KillRequested
from kestrapy.machine.outputs import MetricEntry, TriggerEvent
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.ports.log import Partition
from kestrapy.ports.store import StoreUnavailable
from kestrapy.servers.webserver import submission
from tests.integration.servers.web_site import Site
from tests.samples import line

FLOW = """\
id: hello
namespace: company.team
labels: {team: data}
inputs:
  - {id: end, type: STRING, required: false}
  - {id: count, type: INT, defaults: 3}
  - {id: data, type: FILE, required: false}
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: hi}
"""
API = "/api/v1/main"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url + API, timeout=30) as client:
        yield client


def save(client: httpx.Client, source: str = FLOW) -> dict[str, Any]:
    answer = client.post("/flows", content=source, headers={"content-type": "application/x-yaml"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def start(client: httpx.Client, **given: Any) -> dict[str, Any]:
    answer = client.post("/executions/company.team/hello", **given)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def problems(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    return " | ".join(it["message"] for it in answer.json()["problems"])


# flows


def test_a_flow_is_saved_and_read_in_kestras_shape(client: httpx.Client) -> None:
    saved = save(client)
    assert (saved["id"], saved["namespace"], saved["revision"]) == ("hello", "company.team", 1)
    assert saved["source"] == FLOW
    assert saved["tasks"] == [
        {"id": "hello", "type": "io.kestra.plugin.core.log.Log", "message": "hi"}
    ]
    assert client.get("/flows/company.team/hello").json() == saved
    without = client.get("/flows/company.team/hello?source=false&revision=1").json()
    assert without == {name: value for name, value in saved.items() if name != "source"}
    assert client.get("/flows/company.team/hello?revision=2").status_code == 404
    assert client.get("/flows/company.team/other").status_code == 404


def test_revisions_are_numbered_and_equal_content_makes_none(client: httpx.Client) -> None:
    save(client)
    changed = FLOW.replace("message: hi", "message: ho")
    for source, revision in ((FLOW, 1), (changed, 2), (changed, 2), (FLOW, 3)):
        answer = client.put("/flows/company.team/hello", content=source)
        assert answer.json()["revision"] == revision
    found = client.get("/flows/company.team/hello/revisions").json()
    assert [it["revision"] for it in found] == [1, 2, 3]


def test_a_source_that_comes_back_is_a_new_revision_to_wait_for(
    site: Site, client: httpx.Client
) -> None:
    save(client)
    client.put("/flows/company.team/hello", content=FLOW.replace("message: hi", "message: ho"))
    site.executor.pause()
    resumed = threading.Timer(0.1, site.executor.resume)
    resumed.start()
    again = client.put("/flows/company.team/hello", content=FLOW)
    resumed.join()
    assert again.json()["revision"] == 3


def test_a_flow_that_cannot_be_saved_is_refused_with_its_places(client: httpx.Client) -> None:
    answer = client.post("/flows", content=FLOW.replace("log.Log", "log.Lug"))
    assert "log.Lug" in problems(answer)
    assert answer.json()["problems"][0]["line"] == 9
    save(client)
    assert "exists" in problems(client.post("/flows", content=FLOW))
    renamed = client.put("/flows/company.team/hello", content=FLOW.replace("id: hello", "id: x", 1))
    assert "renamed" in problems(renamed)
    unknown_group = FLOW.replace("message: hi", "message: hi, workerGroup: {key: gpu}")
    assert "gpu" in problems(client.put("/flows/company.team/hello", content=unknown_group))
    webhook = FLOW + "\ntriggers: [{id: w, type: io.kestra.plugin.core.trigger.Webhook, key: k}]\n"
    for answer in (
        client.put("/flows/company.team/hello", content=webhook),
        client.post("/flows", content=webhook.replace("id: hello", "id: other", 1)),
    ):
        assert "a Webhook trigger makes no executions yet" in problems(answer)
    assert client.put("/flows/company.team/none", content=FLOW).status_code == 404
    assert client.post("/flows", content=b"\xff\xfe").status_code == 422
    assert client.post("/flows", content=b"#" * (1 << 20 | 1)).status_code == 413


def test_a_flow_is_validated_without_being_saved(client: httpx.Client) -> None:
    right, wrong = (client.post("/flows/validate", content=it).json() for it in (FLOW, "id: hello"))
    assert right == [{"index": 0, "flow": "hello", "namespace": "company.team"}]
    assert "tasks" in wrong[0]["constraints"]
    doubtful = FLOW.replace("message: hi", 'message: "{{ inputs.nmae }}"')
    (told,) = client.post("/flows/validate", content=doubtful).json()
    assert told["warnings"] == ["tasks[0].message: `inputs.nmae`: no input has this id"]
    assert client.get("/flows/company.team/hello").status_code == 404


def test_flows_are_searched(client: httpx.Client) -> None:
    for name, namespace in (("a", "company"), ("b", "company.team"), ("c", "companyx")):
        save(client, FLOW.replace("hello", name).replace("company.team", namespace))

    def found(query: str) -> list[str]:
        return [it["id"] for it in client.get("/flows/search?" + query).json()["results"]]

    assert found("") == ["a", "b", "c"]
    assert found("namespace=company") == ["a", "b"]
    assert found("q=TEAM.B") == ["b"]
    assert found("size=1&page=2") == ["b"]
    assert client.get("/flows/search?size=1").json()["total"] == 3
    assert [it["id"] for it in client.get("/flows/company").json()] == ["a"]


# executions


def test_an_execution_is_started_and_ends(client: httpx.Client) -> None:
    save(client)
    ended = start(
        client,
        params={"wait": "true", "labels": ["a:b", "c:d:e"]},
        files={"end": (None, "now"), "count": (None, "5")},
    )
    assert ended["state"]["current"] == "SUCCESS"
    assert ended["state"]["duration"] == "PT0.002S"
    assert ended["inputs"] == {"end": "now", "count": "5"}
    correlation = {"key": "system.correlationId", "value": ended["id"]}
    assert ended["labels"] == [
        {"key": "a", "value": "b"},
        {"key": "c", "value": "d:e"},
        correlation,
    ]
    assert [run["taskId"] for run in ended["taskRunList"]] == ["hello"]
    assert client.get(f"/executions/{ended['id']}").json() == ended
    flow = client.get(f"/executions/{ended['id']}/flow").json()
    assert (flow["id"], flow["revision"]) == ("hello", 1)


def test_while_nothing_is_stored_the_answer_is_made_from_the_request(
    site: Site, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "FIRST_EVENT_TIMEOUT", 0.05)
    save(client)
    site.executor.pause()
    created = start(client, params={"labels": "a:b"})
    assert created["state"]["current"] == "CREATED"
    assert created["inputs"] == {"end": None, "count": 3, "data": None}
    assert [it["key"] for it in created["labels"]] == ["team", "a", "system.correlationId"]
    given = start(client, params={"labels": "system.correlationId:theirs"})["labels"]
    assert given[-1] == {"key": "system.correlationId", "value": "theirs"}


def test_the_date_of_an_execution_goes_to_the_log_and_is_shown(
    site: Site, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "FIRST_EVENT_TIMEOUT", 0.05)
    save(client)
    site.executor.pause()
    created = start(client, params={"scheduleDate": "2030-01-01T00:00:00+01:00"})
    assert created["scheduleDate"] == "2029-12-31T23:00:00.000Z"
    assert created["state"]["current"] == "CREATED"
    site.executor.resume()
    stored = client.get(f"/executions/{created['id']}").json()
    assert stored["scheduleDate"] == created["scheduleDate"]


def test_a_young_execution_is_waited_for(
    site: Site, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "FIRST_EVENT_TIMEOUT", 0.05)
    save(client)
    site.executor.pause()
    created = start(client)
    resumed = threading.Timer(0.1, site.executor.resume)
    resumed.start()
    try:
        assert client.get(f"/executions/{created['id']}").status_code == 200
    finally:
        resumed.join()


def test_what_cannot_be_started_is_refused_before_the_log_has_it(
    site: Site, client: httpx.Client
) -> None:
    save(client)
    save(client, FLOW.replace("id: hello", "id: off\ndisabled: true", 1))
    ends = [site.log.high_watermark(it) for it in _requests(site)]

    def post(path: str = "company.team/hello", **given: Any) -> httpx.Response:
        return client.post(f"/executions/{path}", **given)

    assert post("company.team/none").status_code == 404
    assert post(params={"revision": 9}).status_code == 404
    assert post("company.team/off").status_code == 409
    assert "count" in problems(post(data={"count": "many"}))
    assert "count" in problems(post(files={"count": b"content"}))
    assert "key:value" in problems(post(params={"labels": "plain"}))
    assert "system." in problems(post(params={"labels": "system.x:y"}))
    assert post(json={"count": 3}).status_code == 415
    assert post(params={"scheduleDate": "2026-01-01"}).status_code == 422, "no time, no offset"
    assert [site.log.high_watermark(it) for it in _requests(site)] == ends


def _requests(site: Site) -> list[Any]:
    return [Partition(site.router.catalogue.requests, shard) for shard in range(2)]


def test_files_are_uploaded_and_downloaded(site: Site, client: httpx.Client) -> None:
    save(client)
    upload = ("../some data.csv", b"a,b\n" * 100_000)
    started = start(client, files={"data": upload})
    uri = started["inputs"]["data"]
    folder = f"kestra:///company/team/hello/executions/{started['id']}/"
    assert uri == folder + "inputs/data/_some_data.csv"
    answer = client.get(f"/executions/{started['id']}/file", params={"path": uri})
    assert answer.content == upload[1]
    assert "_some_data.csv" in answer.headers["content-disposition"]
    older_client = start(client, files={"files": ("data", b"x")})
    assert older_client["inputs"]["data"].endswith("/inputs/data/data")


def test_only_an_executions_own_files_are_given(site: Site, client: httpx.Client) -> None:
    save(client)
    one, other = (start(client, files={"data": ("f.txt", it)}) for it in (b"one", b"other"))

    def status(path: str) -> int:
        return client.get(f"/executions/{one['id']}/file", params={"path": path}).status_code

    own = one["inputs"]["data"]
    assert status(own) == 200
    assert status(own + "x") == 404
    assert status(other["inputs"]["data"]) == 422
    assert status(own.replace("inputs", f"../{other['id']}/inputs")) == 422
    assert status(own.replace("inputs/", f"%2e%2e/{other['id']}/inputs/")) == 422
    assert status("/etc/passwd") == 422


def test_an_input_that_the_flow_does_not_declare_hinders_nobody(client: httpx.Client) -> None:
    save(client)
    assert start(client, data={"undeclared": "x"})["flowId"] == "hello"


def test_an_execution_is_killed(client: httpx.Client) -> None:
    save(client)
    started = start(client)
    assert client.delete(f"/executions/{started['id']}/kill").status_code == 202
    events = list(_events(client, started["id"]))
    assert events[-1][0] == "end"
    assert events[-1][1]["state"]["current"] == "KILLED"
    assert client.delete(f"/executions/{started['id']}/kill").status_code == 409
    unknown = derive_execution_id(0, 1000, "long ago")
    assert client.delete(f"/executions/{unknown}/kill").status_code == 404
    assert client.get("/executions/nonsense").status_code == 404


def test_a_kill_may_spare_subflows(site: Site, client: httpx.Client) -> None:
    save(client)
    for spare, query in ((False, ""), (True, "?isOnKillCascade=false")):
        started = start(client)
        assert client.delete(f"/executions/{started['id']}/kill{query}").status_code == 202
        list(_events(client, started["id"]))
        assert site.executor.kills[-1] == KillRequested(started["id"], not spare)


def test_a_paused_execution_is_resumed(site: Site, client: httpx.Client) -> None:
    save(client)
    running = start(client)
    assert client.post(f"/executions/{running['id']}/resume").status_code == 409
    site.executor.task_state = State.PAUSED
    paused = start(client)
    assert client.post(f"/executions/{paused['id']}/resume").status_code == 202
    assert list(_events(client, paused["id"]))[-1][1]["state"]["current"] == "SUCCESS"


def _events(client: httpx.Client, execution_id: str) -> Generator[tuple[str, Any], None, None]:
    with client.stream("GET", f"/executions/{execution_id}/follow") as stream:
        name = ""
        for text in stream.iter_lines():
            field, _, value = text.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, msgspec.json.decode(value)


def test_an_execution_is_followed_to_its_end(site: Site, client: httpx.Client) -> None:
    save(client)
    started = start(client)
    names = []
    for name, execution in _events(client, started["id"]):
        names.append(name)
        if len(names) == 1:
            site.executor.end(started["id"])
        state = execution["state"]["current"]
    assert (names[0], names[-1], state) == ("start", "end", "SUCCESS")
    assert set(names[1:-1]) <= {"progress"}


def test_a_client_that_leaves_while_it_follows_holds_nothing_up(client: httpx.Client) -> None:
    save(client)
    started = start(client)
    events = _events(client, started["id"])
    assert next(events)[0] == "start"
    events.close()
    assert client.get(f"/executions/{started['id']}").status_code == 200


def test_executions_are_searched(client: httpx.Client) -> None:
    save(client)
    first = start(client, params={"wait": "true", "labels": "a:b"}, data={"end": "1"})
    second = start(client)

    def found(**query: Any) -> list[str]:
        answer = client.get("/executions/search", params=query)
        assert answer.status_code == 200, answer.text
        return [it["id"] for it in answer.json()["results"]]

    assert sorted(found()) == sorted([first["id"], second["id"]])
    assert found(state=["SUCCESS", "FAILED"]) == [first["id"]]
    assert found(labels="a:b", namespace="company", flowId="hello") == [first["id"]]
    assert found(startDate="1970-01-01T00:00:02Z") == []
    assert len(found(endDate="1970-01-01T01:00:02+01:00", sort="state.duration:asc")) == 2
    assert found(size=1, page=3) == []
    for wrong in ("state=NONE", "sort=snapshot", "sort=id:up", "size=0", "startDate=today", "x=1"):
        answer = client.get("/executions/search?" + wrong)
        assert answer.status_code == 422, wrong
        assert answer.json()["problems"], wrong


def test_past_states_are_shown(client: httpx.Client) -> None:
    save(client)
    ended = start(client, params={"wait": "true"}, data={"end": "1"})
    events = client.get(f"/executions/{ended['id']}/events").json()
    assert [it["state"] for it in events] == ["CREATED", "RUNNING", "RUNNING", "SUCCESS"]
    states = [
        client.get(f"/executions/{ended['id']}", params={"event": it["number"]}).json()
        for it in events
    ]
    assert [it["state"]["current"] for it in states] == ["CREATED", "CREATED", "RUNNING", "SUCCESS"]
    assert [len(it["taskRunList"]) for it in states] == [0, 1, 1, 1]


# logs, metrics, triggers


def test_logs_metrics_and_triggers_are_read(site: Site, client: httpx.Client) -> None:
    save(client)
    started = start(client)
    execution_id = started["id"]
    place = {"execution_id": execution_id, "namespace": "company.team", "flow_id": "hello"}
    run = {"task_run_id": f"{execution_id}-0", "epoch": 1, "sequence": 1, "task_id": "hello"}
    site.executor.send(line(1, "first", "DEBUG", execution_id))
    site.executor.send(line(2, "second\nline", "ERROR", execution_id))
    site.executor.send(
        MetricEntry(**place, **run, at=1, name="time", kind="timer", value=1.5, tags={})
    )
    site.executor.send(_trigger())
    # The rows come in any order: events of the execution show that what was sent before is read.
    site.executor.end(execution_id)
    _until(lambda: client.get("/triggers/search").json()["total"] == 1)
    _until(lambda: client.get("/logs/search").json()["total"] == 2)
    _until(lambda: client.get(f"/metrics/{execution_id}").json()["total"] == 1)

    lines = client.get(f"/logs/{execution_id}").json()
    assert [(it["level"], it["message"]) for it in lines] == [
        ("DEBUG", "first"),
        ("ERROR", "second\nline"),
    ]
    assert len(client.get(f"/logs/{execution_id}?minLevel=INFO").json()) == 1
    assert client.get(f"/logs/{execution_id}?minLevel=LOUD").status_code == 422
    assert client.get(f"/logs/{execution_id}?taskId=other").json() == []
    assert client.get("/logs/search?q=second").json()["total"] == 1
    text = client.get(f"/logs/{execution_id}/download").text
    assert text.startswith("1970-01-01T00:00:05.001Z DEBUG first\n")
    metric = client.get(f"/metrics/{execution_id}").json()["results"][0]
    assert (metric["name"], metric["value"]) == ("time", 1500.0)
    trigger = client.get("/triggers/search?namespace=company").json()["results"][0]
    assert trigger["triggerContext"]["nextExecutionDate"] == "1970-01-01T00:00:09.000Z"


def _trigger() -> TriggerEvent:
    return TriggerEvent(
        uid="company.team/hello/daily",
        number=1,
        at=1,
        namespace="company.team",
        flow_id="hello",
        flow_revision=1,
        trigger_id="daily",
        type="Schedule",
        disabled=False,
        deleted=False,
        next_date=9000,
        last_date=None,
        execution_id=None,
    )


def _until(holds: Any) -> None:
    for _ in range(2000):
        if holds():
            return
    raise AssertionError("it never held")


# the server itself


def test_other_tenants_are_not_found_and_old_paths_are(site: Site, client: httpx.Client) -> None:
    save(client)
    with httpx.Client(base_url=site.url) as plain:
        assert plain.get("/api/v1/flows/company.team/hello").status_code == 200
        assert plain.get("/api/v1/main/flows/company.team/hello").status_code == 200
        assert plain.get("/api/v1/other/flows/company.team/hello").status_code == 404


def test_health_metrics_and_openapi(site: Site) -> None:
    with httpx.Client(base_url=site.url) as client:
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "UP")
        assert b"kestrapy_indexed_total" in client.get("/metrics").content
        paths = client.get("/openapi.json").json()["paths"]
        assert all(path.startswith(("/api/v1/main/", "/health", "/metrics")) for path in paths)
        assert all(
            operation["summary"] and operation.get("description")
            for operations in paths.values()
            for operation in operations.values()
        )
        site.queries.ping = _away  # type: ignore[method-assign]
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json()["parts"]["store"]["status"] == "DOWN"
        assert health.json()["parts"]["log"]["status"] == "UP"


def _away() -> None:
    raise StoreUnavailable("away")


def test_errors_have_one_shape_and_no_traceback(site: Site) -> None:
    with httpx.Client(base_url=site.url) as client:
        for path, status in (("/nowhere", 404), (API + "/executions/none", 404)):
            answer = client.get(path)
            assert (answer.status_code, set(answer.json())) == (status, {"message"})
        assert client.patch(API + "/flows").status_code == 405

        def broken(_id: str, _number: int | None = None) -> None:
            raise RuntimeError("secret detail")

        site.queries.execution = broken  # type: ignore[method-assign, assignment]
        answer = client.get(API + "/executions/x")
        assert answer.status_code == 500 and "secret" not in answer.text
        site.queries.execution = lambda *_: _away()  # type: ignore[method-assign]
        answer = client.get(API + "/executions/x")
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


def test_a_parameter_that_is_unknown_is_named(client: httpx.Client) -> None:
    answer = client.post("/executions/company.team/x", params={"waiting": "true"})
    assert answer.status_code == 422
    assert answer.json()["message"] == "waiting: unknown parameter: leave it out"
