"""What every internal storage keeps to."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.adapters.blobs.s3 import S3Blobs
from kestrapy.assembly.storage import blobs_of
from kestrapy.config import Settings
from kestrapy.errors import NotFound, StorageUnavailable, UserError
from kestrapy.ports.blobs import Blobs


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """A server of moto's that speaks S3, in a thread."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], S3Blobs]]:
    """Makes storage of a prefix in a bucket of the test's own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="files")
    yield lambda prefix: S3Blobs("files", prefix, s3_endpoint, "us-east-1")
    moto_reset(s3_endpoint)


def moto_reset(endpoint: str) -> None:
    httpx.post(f"{endpoint}/moto-api/reset", trust_env=False).raise_for_status()


@pytest.fixture(params=["local", "s3", "s3 below a prefix"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "local":
        return LocalBlobs(tmp_path / "storage")
    made: S3Blobs = request.getfixturevalue("bucket")("" if request.param == "s3" else "/team/own/")
    return made


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


# -- S3 alone --------------------------------------------------------------------------------------


def test_large_files_and_many(bucket: Callable[[str], S3Blobs], tmp_path: Path) -> None:
    """More than one part of an upload, and more than one page of a list."""
    blobs = bucket("")
    content = bytes(range(256)) * 4096 * 17  # 17 MiB
    put(blobs, "kestra:///large", content)
    blobs.fetch("kestra:///large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    for number in range(1_005):
        put(blobs, f"kestra:///many/{number:04}")
    found = list(blobs.list("kestra:///many"))
    assert found == [f"kestra:///many/{number:04}" for number in range(1_005)]


def test_the_settings_choose(bucket: Callable[[str], S3Blobs], s3_endpoint: str) -> None:
    s3 = {"bucket": "files", "prefix": "own", "endpoint": s3_endpoint, "region": "us-east-1"}
    chosen = blobs_of(Settings.model_validate({"storage": {"type": "s3", "s3": s3}}))
    put(chosen, "kestra:///a")
    assert list(bucket("").list("kestra:///")) == ["kestra:///own/a"]


def test_prefixes_keep_storages_apart(bucket: Callable[[str], S3Blobs]) -> None:
    one, other = bucket("one"), bucket("other/deep")
    put(one, "kestra:///a")
    put(other, "kestra:///b")
    assert list(one.list("kestra:///")) == ["kestra:///a"]
    assert list(other.list("kestra:///")) == ["kestra:///b"]
    assert not one.exists("kestra:///b")


def test_a_bucket_that_is_not_there(
    bucket: Callable[[str], S3Blobs], s3_endpoint: str, tmp_path: Path
) -> None:
    blobs = S3Blobs("none", "", s3_endpoint, "us-east-1")
    with pytest.raises(StorageUnavailable, match=r"kestra:///a: .*NoSuchBucket"):
        put(blobs, "kestra:///a")
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        blobs.open("kestra:///a")
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        list(blobs.list("kestra:///"))


def test_nobody_answers(bucket: Callable[[str], S3Blobs]) -> None:
    blobs = S3Blobs("files", "", "http://127.0.0.1:1", "us-east-1")
    with pytest.raises(StorageUnavailable, match=r"kestra:///a: .*127\.0\.0\.1:1"):
        blobs.size("kestra:///a")
