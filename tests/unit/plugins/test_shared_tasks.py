"""Tasks on what a namespace keeps: pairs, states, files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from kestrapy.plugins.pairs import Pairs
from kestrapy.ports.places import namespace_files
from tests.task_bench import Bench, NoLauncher

KV = "io.kestra.plugin.core.kv"
STATE = "io.kestra.plugin.core.state"
FILES = "io.kestra.plugin.core.namespace"
OWN = "kestra:///company/team/flow/executions/execution"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(NoLauncher(), tmp_path)


def put(bench: Bench, uri: str, content: bytes = b"x") -> str:
    bench.blobs.put(uri, io.BytesIO(content))
    return uri


# -- pairs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "kept", "kept_kind"),
    [
        ("text", None, "text", "STRING"),
        ("3", None, "3", "STRING"),
        ("{{ 1 + 2 }}", None, 3, "NUMBER"),
        ("{{ inputs.list }}", None, ["a", "b"], "JSON"),
        ("{{ inputs.flag }}", None, False, "BOOLEAN"),
        ("3.5", "NUMBER", 3.5, "NUMBER"),
        (3, "STRING", "3", "STRING"),
        ("True", "BOOLEAN", True, "BOOLEAN"),
        ('{"a": [1]}', "JSON", {"a": [1]}, "JSON"),
        ("2026-01-31T10:00:00Z", "DATETIME", "2026-01-31T10:00:00Z", "DATETIME"),
        ("2026-01-31", "DATE", "2026-01-31", "DATE"),
        ("PT5M", "DURATION", "PT5M", "DURATION"),
    ],
)
def test_set_and_get(bench: Bench, value: Any, kind: str | None, kept: Any, kept_kind: str) -> None:
    more = {} if kind is None else {"kvType": kind}
    assert bench.done(f"{KV}.Set", key="k", value=value, kvDescription="for tests", **more) == {}
    assert bench.done(f"{KV}.Get", key="k") == {"value": kept}
    pair = Pairs(bench.blobs, "company.team", 0).get("k")
    assert pair is not None
    assert (pair.type, pair.description) == (kept_kind, "for tests")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "NUMBER"),
        ("true", "NUMBER"),
        ("1", "BOOLEAN"),
        ("soon", "DATETIME"),
        ("2026-02-30", "DATE"),
        ("5 minutes", "DURATION"),
        ("{", "JSON"),
        ({"a": 1}, "NUMBER"),
    ],
)
def test_a_value_of_another_type_is_refused(bench: Bench, value: Any, kind: str) -> None:
    assert f"is no {kind}" in bench.refusal(f"{KV}.Set", key="k", value=value, kvType=kind)
    assert bench.done(f"{KV}.GetKeys") == {"keys": []}


def test_overwrite_false_keeps_what_is_there(bench: Bench) -> None:
    bench.done(f"{KV}.Set", key="k", value=1, overwrite=False)
    error = bench.refusal(f"{KV}.Set", key="k", value=2, overwrite=False)
    assert error == "the namespace company.team has the key 'k' already, and `overwrite` is false"
    assert bench.done(f"{KV}.Get", key="k") == {"value": 1}
    bench.done(f"{KV}.Set", key="k", value=3)
    assert bench.done(f"{KV}.Get", key="k") == {"value": 3}


def test_a_pair_is_there_until_its_time_is_over(bench: Bench) -> None:
    bench.clock.now = 1_000
    bench.done(f"{KV}.Set", key="k", value=1, ttl="PT1S")
    bench.clock.now = 1_999
    assert bench.done(f"{KV}.Get", key="k") == {"value": 1}
    assert bench.done(f"{KV}.GetKeys") == {"keys": ["k"]}
    bench.clock.now = 2_000
    assert bench.done(f"{KV}.Get", key="k") == {"value": None}
    assert bench.done(f"{KV}.GetKeys") == {"keys": []}
    assert bench.done(f"{KV}.Delete", key="k") == {"deleted": False}
    bench.done(f"{KV}.Set", key="k", value=2, ttl="PT1S")
    bench.clock.now = 9_000
    bench.done(f"{KV}.Set", key="k", value=3, overwrite=False)
    assert bench.done(f"{KV}.Get", key="k") == {"value": 3}


def test_what_is_missing(bench: Bench) -> None:
    assert bench.done(f"{KV}.Get", key="k") == {"value": None}
    assert bench.done(f"{KV}.Delete", key="k") == {"deleted": False}
    for name, more in (("Get", {}), ("Delete", {}), ("Put", {"value": 1})):
        error = bench.refusal(f"{KV}.{name}", key="k", errorOnMissing=True, **more)
        assert error == "the namespace company.team has no key 'k', and `errorOnMissing` is true"


@pytest.mark.parametrize("key", ["", ".hidden", "../x", "a/b", "a b", "ü", "k" * 201])
def test_refused_keys(bench: Bench, key: str) -> None:
    assert "is no key" in bench.refusal(f"{KV}.Set", key=key, value=1)
    assert list(bench.blobs.list("kestra:///")) == []


@pytest.mark.parametrize("namespace", ["../x", "a/b", "_kv", "A", "a%2Fb"])
def test_refused_namespaces(bench: Bench, namespace: str) -> None:
    error = bench.refusal(f"{KV}.Set", key="k", value=1, namespace=namespace)
    assert "is no namespace" in error


def test_too_large_a_value(bench: Bench) -> None:
    bench.variables["inputs"]["big"] = "x" * (1 << 20)
    error = bench.refusal(f"{KV}.Set", key="k", value="{{ inputs.big }}")
    assert "put it into a file of the namespace" in error


def test_keys_and_namespaces(bench: Bench) -> None:
    for key in ("b", "a1", "a2"):
        bench.done(f"{KV}.Set", key=key, value=1)
    bench.done(f"{KV}.Set", key="other", value=1, namespace="company")
    assert bench.done(f"{KV}.GetKeys") == {"keys": ["a1", "a2", "b"]}
    assert bench.done(f"{KV}.GetKeys", prefix="a") == {"keys": ["a1", "a2"]}
    assert bench.done(f"{KV}.GetKeys", namespace="company") == {"keys": ["other"]}
    assert bench.done(f"{KV}.Get", key="other", namespace="company") == {"value": 1}
    assert bench.done(f"{KV}.Delete", key="a1") == {"deleted": True}
    assert bench.done(f"{KV}.GetKeys") == {"keys": ["a2", "b"]}


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        (None, "new", "new"),
        ("old", "new", "new"),
        ("old", [{"value": "new"}], "new"),
        ({"a": {"b": 1}, "c": 2}, {"a": {"d": 3}}, {"a": {"b": 1, "d": 3}, "c": 2}),
        ({"a": {"b": 1}}, [{"key": "a.d", "value": 3}], {"a": {"b": 1, "d": 3}}),
        (None, [{"key": "a.b", "value": 1}, {"key": "a.c", "value": 2}], {"a": {"b": 1, "c": 2}}),
        ([1], [2, 3], [2, 3]),
        ({"a": 1}, [{"value": 2}], 2),
    ],
)
def test_put_changes(bench: Bench, before: Any, value: Any, after: Any) -> None:
    if before is not None:
        bench.done(f"{KV}.Set", key="k", value=before, ttl="PT1H", kvDescription="kept")
    bench.done(f"{KV}.Put", key="k", value=value)
    assert bench.done(f"{KV}.Get", key="k") == {"value": after}
    pair = Pairs(bench.blobs, "company.team", 0).get("k")
    assert pair is not None
    assert (pair.expires, pair.description) == (
        (3_600_000, "kept") if before is not None else (None, None)
    )


def test_put_refuses_fields_of_what_has_none(bench: Bench) -> None:
    bench.done(f"{KV}.Set", key="k", value="text")
    error = bench.refusal(f"{KV}.Put", key="k", value=[{"key": "a", "value": 1}])
    assert "fields can be changed of a map" in error
    error = bench.refusal(f"{KV}.Put", key="n", value=[{"value": 1}, {"value": 2}])
    assert "each `key` is a text" in error


def purge(bench: Bench, **properties: Any) -> tuple[int, list[str]]:
    size = bench.done(f"{KV}.PurgeKV", **properties)["size"]
    left = [uri.removeprefix("kestra:///_kv/") for uri in bench.blobs.list("kestra:///_kv")]
    return size, [uri.removesuffix(".json") for uri in left]


@pytest.mark.parametrize(
    ("properties", "left"),
    [
        ({}, ["c/a", "c.t/a", "c.t/b"]),
        ({"behavior": {"type": "key", "expiredOnly": True}}, ["c/a", "c.t/a", "c.t/b"]),
        ({"expiredOnly": False, "keyPattern": "a*"}, ["c.t/b", "c.t/old"]),
        ({"behavior": {"expiredOnly": False}, "namespaces": ["c.t"]}, ["c/a"]),
        (
            {"expiredOnly": False, "namespaces": ["c"], "includeChildNamespaces": False},
            ["c.t/a", "c.t/b", "c.t/old"],
        ),
        ({"expiredOnly": False, "namespaces": ["c"]}, []),
        ({"expiredOnly": False, "namespacePattern": "c.?"}, ["c/a"]),
    ],
)
def test_purge(bench: Bench, properties: dict[str, Any], left: list[str]) -> None:
    for namespace, key in (("c", "a"), ("c.t", "a"), ("c.t", "b")):
        bench.done(f"{KV}.Set", namespace=namespace, key=key, value=1)
    bench.done(f"{KV}.Set", namespace="c.t", key="old", value=1, ttl="PT0.001S")
    bench.clock.now = 1
    size, found = purge(bench, **properties)
    assert sorted(found) == sorted(left)
    assert size == 4 - len(left)


def test_purge_takes_one_way_to_name_namespaces(bench: Bench) -> None:
    error = bench.refusal(f"{KV}.PurgeKV", namespaces=["c"], namespacePattern="c")
    assert "not both" in error


# -- states ----------------------------------------------------------------------------------------


def test_a_state_is_merged_and_rendered_to_texts(bench: Bench) -> None:
    assert bench.done(f"{STATE}.Get") == {"count": 0, "data": {}}
    outputs = bench.done(f"{STATE}.Set", data={"value": 1, "deep": {"a": "{{ 1 + 1 }}"}})
    assert outputs["count"] == 2
    bench.done(f"{STATE}.Set", data={"deep": {"b": True}})
    kept = {"value": 1, "deep": {"a": "2", "b": True}}
    assert bench.done(f"{STATE}.Get") == {"count": 2, "data": kept}
    assert bench.done(f"{STATE}.Delete") == {"deleted": True}
    assert bench.done(f"{STATE}.Delete") == {"deleted": False}
    for name in ("Get", "Delete"):
        assert "no state 'default'" in bench.refusal(f"{STATE}.{name}", errorOnMissing=True)


def test_whose_a_state_is(bench: Bench) -> None:
    def data(**properties: Any) -> Any:
        return bench.done(f"{STATE}.Get", **properties)["data"]

    bench.done(f"{STATE}.Set", data={"of": "flow"})
    bench.done(f"{STATE}.Set", data={"of": "namespace"}, namespace=True)
    bench.done(f"{STATE}.Set", data={"of": "name"}, name="other")
    bench.variables["taskrun"] = {"value": '["a/../b"]'}
    assert data() == {}
    bench.done(f"{STATE}.Set", data={"of": "iteration"})
    assert data() == {"of": "iteration"}
    assert data(taskrunValue=False) == {"of": "flow"}
    assert data(taskrunValue=False, namespace=True) == {"of": "namespace"}
    assert data(taskrunValue=False, name="other") == {"of": "name"}
    bench.variables["taskrun"] = {"value": "b"}
    assert data() == {}
    assert "no name of letters" in bench.refusal(f"{STATE}.Set", name="../x")


# -- files -----------------------------------------------------------------------------------------


def test_upload_download_delete(bench: Bench) -> None:
    uri = put(bench, f"{OWN}/inputs/main%20one.py", b"print()")
    space = {"namespace": "other"}
    outputs = bench.done(f"{FILES}.UploadFiles", filesMap={"/scripts/main.py": uri}, **space)
    assert outputs == {"files": {"/scripts/main.py": "kestra:///_files/other/scripts/main.py"}}
    outputs = bench.done(f"{FILES}.UploadFiles", files=[uri], destination="/lib", **space)
    assert outputs == {"files": {"/lib/main one.py": "kestra:///_files/other/lib/main%20one.py"}}
    copies = bench.done(f"{FILES}.DownloadFiles", files="**.py", **space)["files"]
    assert list(copies) == ["/lib/main one.py", "/scripts/main.py"]
    assert {bench.content(it) for it in copies.values()} == {b"print()"}
    assert all(it.startswith(f"{OWN}/tasks/t1/run/4/") for it in copies.values())
    deleted = bench.done(
        f"{FILES}.DeleteFiles", files=["main.py"], deleteParentFolder=True, **space
    )
    assert deleted == {}
    assert list(bench.blobs.list("kestra:///_files")) == [
        "kestra:///_files/other/lib/main%20one.py"
    ]
    assert bench.metrics == [("downloaded", "counter", 2, {}), ("deleted", "counter", 1, {})]
    assert bench.done(f"{FILES}.DownloadFiles", files=["main.py"], **space) == {"files": {}}


def test_upload_of_what_is_there(bench: Bench) -> None:
    old, new = put(bench, f"{OWN}/old", b"old"), put(bench, f"{OWN}/new", b"new")
    given = {"namespace": "other"}
    target = "kestra:///_files/other/a"

    def upload(uri: str, conflict: str) -> dict[str, Any]:
        return {"files": {"a": uri}, "conflict": conflict, **given}

    bench.done(f"{FILES}.UploadFiles", **upload(old, "ERROR"))
    assert "/a is there already" in bench.refusal(f"{FILES}.UploadFiles", **upload(new, "ERROR"))
    assert bench.done(f"{FILES}.UploadFiles", **upload(new, "SKIP")) == {"files": {}}
    assert bench.content(target) == b"old"
    bench.done(f"{FILES}.UploadFiles", **upload(new, "OVERWRITE"))
    assert bench.content(target) == b"new"


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({}, "files or filesMap is required"),
        ({"filesMap": {"../x": f"{OWN}/a"}}, "no path of a file"),
        ({"filesMap": {"": f"{OWN}/a"}}, "no path of a file"),
        ({"files": [f"{OWN}/a"], "destination": "../up"}, "no path of a file"),
        ({"filesMap": {"x": "kestra:///another/file"}}, "out of this task's reach"),
        ({"files": {"x": "/etc/passwd"}}, "is no URI"),
        ({"files": ["/etc/*"]}, "not below the working directory"),
        ({"filesMap": {"x": f"{OWN}/none"}}, "is not in the internal storage"),
    ],
)
def test_refused_uploads(bench: Bench, properties: dict[str, Any], error: str) -> None:
    put(bench, f"{OWN}/a")
    put(bench, "kestra:///another/file")
    assert error in bench.refusal(f"{FILES}.UploadFiles", namespace="other", **properties)
    assert list(bench.blobs.list("kestra:///_files")) == []


NAMESPACES = ("company", "company.team", "other")


def purged_files(bench: Bench, **properties: Any) -> list[str]:
    """Which of six files are gone afterwards."""
    files = [
        f"{namespace_files(it)}/{name}" for it in NAMESPACES for name in ("a.sql", "deep/b%20c.txt")
    ]
    for uri in files:
        bench.blobs.put(uri, io.BytesIO(b"x"))
    size = bench.done(f"{FILES}.PurgeFiles", **properties)["size"]
    gone = [it.removeprefix("kestra:///_files/") for it in files if not bench.blobs.exists(it)]
    assert size == len(gone)
    return gone


@pytest.mark.parametrize(
    "behavior",
    [{}, {"behavior": {"before": "2030-01-01T00:00:00Z"}}, {"behavior": {"keepAmount": 1}}],
)
def test_the_last_version_of_a_file_stays(bench: Bench, behavior: dict[str, Any]) -> None:
    assert purged_files(bench, **behavior) == []
    assert bench.logs[-1][0] == "INFO" and "nothing to purge" in bench.logs[-1][1]


def test_files_are_purged_where_no_version_is_to_be_kept(bench: Bench) -> None:
    none = {"behavior": {"type": "version", "keepAmount": 0}}
    found = purged_files(bench, **none, namespaces=["company"], filePattern="**/*.sql")
    assert found == ["company/a.sql", "company.team/a.sql"]
    found = purged_files(bench, **none, namespaces=["company"], includeChildNamespaces=False)
    assert found == ["company/a.sql", "company/deep/b%20c.txt"]
    found = purged_files(bench, behavior={"type": "version"}, namespacePattern="*.team")
    assert found == ["company.team/a.sql", "company.team/deep/b%20c.txt"]
    assert len(purged_files(bench, **none)) == 6


def test_purge_files_takes_one_way_to_say_it(bench: Bench) -> None:
    both = {"keepAmount": 1, "before": "2030-01-01T00:00:00Z"}
    assert "not both" in bench.refusal(f"{FILES}.PurgeFiles", behavior=both)
    assert "behavior" in bench.refusal(f"{FILES}.PurgeFiles", behavior={"type": "key"})
