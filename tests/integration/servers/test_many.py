"""REST: pause, resume with inputs, and what is asked of many executions at once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from kestrapy.model.state import State
from kestrapy.servers import many
from tests.integration.servers.test_webserver import FLOW, Site, client, save, site, start

__all__ = ["client", "site"]
ASKING = """id: hello
namespace: company.team
tasks:
  - id: hello
    type: io.kestra.plugin.core.flow.Pause
    onResume:
      - {id: yes, type: BOOL}
      - {id: why, type: STRING, defaults: so}
"""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "BATCH", 2)


def paused(site: Site, client: httpx.Client, source: str = ASKING) -> str:
    save(client, source)
    site.executor.task_state = site.executor.state = State.PAUSED
    return str(start(client)["id"])


def test_a_running_execution_is_paused_and_no_other(site: Site, client: httpx.Client) -> None:
    save(client)
    running = start(client)["id"]
    assert client.post(f"/executions/{running}/pause").status_code == 202
    site.executor.state = State.PAUSED
    other = start(client)["id"]
    refused = client.post(f"/executions/{other}/pause")
    assert refused.status_code == 409 and "is not running: PAUSED" in refused.text


def test_a_resume_is_refused_without_the_inputs_that_it_needs(
    site: Site, client: httpx.Client
) -> None:
    url = f"/executions/{paused(site, client)}/resume"
    missing = client.post(url)
    assert missing.status_code == 422 and "Missing required input:yes" in missing.text
    assert client.post(url, data={"yes": "1", "other": "1"}).status_code == 422
    assert client.post(url, data={"yes": "perhaps"}).status_code == 422
    assert not site.executor.resumed
    assert client.post(url, data={"yes": "true"}).status_code == 202


def test_what_a_pause_asks_for_is_validated_and_nothing_else(
    site: Site, client: httpx.Client
) -> None:
    url = f"/executions/{paused(site, client)}/resume/validate"

    def validated(**data: str) -> dict[str, Any]:
        answer = client.post(url, data=data)
        assert answer.status_code == 200
        document = answer.json()
        assert (document["id"], document["checks"]) == ("hello", [])
        return {it["input"]["id"]: it for it in document["inputs"]}

    good = validated(yes="true")
    assert good["yes"].pop("input")["type"] == "BOOL"
    assert good["yes"] == {"value": True, "enabled": True, "isDefault": False, "errors": []}
    assert (good["why"]["value"], good["why"]["isDefault"]) == ("so", True)
    missing = validated(why="because")
    assert "Missing required input:yes" in missing["yes"]["errors"][0]["message"]
    assert (missing["why"]["value"], missing["why"]["errors"]) == ("because", [])
    assert "perhaps" in validated(yes="perhaps")["yes"]["errors"][0]["message"]
    assert validated(yes="true", other="1")["other"]["errors"]
    assert not site.executor.resumed
    site.executor.task_state = site.executor.state = State.RUNNING
    running = start(client)["id"]
    assert client.post(f"/executions/{running}/resume/validate").status_code == 409


@pytest.mark.usefixtures("small_batches")
def test_many_are_killed_by_their_ids(client: httpx.Client) -> None:
    save(client)
    ids = [start(client)["id"] for _ in range(3)]
    ended = start(client, params={"wait": "true"}, data={"end": "1"})["id"]
    answer = client.request("DELETE", "/executions/kill/by-ids", json=[*ids, ids[0], ended, "none"])
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["count"]) == (200, 3), "each once"
    assert document["invalidCount"] == 2
    reasons = {it["invalidValue"]: it["message"] for it in document["invalids"]}
    assert "there is no execution none" in reasons["none"] and "has ended" in reasons[ended]
    again = client.request("DELETE", "/executions/kill/by-ids", json=["none"])
    assert (again.status_code, again.json()["count"]) == (400, 0)


@pytest.mark.usefixtures("small_batches")
def test_many_are_found_by_a_search(site: Site, client: httpx.Client) -> None:
    save(client)
    save(client, FLOW.replace("company.team", "other", 1))
    ids = [start(client)["id"] for _ in range(5)]
    client.post("/executions/other/hello")
    answer = client.post("/executions/pause/by-query", params={"namespace": "company"})
    assert answer.json() == {"count": 5}
    assert client.post("/executions/pause/by-query", params={"nonsense": 1}).status_code == 422
    nothing = client.post("/executions/resume/by-query", params={"state": "PAUSED"})
    assert (nothing.status_code, nothing.json()) == (200, {"count": 0})
    site.executor.pause()  # it has answered all until now
    assert sorted(site.executor.paused) == sorted(ids)
    site.executor.resume()


def test_of_many_those_are_refused_whose_pauses_ask_for_something(
    site: Site, client: httpx.Client
) -> None:
    asking = paused(site, client)
    answer = client.post("/executions/resume/by-ids", json=[asking])
    assert answer.status_code == 400
    assert "Missing required input:yes" in answer.json()["invalids"][0]["message"]


def test_executions_are_left_alone_and_heeded_again(client: httpx.Client) -> None:
    name = {"name": "namespace/company.team"}
    assert client.get("/ignored").json() == []
    assert client.put("/ignored", params=name).json() == {**name, "ignored": True}
    assert client.put("/ignored", params=name).status_code == 200
    assert client.get("/ignored").json() == [name["name"]]
    assert client.delete("/ignored", params=name).status_code == 200
    assert client.get("/ignored").json() == []
    assert client.put("/ignored", params={"name": "everything"}).status_code == 422
