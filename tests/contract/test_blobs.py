"""What every internal storage keeps to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.errors import NotFound, UserError
from kestrapy.ports.blobs import Blobs


@pytest.fixture(params=["local"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    assert request.param == "local"
    yield LocalBlobs(tmp_path / "storage")


def put(blobs: Blobs, uri: str, content: bytes = b"x") -> None:
    blobs.put(uri, io.BytesIO(content))


def test_put_is_seen_by_all_readers(blobs: Blobs, tmp_path: Path) -> None:
    put(blobs, "kestra:///a/b/c.txt", b"hello")
    with blobs.open("kestra:///a/b/c.txt") as content:
        assert content.read() == b"hello"
    blobs.fetch("kestra:///a/b/c.txt", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"hello"
    assert blobs.exists("kestra:///a/b/c.txt")
    assert blobs.size("kestra:///a/b/c.txt") == 5


def test_put_replaces(blobs: Blobs) -> None:
    put(blobs, "kestra:///a", b"long before")
    put(blobs, "kestra:///a", b"now")
    with blobs.open("kestra:///a") as content:
        assert content.read() == b"now"


class Failing(io.BytesIO):
    """Breaks off after its first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise ConnectionError("broken off")
        return super().read(3)


@pytest.mark.parametrize("before", [None, b"before"])
def test_a_put_that_breaks_off_changes_nothing(blobs: Blobs, before: bytes | None) -> None:
    if before is not None:
        put(blobs, "kestra:///a", before)
    with pytest.raises(ConnectionError):
        blobs.put("kestra:///a", Failing(b"half of it"))
    assert list(blobs.list("kestra:///")) == ([] if before is None else ["kestra:///a"])
    if before is not None:
        with blobs.open("kestra:///a") as content:
            assert content.read() == before


def test_create_stores_once(blobs: Blobs) -> None:
    assert blobs.create("kestra:///a/b", io.BytesIO(b"first"))
    assert not blobs.create("kestra:///a/b", io.BytesIO(b"second"))
    with blobs.open("kestra:///a/b") as content:
        assert content.read() == b"first"
    assert list(blobs.list("kestra:///")) == ["kestra:///a/b"]


def test_of_many_that_create_at_once_one_does(blobs: Blobs) -> None:
    with ThreadPoolExecutor(8) as threads:
        done = list(
            threads.map(
                lambda number: blobs.create("kestra:///a", io.BytesIO(b"%d" % number)), range(8)
            )
        )
    assert done.count(True) == 1
    with blobs.open("kestra:///a") as content:
        assert content.read() == b"%d" % done.index(True)


def test_what_is_not_there(blobs: Blobs, tmp_path: Path) -> None:
    put(blobs, "kestra:///a/b")
    for uri in ("kestra:///no", "kestra:///a"):
        assert not blobs.exists(uri)
        assert not blobs.delete(uri)
        for call in (blobs.open, blobs.size, lambda it: blobs.fetch(it, tmp_path / "copy")):
            with pytest.raises(NotFound, match=uri):
                call(uri)


def test_delete(blobs: Blobs) -> None:
    put(blobs, "kestra:///a/b")
    assert blobs.delete("kestra:///a/b")
    assert not blobs.exists("kestra:///a/b")
    assert not blobs.delete("kestra:///a/b")


def test_list_is_in_order_and_of_the_folder_alone(blobs: Blobs) -> None:
    for name in ("n/b", "n/a/z", "n/a.txt", "nn/c", "n/a/y z"):
        put(blobs, f"kestra:///{name.replace(' ', '%20')}")
    below = ["kestra:///n/a.txt", "kestra:///n/a/y%20z", "kestra:///n/a/z", "kestra:///n/b"]
    assert list(blobs.list("kestra:///n")) == below
    assert list(blobs.list("kestra:///n/")) == below
    assert list(blobs.list("kestra:///")) == [*below, "kestra:///nn/c"]
    assert list(blobs.list("kestra:///none")) == []


def test_a_listed_uri_can_be_opened(blobs: Blobs) -> None:
    put(blobs, "kestra:///n/y%20z%25", b"found")
    (uri,) = blobs.list("kestra:///n")
    with blobs.open(uri) as content:
        assert content.read() == b"found"


@pytest.mark.parametrize(
    "uri",
    [
        "kestra:///../x",
        "kestra:///a/../../x",
        "kestra:///a/%2e%2e/x",
        "kestra:////etc/passwd",
        "kestra://host/x",
        "kestra:///a//b",
        "kestra:///./a",
        "kestra:///a\0b",
        "kestra:///a%00b",
        "kestra:///a%00/b",
        "kestra:///",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ],
)
def test_refused_uris(blobs: Blobs, uri: str, tmp_path: Path) -> None:
    for call in (
        lambda: put(blobs, uri),
        lambda: blobs.create(uri, io.BytesIO(b"x")),
        lambda: blobs.open(uri),
        lambda: blobs.fetch(uri, tmp_path / "copy"),
        lambda: blobs.exists(uri),
        lambda: blobs.size(uri),
        lambda: blobs.delete(uri),
    ):
        with pytest.raises(UserError):
            call()


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret")
    local = LocalBlobs(tmp_path / "storage")
    (tmp_path / "storage" / "way").symlink_to(tmp_path / "secret")
    for uri in ("kestra:///way/file", "kestra:///way/new"):
        with pytest.raises(UserError, match="leads out"):
            put(local, uri)
        with pytest.raises(UserError, match="leads out"):
            local.open(uri)
    assert list((tmp_path / "secret").iterdir()) == [tmp_path / "secret" / "file"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    local = LocalBlobs(tmp_path)
    put(local, "kestra:///a")
    with pytest.raises(UserError, match="can't have files below"):
        put(local, "kestra:///a/b")
    put(local, "kestra:///c/d")
    for store in (local.put, local.create):
        for uri in ("kestra:///c", "kestra:///a/b", "kestra:///a/b/c"):
            with pytest.raises(UserError, match="can't have files below"):
                store(uri, io.BytesIO(b"x"))
