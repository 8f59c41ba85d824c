"""Worker groups and workers as people declare and change them, with real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.cluster import Cluster
from tests.acceptance.command_line import Ended, kestrapy

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

FLOW = """\
id: one
namespace: acceptance
tasks: [{id: hello, type: log, message: hi, workerGroup: {key: gpu}}]
"""
GPU = ("-s", "lanes={urgent: 3}", "-s", "fallback={group: default}")
SETTINGS = {
    "workerGroups": [
        {"key": "default", "weights": {"acceptance": 2}},
        {"key": "filed", "minWorkers": 2, "fallback": "FAIL", "fallbackAfter": "PT30S"},
    ],
    "shards": 2,
}


def test_groups_are_declared_seen_and_deleted(
    tmp_path: Path, kafka: str, topic_prefix: str
) -> None:
    with Cluster(tmp_path, kafka, topic_prefix, SETTINGS) as cluster:
        cluster.start("indexer", "executor", "webserver", "worker", "worker:filed")
        cluster.await_ready()

        def run(*arguments: str, code: int = 0) -> Ended:
            ended = kestrapy(*arguments, config=cluster.config_file)
            assert ended.code == code, ended
            assert "Traceback" not in ended.error
            return ended

        def groups() -> dict[str, dict[str, Any]]:
            found = json.loads(run("worker-group", "list", "-o", "json").out)
            return {it["key"]: it for it in found}

        cluster.wait_for(lambda: "filed" in groups(), "the groups of the file to be declared")
        found = groups()
        assert found["default"]["weights"] == {"acceptance": 2}
        assert (found["filed"]["origin"], found["filed"]["liveWorkers"]) == ("file", 1)
        assert found["filed"]["fallback"] == "FAIL"
        refused = run("worker-group", "delete", "filed", code=2)
        assert "settings file" in refused.error

        worker = kestrapy("server", "worker", "-g", "gpu", config=cluster.config_file)
        assert worker.code == 1
        assert "kestrapy worker-group create gpu" in worker.error

        made = run("worker-group", "create", "gpu", *GPU)
        assert "gpu is declared, revision 1" in made.out
        assert "--replace" in run("worker-group", "create", "gpu", code=2).error
        assert "expected" in run("worker-group", "create", "x", "-s", "a", code=2).error
        unknown = run("worker-group", "create", "x", "-s", "min_workers=1", code=2)
        assert "min_workers: Extra" in unknown.error
        assert "no live worker: fallback default" in run("worker-group", "list").out
        assert json.loads(run("worker-group", "show", "gpu", "-o", "json").out)["lanes"] == {
            "urgent": 3
        }
        assert "gpu" in run("worker-group", "show", "none", code=2).error

        cluster.api.save_flow(FLOW)
        assert "flow acceptance.one" in run("worker-group", "delete", "gpu", code=2).error

        cluster.start("worker:gpu")
        cluster.await_ready("worker:gpu")

        def workers() -> list[dict[str, Any]]:
            listed = run("worker", "list", "-g", "gpu", "-o", "json").out
            return list(json.loads(listed))

        cluster.wait_for(lambda: len(workers()) == 1, "the worker to be seen")
        (worker_json,) = workers()
        assert worker_json["id"] in run("worker", "list").out
        assert (
            worker_json["host"]
            == json.loads(run("worker", "show", worker_json["id"], "-o", "json").out)["host"]
        )
        run("worker", "drain", worker_json["id"])
        cluster.wait_for(lambda: workers()[0]["state"] == "DRAINED", "the worker to obey")
        run("worker", "resume", worker_json["id"])
        cluster.wait_for(lambda: workers()[0]["state"] == "RUNNING", "the worker to obey")
        assert "no live worker" in run("worker", "drain", "nobody", code=2).error

        run("worker-group", "drain", "gpu")
        execution_id = cluster.api.submit("acceptance", "one")

        def waiting() -> str:
            runs = cluster.api.execution(execution_id)["taskRunList"]
            return str(runs[0].get("waiting", {}).get("reason", "")) if runs else ""

        cluster.wait_for(lambda: "drained" in waiting(), "the task run to say why it waits")
        run("worker-group", "resume", "gpu")
        cluster.wait_for(
            lambda: cluster.api.execution(execution_id)["state"]["current"] == "SUCCESS",
            "the execution to end",
        )
        for port in (cluster.settings.webserver.port, cluster.slots["executor"].port):
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert 'kestrapy_worker_group_live_workers{worker_group="gpu"} 1.0' in metrics
