"""What workers do of a ForEachItem: they split the items, and merge the outputs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests.task_bench import Bench, NoLauncher

TYPE = "io.kestra.plugin.core.flow.ForEachItem"
SPLIT, MERGE = f"{TYPE}$ForEachItemSplit", f"{TYPE}$ForEachItemMergeOutputs"
OWN = "kestra:///company/team/flow/executions/execution"
FOLDER = f"{OWN}/tasks/t1/run/4"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(NoLauncher(), tmp_path)


def given(bench: Bench, content: bytes, name: str = "data.txt") -> str:
    uri = f"{OWN}/inputs/{name}"
    bench.blobs.put(uri, io.BytesIO(content))
    return uri


def batches(bench: Bench, outputs: dict[str, Any]) -> list[bytes]:
    """By the URIs that the executor makes of the outputs; the list of URIs says the same."""
    prefix, suffix = outputs["prefix"], outputs["suffix"]
    uris = [f"{prefix}{number}{suffix}" for number in range(outputs["numberOfBatches"])]
    assert bench.content(outputs["splits"]).decode().splitlines() == uris
    return [bench.content(uri) for uri in uris]


@pytest.mark.parametrize(
    ("batch", "wanted"),
    [
        ({}, [b"a\n", b"b\n", b"c\n"]),
        ({"rows": 2}, [b"a\nb\n", b"c\n"]),
        ({"rows": "{{ inputs.list | length }}"}, [b"a\nb\n", b"c\n"]),
        ({"partitions": 2}, [b"a\nc\n", b"b\n"]),
        ({"bytes": "4"}, [b"a\nb\n", b"c\n"]),
        ({"separator": "b"}, [b"a\nb", b"\nc\nb"]),
        ({"regexPattern": "([ab])"}, [b"a\n", b"b\n"]),
    ],
)
def test_items_are_split(bench: Bench, batch: dict[str, Any], wanted: list[bytes]) -> None:
    outputs = bench.done(SPLIT, items=given(bench, b"a\nb\nc\n"), batch=batch)
    assert batches(bench, outputs) == wanted
    assert outputs["prefix"].startswith(FOLDER)


def test_the_default_is_one_item_each_and_a_name_with_blanks_is_a_name(bench: Bench) -> None:
    outputs = bench.done(SPLIT, items=given(bench, b"a\nb", "the%20data.tar.gz"))
    assert batches(bench, outputs) == [b"a\n", b"b\n"]
    assert outputs["prefix"] == f"{FOLDER}/the%20data.tar-"


def test_an_empty_file_has_no_batches(bench: Bench) -> None:
    outputs = bench.done(SPLIT, items=given(bench, b""))
    assert (outputs["numberOfBatches"], bench.content(outputs["splits"])) == (0, b"")


@pytest.mark.parametrize(
    ("batch", "problem"),
    [
        ({"rows": 1, "partitions": 2}, "give one of bytes, partitions"),
        ({"rows": "{{ 0 }}"}, "not at least 1"),
        ({"separator": ""}, "separator: it can't be empty"),
    ],
)
def test_batches_that_can_not_be_made(bench: Bench, batch: dict[str, Any], problem: str) -> None:
    outcome = bench.run(SPLIT, items=given(bench, b"a\n"), batch=batch)
    assert problem in outcome.error


def test_outputs_are_merged_in_order(bench: Bench) -> None:
    bench.variables["merging"] = {"uri": None, "outputs": [[2, {"v": "ü"}], [0, {"v": 1}]]}
    outputs = bench.done(MERGE)
    assert bench.content(outputs["subflowOutputs"]) == '{"v":1}\n{"v":"ü"}\n'.encode()


def test_the_next_outputs_are_added_to_the_file(bench: Bench) -> None:
    before = given(bench, b'{"v":0}\n')
    bench.variables["merging"] = {"uri": before, "outputs": [[1, {"v": 1}]]}
    outputs = bench.done(MERGE)
    assert bench.content(outputs["subflowOutputs"]) == b'{"v":0}\n{"v":1}\n'
    assert bench.content(before) == b'{"v":0}\n'


def test_no_outputs_make_no_file(bench: Bench) -> None:
    bench.variables["merging"] = {"uri": None, "outputs": []}
    assert bench.done(MERGE) == {}
