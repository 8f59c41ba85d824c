"""Tasks on files of internal storage: what comes out, and what they refuse."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from kestrapy.plugins.tasks import storage_split, streams
from kestrapy.plugins.tasks.storage_split import parse_size
from kestrapy.plugins.tasks.streams import Pulled, rows, rows_backwards
from kestrapy.ports.tasks import TaskFailed
from kestrapy.servers.worker.run_context import JobTask, RunContext, Sinks
from tests.task_bench import Bench, NoLauncher

STORAGE = "io.kestra.plugin.core.storage"
OWN = "kestra:///company/team/flow/executions/execution"
RUN = f"{OWN}/tasks/t1/run/4"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(NoLauncher(), tmp_path)


def given(bench: Bench, content: bytes, uri: str = f"{OWN}/inputs/data.txt") -> str:
    bench.blobs.put(uri, io.BytesIO(content))
    return uri


def items(bench: Bench, *found: Any) -> str:
    return given(bench, b"".join(json.dumps(it).encode() + b"\n" for it in found))


# -- whole files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [".txt", "txt"])
def test_write(bench: Bench, extension: str) -> None:
    outputs = bench.done(f"{STORAGE}.Write", content="für {{ inputs.name }}", extension=extension)
    assert outputs == {"uri": f"{RUN}/content.txt"}
    assert bench.content(outputs["uri"]) == "für Ada".encode()


def test_concat(bench: Bench) -> None:
    first, second = given(bench, b"1"), given(bench, b"2", f"{OWN}/b")
    outputs = bench.done(f"{STORAGE}.Concat", files=[first, second, first], separator="\n")
    assert bench.content(outputs["uri"]) == b"1\n2\n1"
    outputs = bench.done(f"{STORAGE}.Concat", files=json.dumps([first, second]), extension="csv")
    assert outputs["uri"].endswith("/concatenated.csv")
    assert bench.content(outputs["uri"]) == b"12"


@pytest.mark.parametrize(
    ("content", "separator", "backwards"),
    [
        (b"a\nb\nc", "\n", b"c\nb\na\n"),
        (b"a\nb\n\n", "\n", b"\nb\na\n"),
        (b"a;;b;;c;;", ";;", b"c;;b;;a;;"),
        (b"", "\n", b""),
        (b"\n", "\n", b"\n"),
    ],
)
def test_reverse(bench: Bench, content: bytes, separator: str, backwards: bytes) -> None:
    outputs = bench.done(
        f"{STORAGE}.Reverse", **{"from": given(bench, content), "separator": separator}
    )
    assert bench.content(outputs["uri"]) == backwards


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "content", [b"one\r\ntwo\r\n\r\nthree", b"one\r\n", b"\r\n\r\n", b"", b"x"]
)
def test_rows_are_the_same_forwards_and_backwards(
    monkeypatch: pytest.MonkeyPatch, content: bytes, chunk: int
) -> None:
    monkeypatch.setattr(streams, "CHUNK", chunk)
    wanted = content.removesuffix(b"\r\n").split(b"\r\n") if content else []
    assert list(rows(io.BytesIO(content), b"\r\n")) == wanted
    assert list(rows_backwards(io.BytesIO(content), b"\r\n")) == wanted[::-1]


def test_a_row_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_ROW", 100_000)
    for read in (rows, rows_backwards):
        assert len(list(read(io.BytesIO(b"x" * 100_000)))) == 1
        with pytest.raises(TaskFailed, match="longer than 100000 bytes"):
            list(read(io.BytesIO(b"x" * 300_000)))


def test_size_and_delete(bench: Bench) -> None:
    uri = given(bench, b"12345")
    assert bench.done(f"{STORAGE}.Size", uri=uri) == {"size": 5}
    assert bench.done(f"{STORAGE}.Delete", uri=uri) == {"uri": uri, "deleted": True}
    assert bench.done(f"{STORAGE}.Delete", uri=uri) == {"uri": uri, "deleted": False}
    assert "is not in" in bench.refusal(f"{STORAGE}.Delete", uri=uri, errorOnMissing=True)
    assert "is not in" in bench.refusal(f"{STORAGE}.Size", uri=uri)


def test_local_files(bench: Bench) -> None:
    uri = given(bench, b"given")
    outputs = bench.done(
        f"{STORAGE}.LocalFiles",
        inputs={"a.txt": "{{ inputs.name }}", "deep/b.txt": uri},
        outputs=["**/b.txt", "*.txt"],
    )
    assert {name: bench.content(it) for name, it in outputs["uris"].items()} == {
        "a.txt": b"Ada",
        "deep/b.txt": b"given",
    }


def test_purge_deletes_the_files_of_the_own_execution_alone(bench: Bench) -> None:
    uris = [given(bench, b"1", f"{OWN}/inputs/{number:04}") for number in range(1_003)]
    others = [
        given(bench, b"x", "kestra:///company/team/flow/executions/execution2/x"),
        given(bench, b"x", "kestra:///_files/company.team/x"),
    ]
    outputs = bench.done(f"{STORAGE}.PurgeCurrentExecutionFiles")
    assert outputs == {"uris": uris[:1_000], "count": 1_003}
    assert list(bench.blobs.list("kestra:///")) == sorted(others)


# -- Split -----------------------------------------------------------------------------------------


def split(bench: Bench, content: bytes, **properties: Any) -> list[bytes]:
    outputs = bench.done(f"{STORAGE}.Split", **{"from": given(bench, content)}, **properties)
    names = [uri.rsplit("/", 1)[1] for uri in outputs["uris"]]
    assert names == [f"data-{number}.txt" for number in range(len(names))]
    return [bench.content(uri) for uri in outputs["uris"]]


@pytest.mark.parametrize(
    ("properties", "parts"),
    [
        ({"rows": 2}, [b"a\nb\n", b"c\nd\n", b"e\n"]),
        ({"rows": "{{ 4 }}"}, [b"a\nb\nc\nd\n", b"e\n"]),
        ({"partitions": 2}, [b"a\nc\ne\n", b"b\nd\n"]),
        ({"partitions": 9}, [b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"]),
        ({"bytes": "5"}, [b"a\nb\n", b"c\nd\n", b"e\n"]),
        ({"bytes": "1"}, [b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"]),
        ({"bytes": "1KB"}, [b"a\nb\nc\nd\ne\n"]),
    ],
)
def test_split(bench: Bench, properties: dict[str, Any], parts: list[bytes]) -> None:
    assert split(bench, b"a\nb\nc\nd\ne", **properties) == parts


def test_split_of_other_rows(bench: Bench) -> None:
    assert split(bench, b"a;b;c;", rows=2, separator=";") == [b"a;b;", b"c;"]
    assert split(bench, b"", rows=2) == []


def test_more_rows_of_a_file_come_after_it_was_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_split, "MAX_OPEN", 2)
    monkeypatch.setattr(storage_split, "_by_size", lambda _: lambda row: int(row) % 4)
    content = b"".join(b"%d\n" % number for number in range(12))
    parts = split(bench, content, bytes="1")
    assert parts == [b"0\n4\n8\n", b"1\n5\n9\n", b"2\n6\n10\n", b"3\n7\n11\n"]


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({}, "give one of bytes, partitions, rows and regexPattern"),
        ({"rows": 1, "bytes": "1MB"}, "give one of"),
        ({"rows": 0}, "not at least 1"),
        ({"partitions": 101}, "more than 100"),
        ({"bytes": "many"}, "write it as 500, 10KB, 10MB"),
        ({"rows": 1, "separator": ""}, "separator: it can't be empty"),
    ],
)
def test_split_refuses(bench: Bench, properties: dict[str, Any], error: str) -> None:
    uri = given(bench, b"a\n")
    assert error in bench.refusal(f"{STORAGE}.Split", **{"from": uri}, **properties)


def test_split_makes_a_bounded_number_of_files(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_split, "MAX_FILES", 3)
    uri = given(bench, b"a\nb\nc\nd\n")
    assert "more than 3 files" in bench.refusal(f"{STORAGE}.Split", **{"from": uri, "rows": 1})


@pytest.mark.parametrize(
    ("text", "size"), [("500", 500), ("10KB", 10_240), ("2 mb", 2 << 20), ("1GB", 1 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


# -- items -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "kept"),
    [
        ({"filterCondition": "{{ value == 1 }}"}, [1]),
        ({"filterCondition": "{{ value == 1 }}", "filterType": "EXCLUDE"}, [2, 3]),
        ({"filterCondition": "{{ value > inputs.least }}"}, [2, 3]),
        ({"filterCondition": "{{ other }}", "errorOrNullBehavior": "INCLUDE"}, [2, 3]),
        ({"filterCondition": "{{ other }}", "errorOrNullBehavior": "EXCLUDE"}, []),
    ],
)
def test_filter_items(bench: Bench, properties: dict[str, Any], kept: list[int]) -> None:
    bench.variables["inputs"]["least"] = 1
    uri = items(bench, {"value": 1, "other": False}, {"value": 2, "other": None}, {"value": 3})
    outputs = bench.done(f"{STORAGE}.FilterItems", **{"from": uri}, **properties)
    lines = bench.content(outputs["uri"]).splitlines()
    assert [json.loads(line)["value"] for line in lines] == kept
    assert (outputs["processedItemsTotal"], outputs["droppedItemsTotal"]) == (3, 3 - len(kept))


def test_filter_items_fails_with_the_item_that_it_is_about(bench: Bench) -> None:
    uri = items(bench, {"value": 1}, {"value": None})
    error = bench.refusal(
        f"{STORAGE}.FilterItems", **{"from": uri, "filterCondition": "{{ value }}"}
    )
    assert "item 2: filterCondition is null" in error
    assert "item 1: " in bench.refusal(
        f"{STORAGE}.FilterItems", **{"from": uri, "filterCondition": "{{ valeu }}"}
    )
    broken = given(bench, b'{"value": 1}\n[1]\n')
    error = bench.refusal(
        f"{STORAGE}.FilterItems", **{"from": broken, "filterCondition": "{{ value }}"}
    )
    assert "line 2 is no JSON object" in error


def test_deduplicate_keeps_the_last_of_each_key(bench: Bench) -> None:
    uri = items(bench, *({"k": key, "n": n} for n, key in enumerate(["a", "b", "a", "c", "b"])))
    outputs = bench.done(f"{STORAGE}.DeduplicateItems", **{"from": uri, "expr": "{{ k }}"})
    lines = bench.content(outputs.pop("uri")).splitlines()
    assert [json.loads(line)["n"] for line in lines] == [2, 3, 4]
    assert outputs == {"processedItemsTotal": 5, "droppedItemsTotal": 2, "numKeys": 3}


# -- reach -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "kestra:///company/team/flow/executions/another/x",
        "kestra:///company/team/flow/executions/execution2/x",
        "kestra:///company/team/other/executions/execution/x",
        "kestra:///_files/company/x",
        "kestra:///_files/company.team2/x",
        "kestra:///x",
        f"{OWN}",
        f"{OWN}/../another/x",
        f"{OWN}/%2e%2e/another/x",
        "file:///etc/passwd",
    ],
)
def test_others_files_are_out_of_reach(bench: Bench, uri: str) -> None:
    if uri.startswith("kestra:///") and ".." not in uri and "%" not in uri and uri != OWN:
        given(bench, b"secret", uri)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("Concat", {"files": [uri]}),
        ("Reverse", {"from": uri}),
        ("Size", {"uri": uri}),
        ("Delete", {"uri": uri}),
        ("Split", {"from": uri, "rows": 1}),
        ("FilterItems", {"from": uri, "filterCondition": "true"}),
        ("LocalFiles", {"inputs": {"x": uri}, "outputs": ["x"]}),
    ]
    for name, properties in calls:
        if name == "LocalFiles" and not uri.startswith("kestra:"):
            continue  # a text like any other
        error = bench.refusal(f"{STORAGE}.{name}", **properties)
        assert uri in error
        assert "out of this task's reach" in error or "is no URI" in error


def test_files_of_the_execution_that_was_replayed_can_be_read_and_not_changed(
    bench: Bench,
) -> None:
    uri = given(bench, b"12", f"{OWN.removesuffix('execution')}first/tasks/x")
    assert "out of this task's reach" in bench.refusal(f"{STORAGE}.Size", uri=uri)
    bench.variables["execution"] = {"originalId": "first"}
    assert bench.done(f"{STORAGE}.Size", uri=uri) == {"size": 2}
    assert "out of this task's reach" in bench.refusal(f"{STORAGE}.Delete", uri=uri)
    other = given(bench, b"12", uri.replace("/executions/", "/executions/x"))
    assert "out of this task's reach" in bench.refusal(f"{STORAGE}.Size", uri=other)


def test_namespace_files_are_within_reach(bench: Bench) -> None:
    uri = given(bench, b"12", "kestra:///_files/company.team/scripts/a.py")
    assert bench.done(f"{STORAGE}.Size", uri=uri) == {"size": 2}


def test_files_of_the_execution_that_started_its_own_can_be_read_and_not_changed(
    bench: Bench,
) -> None:
    uri = given(bench, b"12", "kestra:///other/parent/executions/starter/tasks/x")
    assert "out of this task's reach" in bench.refusal(f"{STORAGE}.Size", uri=uri)
    bench.variables["trigger"] = {
        "executionId": "starter",
        "namespace": "other",
        "flowId": "parent",
    }
    assert bench.done(f"{STORAGE}.Size", uri=uri) == {"size": 2}
    assert "out of this task's reach" in bench.refusal(f"{STORAGE}.Delete", uri=uri)
    sibling = given(bench, b"12", "kestra:///other/parent/executions/another/tasks/x")
    assert "out of this task's reach" in bench.refusal(f"{STORAGE}.Size", uri=sibling)


def test_a_run_that_ends_stops_its_streams(bench: Bench) -> None:
    sinks = Sinks(lambda *_: None, lambda *_: None, lambda: None)
    task = bench.start("return", format="x")._job.task
    context = RunContext(JobTask("e", "r", 1, 1, "n", "f", task, {}), sinks, bench.tools)
    content = Pulled(iter([b"ab", b"cd"]), context)
    assert content.read(1) == b"a"
    context.end(0)
    assert content.read(1) == b"b"
    with pytest.raises(TaskFailed, match="ended before its time"):
        content.read(1)
