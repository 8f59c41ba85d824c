"""Executions that go on after their end, over REST, on a real Kafka and a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.cluster import BASIC, Cluster
from tests.acceptance.command_line import kestrapy

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

VALUES = 150
"""So many that the execution comes back in more parts than one."""
FLOW = f"""\
id: again
namespace: acceptance
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: "{{{{ range(1, {VALUES}) }}}}"
    concurrencyLimit: 0
    tasks: [{{id: hello, type: return, format: "{{{{ taskrun.value }}}}"}}]
  - {{id: fails, type: fail, runIf: "{{{{ taskrun.attemptsCount == 0 }}}}"}}
  - {{id: last, type: return, format: "{{{{ outputs.hello['7'].value }}}}"}}
errors:
  - {{id: handler, type: return, format: oh}}
outputs:
  - {{id: end, type: STRING, value: "{{{{ outputs.last.value }}}}"}}
"""
ROWS = 7
SUBFLOWS = (
    """\
id: row
namespace: acceptance
inputs: [{id: n, type: INT}]
tasks:
  - {id: first, type: return, format: "{{ inputs.n }}"}
  - {id: fails, type: fail, runIf: "{{ taskrun.attemptsCount == 0 and inputs.n is odd }}"}
outputs: [{id: n, type: INT, value: "{{ inputs.n }}"}]
""",
    f"""\
id: rows
namespace: acceptance
tasks:
  - {{id: write, type: io.kestra.plugin.core.storage.Write,
      content: "{{{{ range(1, {ROWS}) | join('\\n') }}}}\\n", extension: .txt}}
  - id: each
    type: io.kestra.plugin.core.flow.ForEachItem
    items: "{{{{ outputs.write.uri }}}}"
    namespace: acceptance
    flowId: row
    inputs: {{n: "{{{{ taskrun.iteration }}}}"}}
  - {{id: merged, type: return, format: "{{{{ read(outputs.each_merge.subflowOutputs) }}}}"}}
outputs: [{{id: all, type: STRING, value: "{{{{ outputs.merged.value }}}}"}}]
""",
    """\
id: top
namespace: acceptance
tasks:
  - {id: call, type: subflow, namespace: acceptance, flowId: rows}
outputs: [{id: all, type: STRING, value: "{{ outputs.call.outputs.all }}"}]
""",
)


@pytest.fixture
def cluster(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, kafka, topic_prefix, {}) as cluster:
        cluster.start(*BASIC, "worker:default")
        cluster.await_ready()
        for flow in (FLOW, *SUBFLOWS):
            cluster.api.save_flow(flow)
        yield cluster


def post(cluster: Cluster, execution_id: str, what: str, **request: Any) -> httpx.Response:
    url = f"{cluster.api.url}/api/v1/main/executions/{execution_id}/{what}"
    return httpx.post(url, timeout=30, **request)


def ended(cluster: Cluster, execution_id: str, state: str) -> dict[str, Any]:
    def holds() -> bool:
        return bool(cluster.api.execution(execution_id)["state"]["current"] == state)

    cluster.wait_for(holds, f"{execution_id} is {state}")
    return cluster.api.execution(execution_id)


def states(execution: dict[str, Any], task_id: str = "") -> list[str]:
    runs = [it for it in execution["taskRunList"] if it["taskId"] == task_id]
    of = runs[-1] if task_id else execution
    return [it["state"] for it in of["state"]["histories"]]


def test_a_restart_a_replay_and_changed_states(cluster: Cluster) -> None:
    execution_id = cluster.api.submit("acceptance", "again")
    failed = ended(cluster, execution_id, "FAILED")
    assert len(failed["taskRunList"]) == VALUES + 3

    answer = post(cluster, execution_id, "restart")
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == execution_id
    restarted = ended(cluster, execution_id, "SUCCESS")
    assert states(restarted)[2:] == ["FAILED", "RESTARTED", "RUNNING", "SUCCESS"]
    assert states(restarted, "fails")[-3:] == ["FAILED", "RESTARTED", "SKIPPED"]
    assert restarted["outputs"] == {"end": "7"}
    tasks = [it["taskId"] for it in restarted["taskRunList"]]
    assert len(tasks) == VALUES + 3 and "handler" not in tasks
    assert post(cluster, execution_id, "restart").status_code == 409

    last = restarted["taskRunList"][-1]["id"]
    replayed = post(cluster, execution_id, "replay", params={"taskRunId": last}).json()
    assert replayed["originalId"] == execution_id != replayed["id"]
    copy = ended(cluster, replayed["id"], "SUCCESS")
    assert states(copy, "last")[-4:] == ["RESTARTED", "SUBMITTED", "RUNNING", "SUCCESS"]
    assert len(copy["taskRunList"]) == VALUES + 3

    fresh = post(cluster, execution_id, "replay").json()
    anew = ended(cluster, fresh["id"], "FAILED")
    fails = next(it["id"] for it in anew["taskRunList"] if it["taskId"] == "fails")
    body = {"taskRunId": fails, "state": "SUCCESS"}
    assert post(cluster, fresh["id"], "state", json=body).status_code == 200
    assert states(ended(cluster, fresh["id"], "SUCCESS"), "fails")[-2:] == ["FAILED", "SUCCESS"]

    changed = post(cluster, fresh["id"], "change-status", params={"status": "WARNING"})
    assert changed.json()["state"]["current"] == "WARNING"


def test_restarts_and_replays_by_the_command_line_and_of_many(cluster: Cluster) -> None:
    ids = [cluster.api.submit("acceptance", "again") for _ in range(2)]
    for each in ids:
        ended(cluster, each, "FAILED")
    config = cluster.config_file
    told = kestrapy("execution", "restart", ids[0], config=config)
    assert (told.code, told.out) == (0, "1 will be restarted, 0 refused\n"), told.error
    restarted = ended(cluster, ids[0], "SUCCESS")
    refused = kestrapy("execution", "restart", *ids[:1], config=config)
    assert refused.code == 1 and "nothing of execution" in refused.error

    last = restarted["taskRunList"][-1]["id"]
    told = kestrapy("execution", "replay", ids[0], "--task-run", last, config=config)
    first, _, new_id = told.out.splitlines()[0].partition(" goes on as ")
    assert first == ids[0]
    assert ended(cluster, new_id, "SUCCESS")["originalId"] == ids[0]

    url = f"{cluster.api.url}/api/v1/main/executions/restart/by-query"
    answer = httpx.post(url, params={"namespace": "acceptance", "state": "FAILED"}, timeout=30)
    assert answer.json() == {"count": 1}
    ended(cluster, ids[1], "SUCCESS")


def of_flow(cluster: Cluster, flow_id: str) -> dict[str, list[str]]:
    """By id, the ends of each execution of a flow."""
    url = f"{cluster.api.url}/api/v1/main/executions/search"
    query = {"namespace": "acceptance", "flowId": flow_id, "size": 100}
    found = httpx.get(url, params=query, timeout=30).json()["results"]
    return {it["id"]: [end for end in states(it) if end in ("SUCCESS", "FAILED")] for it in found}


def test_subflows_that_failed_are_restarted_under_their_ids(cluster: Cluster) -> None:
    top = cluster.api.submit("acceptance", "top")
    ended(cluster, top, "FAILED")
    rows, middle = of_flow(cluster, "row"), of_flow(cluster, "rows")
    assert sorted(map(tuple, rows.values())) == [*[("FAILED",)] * 3, *[("SUCCESS",)] * 4]

    assert post(cluster, top, "restart").status_code == 200
    outputs = ended(cluster, top, "SUCCESS")["outputs"]
    assert of_flow(cluster, "rows") == {it: ["FAILED", "SUCCESS"] for it in middle}
    failed = ["FAILED", "SUCCESS"]
    assert of_flow(cluster, "row") == {
        it: failed if ends == ["FAILED"] else ends for it, ends in rows.items()
    }
    numbers = [json.loads(it)["n"] for it in outputs["all"].splitlines()]
    assert sorted(numbers) == list(range(ROWS))


def test_subflows_are_restarted_by_the_command_line_though_the_executor_dies(
    cluster: Cluster,
) -> None:
    top = cluster.api.submit("acceptance", "top")
    ended(cluster, top, "FAILED")
    rows = of_flow(cluster, "row")
    told = kestrapy("execution", "restart", top, config=cluster.config_file)
    cluster.kill("executor")
    assert (told.code, told.out) == (0, "1 will be restarted, 0 refused\n"), told.error
    cluster.start("executor")
    ended(cluster, top, "SUCCESS")
    assert of_flow(cluster, "row") == {
        it: [*ends, "SUCCESS"] if ends == ["FAILED"] else ends for it, ends in rows.items()
    }
