"""Tasks that match patterns, by the library for them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.task_bench import Bench, NoLauncher

OWN = "kestra:///company/team/flow/executions/execution"
SPLIT = "io.kestra.plugin.core.storage.Split"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(NoLauncher(), tmp_path)


def test_split_by_pattern(bench: Bench) -> None:
    uri = f"{OWN}/log"
    bench.blobs.put(uri, io.BytesIO(b"[ERROR] 1\n[INFO] 2\nnone\n[ERROR] 3\n"))
    outputs = bench.done(SPLIT, **{"from": uri, "regexPattern": r"\[(\w+)\]"})
    assert [bench.content(it) for it in outputs["uris"]] == [
        b"[ERROR] 1\n[ERROR] 3\n",
        b"[INFO] 2\n",
    ]


def test_patterns_that_can_not_be_used(bench: Bench) -> None:
    uri = f"{OWN}/log"
    bench.blobs.put(uri, io.BytesIO(b"a\n"))
    assert "has no group" in bench.refusal(SPLIT, **{"from": uri, "regexPattern": "a+"})
    assert "can't be used" in bench.refusal(SPLIT, **{"from": uri, "regexPattern": "(a"})


def test_a_hostile_pattern_takes_linear_time(bench: Bench) -> None:
    """Backtracking would take longer than the universe is old."""
    uri = f"{OWN}/log"
    bench.blobs.put(uri, io.BytesIO(b"a" * 50_000 + b"!\n"))
    assert bench.done(SPLIT, **{"from": uri, "regexPattern": "^((a+)+)$"}) == {"uris": []}
