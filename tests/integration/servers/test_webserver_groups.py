"""Worker groups, workers and defaults over REST, and why a task run waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kestrapy.machine.commands import GroupReport, Heartbeat, WorkerGone
from kestrapy.machine.outputs import Drain, ExecutionEvent, SettingRevision, TaskRunSnapshot
from kestrapy.model.ids import derive_execution_id
from kestrapy.model.state import State
from kestrapy.model.worker_group import GROUP, GroupSettings, encode
from kestrapy.ports.log import Partition
from tests.integration.servers.web_site import Site
from tests.samples import of_execution, of_task_run

API = "/api/v1/main"
FLOW = """\
id: hello
namespace: company.team
tasks:
  - {id: hello, type: log, message: hi, workerGroup: {key: gpu}}
"""
SECONDS = 10.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url + API, timeout=30) as client:
        yield client


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    for word in words:
        assert word in answer.text
    return dict(answer.json())


def hear(site: Site, *records: object, holds: Callable[[], bool]) -> None:
    for record in records:
        site.executor.send(record)
    assert site.board.wait_for(holds, SECONDS)


def test_a_group_is_declared_and_its_topic_made(site: Site, client: httpx.Client) -> None:
    body = {
        "key": "gpu",
        "description": "with CUDA",
        "tags": ["cuda"],
        "minWorkers": 2,
        "lanes": {"urgent": 3},
        "fallback": {"group": "default"},
        "fallbackAfter": "PT30S",
    }
    found = ok(client.post("/worker-groups", json=body))
    assert {name: found[name] for name in body} == body
    assert (found["revision"], found["liveWorkers"], found["drained"]) == (1, 0, False)
    assert ok(client.get("/worker-groups/gpu")) == found
    assert [it["key"] for it in ok(client.get("/worker-groups"))] == ["default", "gpu"]
    topic = site.router.catalogue.jobs("gpu")
    assert topic in site.log.topics().describe([topic], 5)
    refused(client.post("/worker-groups", json=body), 409, "gpu exists")
    refused(client.get("/worker-groups/none"), 404, "declared: default, gpu")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"key": "gpu", "minWorkers": -1}, "minWorkers"),
        ({"key": "gpu", "colour": "red"}, "colour"),
        ({"key": "gpu", "min_workers": 1}, "min_workers"),
        ({"key": "a b"}, "key"),
        ({"tags": []}, "key"),
        ({"key": "gpu", "lanes": {"urgent": 0}}, "lanes.urgent"),
        ({"key": "gpu", "fallback": "LATER"}, "fallback"),
        ({"key": "gpu", "fallback": {"group": "none"}}, "fallback.group"),
    ],
)
def test_what_can_not_be_declared_is_refused_with_its_place(
    client: httpx.Client, body: dict[str, Any], path: str
) -> None:
    document = refused(client.post("/worker-groups", json=body), 422)
    assert path in [it["path"] for it in document["problems"]]
    assert [it["key"] for it in ok(client.get("/worker-groups"))] == ["default"]


def test_a_group_is_declared_anew_as_a_whole(client: httpx.Client) -> None:
    ok(client.post("/worker-groups", json={"key": "gpu", "minWorkers": 2, "tags": ["a"]}))
    changed = ok(client.put("/worker-groups/gpu", json={"minWorkers": 3}))
    assert (changed["minWorkers"], changed["tags"], changed["revision"]) == (3, [], 2)
    again = ok(client.put("/worker-groups/gpu", json={"key": "gpu", "minWorkers": 3}))
    assert again["revision"] == 2
    refused(client.put("/worker-groups/gpu", json={"key": "cpu"}), 422, "renamed")
    refused(client.put("/worker-groups/none", json={}), 404)
    assert ok(client.put("/worker-groups/default", json={"weights": {"a": 2}}))["revision"] == 1


def test_a_drained_group_stays_so_until_it_is_resumed(client: httpx.Client) -> None:
    ok(client.post("/worker-groups", json={"key": "gpu"}))
    assert ok(client.put("/worker-groups/gpu/drain"))["drained"]
    assert ok(client.put("/worker-groups/gpu", json={"minWorkers": 1}))["drained"]
    assert not ok(client.put("/worker-groups/gpu/resume"))["drained"]
    refused(client.put("/worker-groups/none/drain"), 404)


def test_a_group_that_is_wanted_is_not_deleted(client: httpx.Client) -> None:
    ok(client.post("/worker-groups", json={"key": "gpu"}))
    ok(client.post("/flows", content=FLOW))
    refused(client.delete("/worker-groups/gpu"), 409, "flow company.team.hello")
    refused(client.delete("/worker-groups/default"), 409, "always there")
    refused(client.delete("/worker-groups/none"), 404)
    ok(client.put("/flows/company.team/hello", content=FLOW.replace("gpu", "default")))
    ok(client.post("/worker-groups", json={"key": "cpu", "fallback": {"group": "gpu"}}))
    refused(client.delete("/worker-groups/gpu"), 409, "worker group cpu")
    ok(client.delete("/worker-groups/cpu"))
    ok(client.put("/namespaces/company/settings", content="workerGroup: {key: gpu}"))
    refused(client.delete("/worker-groups/gpu"), 409, "namespace company")
    ok(client.delete("/namespaces/company/settings"))
    ok(client.delete("/worker-groups/gpu"))
    refused(client.get("/worker-groups/gpu"), 404)
    refused(client.post("/flows", content=FLOW.replace("hello", "x")), 422, "gpu")
    assert ok(client.post("/worker-groups", json={"key": "gpu"}))["revision"] == 3


def test_a_group_of_the_settings_file_is_changed_there(site: Site, client: httpx.Client) -> None:
    content = encode(GroupSettings("gpu", origin="file"))
    site.executor.send(SettingRevision(GROUP, "gpu", 1, content, at=5))
    site.settings.wait_for(lambda: "gpu" in site.settings.groups(), SECONDS)
    assert ok(client.get("/worker-groups/gpu"))["origin"] == "file"
    refused(client.put("/worker-groups/gpu", json={}), 409, "settings file")
    refused(client.delete("/worker-groups/gpu"), 409, "settings file")


def test_flows_are_held_against_what_is_declared(client: httpx.Client) -> None:
    refused(client.post("/flows", content=FLOW), 422, "gpu")
    ok(client.post("/worker-groups", json={"key": "gpu", "namespaces": ["other"]}))
    refused(client.post("/flows", content=FLOW), 422, "company.team")
    ok(client.put("/worker-groups/gpu", json={"namespaces": ["company"]}))
    ok(client.post("/flows", content=FLOW))


def test_workers_are_shown_and_leave(site: Site, client: httpx.Client) -> None:
    beat = Heartbeat(
        "w1", 1, worker_group="gpu", slots=4, running=1, tags=["a"], host="m", started=9
    )
    hear(
        site,
        beat,
        Heartbeat("w2", 1, worker_group="cpu", slots=2),
        holds=lambda: len(site.board.workers()) == 2,
    )
    assert [it["id"] for it in ok(client.get("/workers"))] == ["w1", "w2"]
    assert [it["id"] for it in ok(client.get("/workers?workerGroup=cpu"))] == ["w2"]
    found = ok(client.get("/workers/w1"))
    assert found.pop("lastSeen").endswith("Z")
    assert found == {
        "id": "w1",
        "workerGroup": {"key": "gpu"},
        "state": "RUNNING",
        "slots": 4,
        "runningJobs": 1,
        "tags": ["a"],
        "version": "",
        "host": "m",
        "startDate": "1970-01-01T00:00:00.009Z",
    }
    hear(site, WorkerGone("w1"), holds=lambda: len(site.board.workers()) == 1)
    refused(client.get("/workers/w1"), 404)


def test_a_worker_is_told_to_drain(site: Site, client: httpx.Client) -> None:
    hear(site, Heartbeat("w1", 1, worker_group="gpu"), holds=lambda: bool(site.board.workers()))
    ok(client.put("/workers/w1/drain"), 202)
    ok(client.put("/workers/w1/resume"), 202)
    refused(client.put("/workers/w2/drain"), 404)
    reader, inbox = site.log.reader(), site.router.catalogue.inbox
    reader.assign({Partition(inbox, it): 0 for it in range(4)})
    told = [site.router.codec.decode(it).record for it in reader.poll(10, 1)]
    assert told == [Drain("w1", True), Drain("w1", False)]


def test_namespaces_and_the_tenant_have_defaults(client: httpx.Client) -> None:
    ok(client.post("/worker-groups", json={"key": "gpu", "tags": ["cuda"]}))
    source = "workerGroup: {key: gpu, fallback: FAIL, fallbackAfter: PT5M}"
    found = ok(client.put("/namespaces/company.team/settings", content=source))
    assert (found["namespace"], found["revision"]) == ("company.team", 1)
    assert found["workerGroup"] == {"key": "gpu", "fallback": "FAIL", "fallbackAfter": "PT5M"}
    assert ok(client.get("/namespaces/company.team/settings")) == found
    refused(client.get("/namespaces/company/settings"), 404)
    selector = {"workerSelector": {"tags": ["cuda"], "match": "ANY"}}
    tenant = ok(client.put("/settings", json=selector))
    assert tenant["workerSelector"] == selector["workerSelector"]
    assert "namespace" not in tenant
    ok(client.delete("/settings"))
    refused(client.get("/settings"), 404)
    refused(client.delete("/settings"), 404)


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("workerGroup: {key: none}", "workerGroup.key"),
        ("workerGroup: {key: gpu}", "workerGroup.key"),
        ("workerGroup: {kay: gpu}", "workerGroup.kay"),
        ("concurrency: 1", "concurrency"),
        ("workerSelector: {tags: [none]}", "workerSelector.tags"),
        ("[]", ""),
    ],
)
def test_defaults_that_can_not_be_are_refused_with_their_place(
    client: httpx.Client, source: str, path: str
) -> None:
    ok(client.post("/worker-groups", json={"key": "gpu", "namespaces": ["other"]}))
    document = refused(client.put("/namespaces/company/settings", content=source), 422)
    assert path in [it["path"] for it in document["problems"]], document
    assert document["problems"][0]["line"] == 1


def waiting_run(execution_id: str, state: State) -> ExecutionEvent:
    event = of_task_run(execution_id, 2, 0, state)
    fields = {it: getattr(event.task_run, it) for it in TaskRunSnapshot.__struct_fields__}
    return ExecutionEvent(
        **{
            **{it: getattr(event, it) for it in ExecutionEvent.__struct_fields__},
            "task_run": TaskRunSnapshot(**{**fields, "worker_group": "gpu"}),
        }
    )


def test_a_task_run_says_why_it_waits(site: Site, client: httpx.Client) -> None:
    ok(client.post("/worker-groups", json={"key": "gpu", "fallback": "FAIL"}))
    execution_id = derive_execution_id(0, 1_800_000_000_000, "waiting")
    site.executor.send(of_execution(execution_id, 1, State.CREATED, State.RUNNING))
    site.executor.send(waiting_run(execution_id, State.SUBMITTED))

    def waiting() -> dict[str, Any]:
        (run,) = ok(client.get(f"/executions/{execution_id}"))["taskRunList"]
        return dict(run["waiting"])

    hear_stored(client, execution_id)
    report = GroupReport(0, "gpu", 12, 3, oldest_at=1_000)
    hear(site, report, holds=lambda: site.board.group("gpu").waiting == 12)
    for _ in range(10_000):
        if site.board.is_settled:
            break
        waiting()
    dead = waiting()
    assert dead == {
        "workerGroup": {"key": "gpu"},
        "reason": "worker group gpu has no live worker; its jobs wait (fallback FAIL after PT1M)",
        "liveWorkers": 0,
        "waitingJobs": 12,
        "oldestJobDate": "1970-01-01T00:00:01.000Z",
    }
    metrics = httpx.get(f"{site.url}/metrics").text
    assert 'kestrapy_worker_group_live_workers{worker_group="gpu"} 0.0' in metrics
    assert 'kestrapy_worker_group_waiting_jobs{worker_group="gpu"} 12.0' in metrics
    assert 'kestrapy_worker_group_running_jobs{worker_group="gpu"} 3.0' in metrics
    assert 'kestrapy_worker_group_oldest_job_age_seconds{worker_group="gpu"}' in metrics
    assert httpx.get(f"{site.url}/health").status_code == 200
    beat = Heartbeat("w1", 1, worker_group="gpu", slots=4, running=3)
    hear(site, beat, holds=lambda: site.board.group("gpu").workers == 1)
    assert waiting()["reason"] == "3 of 4 slots of gpu are taken, 12 jobs wait"
    results = ok(client.get("/executions/search"))["results"]
    assert results[0]["taskRunList"][0]["waiting"] == waiting()
    past = ok(client.get(f"/executions/{execution_id}?event=2"))
    assert "waiting" not in past["taskRunList"][0]
    ok(client.put("/worker-groups/gpu/drain"))
    assert "drained" in waiting()["reason"]
    site.executor.send(of_task_run(execution_id, 3, 0, State.RUNNING))
    for _ in range(1000):
        (run,) = ok(client.get(f"/executions/{execution_id}"))["taskRunList"]
        if run["state"]["current"] == "RUNNING":
            break
    assert "waiting" not in run


def hear_stored(client: httpx.Client, execution_id: str) -> None:
    for _ in range(1000):
        answer = client.get(f"/executions/{execution_id}")
        if answer.status_code == 200 and answer.json()["taskRunList"]:
            return
    raise AssertionError("it is not stored")
