"""The world that a worker shows to expressions: the execution's own files, time and chance."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.adapters.system import SystemClock, SystemEntropy
from kestrapy.errors import ExpressionError
from kestrapy.language.expression import compile_template
from kestrapy.plugins.pairs import Pair, Pairs
from kestrapy.servers.worker.reach import reach_of_namespaces, reach_of_run
from kestrapy.servers.worker.world import WorkerWorld

FOLDER = "kestra:///company/team/flow/executions/one"
OWN = f"{FOLDER}/inputs/file/a.txt"
OTHER = "kestra:///company/team/flow/executions/one-more/inputs/file/a.txt"


@pytest.fixture
def world(tmp_path: Path) -> WorkerWorld:
    blobs = LocalBlobs(tmp_path)
    blobs.put(OWN, io.BytesIO("grüße".encode()))
    blobs.put(OTHER, io.BytesIO(b"secret"))
    blobs.put(f"{FOLDER}/binary", io.BytesIO(b"\xff"))
    blobs.put(f"{FOLDER}/large", io.BytesIO(b"x" * 1_000_001))
    blobs.put(f"{FOLDER}/empty", io.BytesIO())
    blobs.put("kestra:///_files/company.team/a%20b.txt", io.BytesIO(b"ours"))
    blobs.put("kestra:///_files/other/c.txt", io.BytesIO(b"theirs"))
    Pairs(blobs, "company", 0).put("up", Pair({"field": 1}, "JSON"))
    Pairs(blobs, "company.team", 0).put("own", Pair(2, "NUMBER"))
    Pairs(blobs, "other", 0).put("far", Pair("x", "STRING"))
    reach = reach_of_run(blobs, "company.team", "flow", "one", {})
    shared = reach_of_namespaces(blobs)
    return WorkerWorld(reach, shared, "company.team", SystemClock(), SystemEntropy())


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
        ("/etc/passwd", "kestra:///_files/company.team/etc/passwd is not in the internal storage"),
        ("kestra:///_kv/other/far.json", "out of this task's reach"),
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
    ("call", "problem"),
    [
        ("secret('a')", "Cannot find secret for key 'a'"),
        ("encrypt('a', 'b')", "no cipher"),
        ("decrypt('a', 'b')", "no cipher"),
    ],
)
def test_what_a_worker_was_not_given_is_said(world: WorkerWorld, call: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem):
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


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("fileURI('a b.txt')", "kestra:///_files/company.team/a%20b.txt"),
        ("read('a b.txt')", "ours"),
        ("read('/c.txt', namespace='other')", "theirs"),
        ("fileExists('c.txt')", False),
        ("fileSize('c.txt', 'other')", 6),
        ("kv('own') + 1", 3),
        ("kv('up').field", 1),
        ("kv('far', 'other')", "x"),
        ("kv('far', errorOnMissing=false) ?? 'none'", "none"),
    ],
)
def test_what_namespaces_keep(world: WorkerWorld, expression: str, value: object) -> None:
    assert compile_template(f"{{{{ {expression} }}}}").render({}, world) == value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("kv('far')", "The key 'far' does not exist in the namespace 'company.team'"),
        ("kv('up', 'company.team')", "The key 'up' does not exist in the namespace"),
        ("kv('../up')", "is no key"),
        ("kv('far', '../other')", "is no namespace"),
        ("read('../other/c.txt')", "no '..'"),
    ],
)
def test_what_namespaces_do_not_keep(world: WorkerWorld, call: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(f"{{{{ {call} }}}}").render({}, world)
    assert message in str(caught.value)
