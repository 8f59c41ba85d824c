"""Subflows over several shards, while the executors that own these are killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kestrapy.machine.commands import ChildReported, ExecutionCreated
from kestrapy.model.ids import shard_of
from kestrapy.model.state import State
from tests.acceptance import marks
from tests.acceptance.cluster import BASIC, Cluster
from tests.acceptance.evidence import Follower, read_topic

pytestmark = [pytest.mark.acceptance, pytest.mark.external]

CHILDREN = 8
SETTINGS = {
    "workerGroups": [{"key": "alpha"}],
    "shards": 4,
    "jobPartitions": 4,
    "worker": {"threads": 2 * CHILDREN},
}
EXECUTORS = ("executor", "executor#2")


def called(mark_file: Path, go: Path) -> str:
    lines = "".join(f"      {it}\n" for it in marks.lasting(mark_file, go).splitlines())
    return (
        "id: called\nnamespace: acceptance\nworkerGroup: {key: alpha}\n"
        "inputs: [{id: number, type: INT}]\n"
        f"tasks:\n  - id: wait\n    type: shell.script\n    script: |\n{lines}"
        'outputs: [{id: number, type: INT, value: "{{ inputs.number }}"}]\n'
    )


CALLS = f"""\
id: calls
namespace: acceptance
workerGroup: {{key: alpha}}
tasks:
  - id: each
    type: forEach
    concurrencyLimit: 0
    values: {list(range(CHILDREN))}
    tasks:
      - {{id: call, type: subflow, namespace: acceptance, flowId: called,
          inputs: {{number: "{{{{ taskrun.value }}}}"}}}}
  - {{id: last, type: return, format: "{{{{ outputs.call['3'].outputs.number }}}}"}}
"""


@pytest.fixture
def cluster(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, kafka, topic_prefix, SETTINGS) as cluster:
        cluster.start(*BASIC, EXECUTORS[1], "worker:alpha")
        cluster.await_ready()
        for source in (called(tmp_path / "marks", tmp_path / "go"), CALLS):
            cluster.api.save_flow(source)
        yield cluster


def begin(cluster: Cluster) -> str:
    """-> a parent all of whose children run."""
    file = cluster.folder / "marks"
    before = len(marks.read_marks(file))
    parent = cluster.api.submit("acceptance", "calls")
    wanted = before + CHILDREN
    cluster.wait_for(lambda: len(marks.read_marks(file)) == wanted, "children that run")
    return parent


def restart_executors(cluster: Cluster) -> None:
    for name in EXECUTORS:
        cluster.kill(name)
    cluster.start(*EXECUTORS)


def children_of(cluster: Cluster, parent: str) -> list[str]:
    """By the log, in which each was created once."""
    parts = cluster.parts()
    seen = read_topic(parts, parts.catalogue.executions)
    created = [
        it.content.execution_id
        for it in seen
        if isinstance(it.content, ExecutionCreated)
        and it.content.parent is not None
        and it.content.parent.task_run_id.startswith(parent)
    ]
    found = set(created)
    assert len(found) == CHILDREN
    reports = [it.content for it in seen if isinstance(it.content, ChildReported)]
    assert {it.execution_id for it in reports if it.task_run_id.startswith(parent)} == found
    return sorted(found)


def test_children_on_other_shards_end_and_are_killed_though_executors_die(
    cluster: Cluster,
) -> None:
    parent = begin(cluster)
    cluster.api.kill(parent)
    restart_executors(cluster)
    with Follower(cluster.parts()) as follower:
        follower.await_ends([parent])
        children = children_of(cluster, parent)
        assert len({shard_of(it) for it in children}) > 1
        follower.await_ends(children)
        assert set(follower.ended.values()) == {State.KILLED}

    parent = begin(cluster)
    for name in EXECUTORS:
        cluster.kill(name)
    (cluster.folder / "go").touch()
    cluster.start(*EXECUTORS)
    with Follower(cluster.parts()) as follower:
        follower.await_ends([parent])
        children = children_of(cluster, parent)
        follower.await_ends(children)
        assert {follower.ended[it] for it in (parent, *children)} == {State.SUCCESS}
    cluster.await_ready()
    runs = cluster.api.execution(parent)["taskRunList"]
    calls = [it["outputs"] for it in runs if it["taskId"] == "call"]
    assert sorted(it["outputs"]["number"] for it in calls) == list(range(CHILDREN))
    assert sorted(it["executionId"] for it in calls) == children
    assert runs[-1]["outputs"] == {"value": "3"}
    child = cluster.api.execution(children[0])
    assert child["trigger"]["variables"]["executionId"] == parent
    assert {"key": "system.correlationId", "value": parent} in child["labels"]
