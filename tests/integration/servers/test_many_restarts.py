"""REST: restarts, replays and other states of many executions at once."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from kestrapy.machine.commands import ExecutionRestored
from kestrapy.machine.restored import RestoredHead
from kestrapy.model.state import State
from kestrapy.servers import many
from tests.integration.servers.test_many import small_batches
from tests.integration.servers.test_webserver import FLOW, Site, client, save, site, start

__all__ = ["client", "site", "small_batches"]
_decode_head = msgspec.msgpack.Decoder(RestoredHead).decode


def ended(site: Site, client: httpx.Client, state: State = State.FAILED) -> str:
    """Whose task run is in this state."""
    site.executor.task_state = state
    return str(start(client, params={"wait": "true"}, data={"end": "1"})["id"])


def restored(site: Site, count: int) -> dict[str, ExecutionRestored]:
    parts = [site.executor.restored.get(timeout=30) for _ in range(count)]
    assert site.executor.restored.empty()
    return {it.execution_id: it for it in parts}


def test_many_are_restarted_by_their_ids(
    site: Site, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "MOST_BYTES", 1)
    save(client)
    failed = [ended(site, client) for _ in range(2)]
    others = {ended(site, client, State.SUCCESS): "nothing of execution", "none": "there is no"}
    site.executor.state = State.RUNNING
    others[start(client)["id"]] = "has not ended, it is RUNNING"
    answer = client.post("/executions/restart/by-ids", json=[*failed, *others]).json()
    assert (answer["count"], answer["invalidCount"]) == (2, 3)
    for told in answer["invalids"]:
        assert others[told["invalidValue"]] in told["message"]
    parts = restored(site, 2)
    assert set(parts) == set(failed) and all(it.last for it in parts.values())
    assert client.post("/executions/restart/by-ids", json=["none"]).status_code == 400


def test_what_a_search_finds_is_restarted(site: Site, client: httpx.Client) -> None:
    save(client)
    failed = ended(site, client)
    query = {"namespace": "company", "state": "SUCCESS"}
    answer = client.post("/executions/restart/by-query", params=query)
    assert answer.json() == {"count": 1}
    assert set(restored(site, 1)) == {failed}


@pytest.mark.parametrize(("latest", "revision"), [("false", 1), ("true", 2)])
def test_many_are_replayed(site: Site, client: httpx.Client, latest: str, revision: int) -> None:
    save(client)
    ids = [ended(site, client, State.SUCCESS) for _ in range(2)]
    client.put("/flows/company.team/hello", content=FLOW.replace("message: hi", "message: ho"))
    params = {"latestRevision": latest}
    assert client.post("/executions/replay/by-ids", json=ids, params=params).json() == {"count": 2}
    told = restored(site, 2)  # what was replayed has a label from then on
    assert {it: _decode_head(told[it].head).content.labels["system.replayed"] for it in told} == (
        dict.fromkeys(ids, "true")
    )
    site.executor.pause()
    site.executor.resume()
    submitted = site.executor.submitted.values()
    again = {it.lineage.original_id: it.revision for it in submitted if it.lineage is not None}
    assert again == dict.fromkeys(ids, revision)
    answer = client.post("/executions/replay/by-query", params={"namespace": "other", **params})
    assert answer.json() == {"count": 0}


@pytest.mark.parametrize("way", ["by-ids", "by-query"])
def test_many_are_given_another_state(site: Site, client: httpx.Client, way: str) -> None:
    save(client)
    ids = [ended(site, client, State.SUCCESS) for _ in range(2)]
    url, params = f"/executions/change-status/{way}", {"newStatus": "WARNING"}
    body = {"json": ids} if way == "by-ids" else {}
    assert client.post(url, params=params, **body).json() == {"count": 2}
    told = restored(site, 2)
    assert {it: _decode_head(told[it].head).enters for it in told} == dict.fromkeys(ids, "WARNING")
    refused = client.post(url, params={"newStatus": "RUNNING"}, **body)
    assert refused.status_code == 400 and "can't become RUNNING" in refused.text
    assert client.post(url, **body).status_code == 422


@pytest.mark.usefixtures("small_batches")
def test_a_replay_of_what_a_search_finds_finds_no_replays(site: Site, client: httpx.Client) -> None:
    save(client)
    ids = [ended(site, client, State.SUCCESS) for _ in range(5)]
    answer = client.post("/executions/replay/by-query", params={"namespace": "company"})
    assert answer.json() == {"count": 5} and set(restored(site, 5)) == set(ids)
