"""Executors go one by one from a build to the next, whose rules differ, while executions run."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from kestrapy.machine.commands import LogicVersion
from tests.acceptance import chaos, database, next_build
from tests.acceptance.cluster import BASIC, Cluster
from tests.acceptance.evidence import Follower, read_topic
from tests.acceptance.judgement import judge

pytestmark = [pytest.mark.acceptance, pytest.mark.external, pytest.mark.timeout(300)]

FIRST, SECOND, LATE = "executor", "executor#2", "executor#3"
WORKERS = tuple(f"worker:{group}" for group in chaos.GROUPS)
PLAN = chaos.Plan(seed=3, executions=160, seconds=20.0, clients=4)


def test_two_builds_whose_rules_differ_never_diverge(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_file = tmp_path / "marks"
    with Cluster(tmp_path, kafka, topic_prefix, chaos.SETTINGS) as cluster:
        cluster.start(*BASIC, SECOND, "scheduler", *WORKERS)
        cluster.await_ready()
        for shape in chaos.SHAPES:
            cluster.api.save_flow(chaos.flow_source(shape, mark_file))
        load = chaos.Load(cluster, PLAN)
        with ThreadPoolExecutor(1, "load") as threads:
            loading = threads.submit(load.run)
            upgrade(cluster, FIRST)
            assert in_force(cluster) == {}, "one of the executors doesn't know these rules"
            upgrade(cluster, SECOND)
            shards = set(range(cluster.settings.shards))
            everywhere = dict.fromkeys(shards, next_build.VERSION)
            cluster.wait_for(lambda: in_force(cluster) == everywhere, "the new rules")
            refuse(cluster)
            loading.result()
        parts, url = cluster.parts(), cluster.settings.store_url
        with Follower(parts) as follower:
            follower.await_ends(load.acknowledged, chaos.END_TIMEOUT)
            labels = [it.execution.labels for it in follower.seen if it.execution is not None]
        by_new = [next_build.LABEL.items() <= it.items() for it in labels]
        assert not all(by_new), "nothing ran by the old rules"
        assert any(by_new), "nothing ran by the new rules"
        cluster.wait_for(lambda: database.is_indexed(parts, url), "the indexer to have read all")
        assert set(cluster.stop().values()) == {0}
        next_build.install(monkeypatch.setattr)
        summary = judge(cluster, load.acknowledged, mark_file)
        assert summary["problems"] == []


def upgrade(cluster: Cluster, name: str) -> None:
    slot = cluster.slots[name]
    slot.send(signal.SIGTERM)
    assert slot.wait() == 0
    cluster.start(name, module=next_build.MODULE)
    cluster.await_ready(name)


def in_force(cluster: Cluster) -> dict[int, int]:
    """By shard, the version that stands in its log of executions."""
    parts = cluster.parts()
    return {
        it.record.partition: it.content.version
        for it in read_topic(parts, parts.catalogue.executions)
        if isinstance(it.content, LogicVersion)
    }


def refuse(cluster: Cluster) -> None:
    """An executor of the old build comes, gets shards, and refuses them, till it goes again."""
    cluster.start(LATE)
    url = f"http://127.0.0.1:{cluster.slots[LATE].port}/health"

    def refuses() -> bool:
        try:
            answer = httpx.get(url, timeout=2)
        except httpx.TransportError:
            return False
        return answer.status_code == 503 and f"logic version {next_build.VERSION}" in answer.text

    cluster.wait_for(refuses, "the old build to refuse its shards")
    assert cluster.stop(LATE) == {LATE: 0}
