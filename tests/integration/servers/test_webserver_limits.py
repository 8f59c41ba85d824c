"""The REST API on concurrency limits and checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.servers.web_site import Site

LIMITED = """\
id: limited
namespace: company
concurrency: {limit: 2, behavior: QUEUE}
inputs: [{id: n, type: INT, defaults: 1}]
sla: [{id: fast, type: MAX_DURATION, duration: PT1H, behavior: CANCEL, labels: {slow: "yes"}}]
checks:
  - {condition: "{{ inputs.n < 5 }}", message: n is too large, behavior: BLOCK_EXECUTION}
  - {condition: "{{ inputs.n < 3 }}", message: n is large, behavior: CREATE_EXECUTION}
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: hi}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{site.url}/api/v1/main", timeout=30) as client:
        for source in (LIMITED, LIMITED.replace("limited", "free").replace("concurrency", "#")):
            assert client.post("/flows", content=source).status_code == 200
        yield client


def start(client: httpx.Client, **inputs: str) -> dict[str, Any]:
    files = {name: (None, value) for name, value in inputs.items()}
    answer = client.post("/executions/company/limited", files=files or None)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_who_runs_and_who_waits_is_shown(site: Site, client: httpx.Client) -> None:
    start(client)
    site.executor.queues = True
    queued = start(client)
    assert queued["state"]["current"] == "QUEUED"
    assert queued["waiting"] == {"reason": "the executor of this test"}
    (shown,) = client.get("/concurrency-limit/search").json()["results"]
    assert (shown["flowId"], shown["limit"]) == ("limited", 2)
    assert (shown["running"], shown["queued"]) == (1, 1)
    assert client.get("/concurrency-limit/company/limited").json() == shown
    assert client.get("/concurrency-limit/company/free").status_code == 404


@pytest.mark.parametrize("deed", ["force-run", "unqueue", "unqueue?state=RUNNING"])
def test_a_queued_one_is_let_run(site: Site, client: httpx.Client, deed: str) -> None:
    running = start(client)
    assert client.post(f"/executions/{running['id']}/{deed}").status_code == 409
    site.executor.queues = True
    queued = start(client)
    assert client.post(f"/executions/{queued['id']}/{deed}").status_code == 202
    assert site.executor.await_forced() == queued["id"]
    assert client.post(f"/executions/{queued['id']}/unqueue?state=FAILED").status_code == 422


def test_a_check_that_blocks_is_the_answer(client: httpx.Client) -> None:
    answer = client.post("/executions/company/limited", files={"n": (None, "7")})
    assert answer.status_code == 422
    told = [it["message"] for it in answer.json()["problems"]]
    assert told == [
        "Flow execution blocked: n is too large",
        "Flow execution blocked: n is large",
    ]
    assert start(client, n="4")["flowId"] == "limited", "the other one only tells"


def test_they_stand_in_the_flows_document(client: httpx.Client) -> None:
    found = client.get("/flows/company/limited").json()
    assert found["concurrency"] == {"limit": 2, "behavior": "QUEUE"}
    assert found["sla"] == [
        {
            **{"id": "fast", "type": "MAX_DURATION", "behavior": "CANCEL", "duration": "PT1H"},
            "labels": [{"key": "slow", "value": "yes"}],
        }
    ]
    assert found["checks"][1] == {
        **{"condition": "{{ inputs.n < 3 }}", "message": "n is large"},
        **{"style": "INFO", "behavior": "CREATE_EXECUTION"},
    }
