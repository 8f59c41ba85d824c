"""The world that a worker shows to expressions: the execution's own files, time and chance."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.adapters.system import SystemClock, SystemEntropy
from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template
from kestrapy.servers.worker.reach import reach_of_run
from kestrapy.servers.worker.world import WorkerWorld

FOLDER = "kestra:///company/flow/executions/one"
OWN = f"{FOLDER}/inputs/file/a.txt"
OTHER = "kestra:///company/flow/executions/one-more/inputs/file/a.txt"


@pytest.fixture
def world(tmp_path: Path) -> WorkerWorld:
    blobs = LocalBlobs(tmp_path)
    blobs.put(OWN, io.BytesIO("grüße".encode()))
    blobs.put(OTHER, io.BytesIO(b"secret"))
    blobs.put(f"{FOLDER}/binary", io.BytesIO(b"\xff"))
    blobs.put(f"{FOLDER}/large", io.BytesIO(b"x" * 1_000_001))
    blobs.put(f"{FOLDER}/empty", io.BytesIO())
    reach = reach_of_run(blobs, "company", "flow", "one", None)
    return WorkerWorld(reach, SystemClock(), SystemEntropy())


def test_files_of_the_execution_are_read(world: WorkerWorld) -> None:
    variables = {"inputs": {"file": OWN}, "empty": f"{FOLDER}/empty", "gone": f"{FOLDER}/none"}

    def render(text: str) -> object:
        return compile_template(text).render(variables, world)

    assert render("{{ read(inputs.file) }}") == "grüße"
    assert render("{{ fileSize(inputs.file) }}") == 7
    assert render("{{ [fileExists(inputs.file), fileExists(gone)] }}") == [True, False]
    assert render("{{ [isFileEmpty(empty), isFileEmpty(inputs.file)] }}") == [True, False]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (OTHER, "out of this task's reach"),
        (FOLDER, "out of this task's reach"),
        (f"{FOLDER}/../one-more/inputs/file/a.txt", "no '..'"),
        (f"{FOLDER}/%2e%2e/one-more/inputs/file/a.txt", "no '..'"),
        (f"{FOLDER}/..%2Fone-more/inputs/file/a.txt", "no '..'"),
        ("file:///etc/passwd", "is no URI of the internal storage"),
        ("/etc/passwd", "not supported by this build"),
        (f"{FOLDER}/none", "is not in the internal storage"),
        (f"{FOLDER}/binary", "is no UTF-8 text"),
        (f"{FOLDER}/large", "is larger than 1,000,000 bytes"),
    ],
)
def test_what_can_not_be_read(world: WorkerWorld, uri: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template("{{ read(uri) }}").render({"uri": uri}, world)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        "secret('a')",
        "kv('a')",
        "http('http://a')",
        "errorLogs()",
        "encrypt('a', 'b')",
        "decrypt('a', 'b')",
        "fileURI('a')",
        "randomPort()",
    ],
)
def test_what_this_build_does_not_have_is_said(world: WorkerWorld, call: str) -> None:
    with pytest.raises(ExpressionError, match="not supported by this build"):
        compile_template(f"{{{{ {call} }}}}").render({}, world)


def test_time_and_chance(world: WorkerWorld) -> None:
    template = compile_template("{{ uuid() }}{{ id() }}{{ ksuid() }}{{ nanoId(30) }}")
    made = {template.render({}, world) for _ in range(20)}
    assert len(made) == 20
    assert {len(it) for it in made} == {36 + 22 + 27 + 30}
    numbers = {compile_template("{{ randomInt(1, 4) }}").render({}, world) for _ in range(200)}
    assert numbers == {1, 2, 3}
    now = compile_template("{{ now() | timestamp }}").render({}, world)
    assert abs(now - SystemClock().wall() // 1000) <= 60
