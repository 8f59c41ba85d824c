"""Tasks that count and purge what is stored: by real servers, on a real Kafka and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.cluster import BASIC, Cluster
from tests.acceptance.command_line import kestrapy

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

SAYS = """\
id: says
namespace: company.team
tasks:
  - {id: a, type: log, message: [one, two]}
  - {id: file, type: io.kestra.plugin.core.storage.Write, content: x}
"""
COUNT = """\
id: count
namespace: system
tasks:
  - id: count
    type: io.kestra.plugin.core.execution.Count
    flows: [{namespace: company.team, flowId: says}]
    states: [SUCCESS]
    startDate: "{{ now() | dateAdd(-1, 'DAYS') }}"
    expression: "{{ count >= 0 }}"
"""
PURGE = """\
id: purge
namespace: system
tasks:
  - id: logs
    type: io.kestra.plugin.core.log.PurgeLogs
    namespace: company
    endDate: "{{ now() | dateAdd(1, 'HOURS') }}"
  - id: executions
    type: io.kestra.plugin.core.execution.PurgeExecutions
    namespace: company
    endDate: "{{ now() | dateAdd(1, 'HOURS') }}"
    batchSize: 2
"""
EXECUTIONS = 5


@pytest.fixture
def cluster(kafka: str, topic_prefix: str, postgres_url: str, tmp_path: Path) -> Iterator[Cluster]:
    settings = {"shards": 2, "jobPartitions": 2, "store": {"url": postgres_url}}
    with Cluster(tmp_path, kafka, topic_prefix, settings) as cluster:
        cluster.start(*BASIC, "worker")
        cluster.await_ready()
        for source in (SAYS, COUNT, PURGE):
            cluster.api.save_flow(source)
        yield cluster


def stored(cluster: Cluster, execution_id: str) -> dict[str, Any] | None:
    answer = httpx.get(f"{cluster.api.url}/api/v1/main/executions/{execution_id}", timeout=30)
    if answer.status_code == 404:
        return None
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def ended(cluster: Cluster, execution_id: str) -> dict[str, Any]:
    """The outputs of its tasks."""

    def has_ended() -> bool:
        found = stored(cluster, execution_id)
        state = found["state"]["current"] if found else None
        assert state not in ("FAILED", "KILLED"), cluster.api.logs(execution_id)
        return state == "SUCCESS"

    cluster.wait_for(has_ended, f"the end of {execution_id}")
    found = stored(cluster, execution_id)
    assert found is not None
    return {it["taskId"]: it["outputs"] for it in found["taskRunList"]}


def test_what_has_ended_is_counted_and_purged(cluster: Cluster) -> None:
    ids = [cluster.api.submit("company.team", "says") for _ in range(EXECUTIONS)]
    for execution_id in ids:
        ended(cluster, execution_id)
    cluster.wait_for(lambda: all(len(cluster.api.logs(it)) == 2 for it in ids), "all lines")

    counted = ended(cluster, cluster.api.submit("system", "count"))["count"]
    assert counted["total"] == EXECUTIONS
    purge = cluster.api.submit("system", "purge")
    outputs = ended(cluster, purge)
    assert outputs["logs"] == {"count": 2 * EXECUTIONS}
    assert outputs["executions"]["executionsCount"] == EXECUTIONS
    assert outputs["executions"]["storagesCount"] == EXECUTIONS

    cluster.wait_for(lambda: not any(stored(cluster, it) for it in ids), "the end of the purge")
    cluster.wait_for(lambda: not any(cluster.api.logs(it) for it in ids), "the end of the lines")
    assert ended(cluster, cluster.api.submit("system", "count"))["count"]["total"] == 0
    assert ended(cluster, purge) == outputs  # what purges is of another namespace
    ended(cluster, cluster.api.submit("company.team", "says"))
    assert stored(cluster, purge) is not None


ASKS = """\
id: asks
namespace: company.team
tasks:
  - id: wait
    type: pause
    onResume:
      - {id: approved, type: BOOL}
      - {id: report, type: FILE}
  - id: read
    type: return
    format: "{{ outputs.wait.onResume.approved }} {{ read(outputs.wait.onResume.report) }}"
"""


def test_a_paused_execution_goes_on_with_inputs_of_the_command_line(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.api.save_flow(ASKS)
    paused = cluster.api.submit("company.team", "asks")

    def is_paused() -> bool:
        found = stored(cluster, paused)
        return found is not None and found["state"]["current"] == "PAUSED"

    cluster.wait_for(is_paused, "the pause")
    report = tmp_path / "report.txt"
    report.write_text("all is well")
    resume = ("execution", "resume", paused, "--input", f"report={report}")
    refused = kestrapy(*resume, config=cluster.config_file)
    assert refused.code == 1 and "Missing required input:approved" in refused.error
    done = kestrapy(*resume, "--input", "approved=true", config=cluster.config_file)
    assert done.code == 0, done.error
    assert ended(cluster, paused)["read"] == {"value": "true all is well"}


def test_one_execution_is_deleted_by_rest(cluster: Cluster) -> None:
    first, second = (cluster.api.submit("company.team", "says") for _ in range(2))
    file = ended(cluster, first)["file"]["uri"]
    ended(cluster, second)
    url = f"{cluster.api.url}/api/v1/main/executions/{first}"
    assert httpx.get(f"{url}/file", params={"path": file}, timeout=30).text == "x"
    assert httpx.delete(url, params={"deleteLogs": "perhaps"}, timeout=30).status_code == 422
    assert httpx.delete(url, timeout=30).status_code == 204
    cluster.wait_for(lambda: stored(cluster, first) is None, "the end of the execution")
    assert httpx.delete(url, timeout=30).status_code == 404
    assert stored(cluster, second) is not None
    cluster.api.save_flow(ASKS)
    asks = cluster.api.submit("company.team", "asks")
    cluster.wait_for(lambda: stored(cluster, asks) is not None, "the execution")
    refused = httpx.delete(f"{cluster.api.url}/api/v1/main/executions/{asks}", timeout=30)
    assert refused.status_code == 409 and "kill it first" in refused.text
