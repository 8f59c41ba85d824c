"""Each flow of examples/, run as its first lines say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kestrapy.cli.flow import validate_file
from kestrapy.model.worker_group import GroupSettings

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.acceptance


def run(name: str, *inputs: str, code: int = 0, flows: Path | None = None) -> dict[str, Any]:
    """What ``kestrapy run`` prints of an example, which ends with this exit code."""
    given = [word for each in inputs for word in ("--input", each)]
    given += ["--flows", str(flows)] if flows else []
    ended = subprocess.run(
        [sys.executable, "-m", "kestrapy", "run", EXAMPLES / f"{name}.yaml", "-o", "json", *given],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        cwd=EXAMPLES.parent,
    )
    assert ended.returncode == code, ended.stderr
    document: dict[str, Any] = json.loads(ended.stdout or '{"refused": true}')
    return document | {"shown": ended.stderr}


def states(document: dict[str, Any]) -> dict[str, str]:
    return {run["taskId"]: run["state"]["current"] for run in document["taskRunList"]}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_accepted_and_tested_here(path: Path) -> None:
    groups = {key: GroupSettings(key) for key in ("north", "south", "numbers")}
    assert validate_file(path, groups)
    assert path.stem in Path(__file__).read_text(), f"{path.name} is run by no test"


def test_hello() -> None:
    assert run("hello")["outputs"] == {"greeting": "Hello, world!"}
    found = run("hello", "name=Ada")
    assert found["outputs"] == {"greeting": "Hello, Ada!"}
    assert "INFO       Hello, Ada!" in found["shown"]


def test_inputs() -> None:
    assert run("inputs")["outputs"]["recipe"] == (
        "Pancakes for 4: 240 g of flour, 0 g of sugar, 180.5 °C, cow milk"
    )
    found = run("inputs", "servings=8", "vegan=true", "note=examples/hello.yaml")
    assert found["inputs"]["servings"] == 8 and found["inputs"]["vegan"] is True
    assert found["inputs"]["note"].endswith("/inputs/note/hello.yaml")
    assert found["outputs"]["recipe"].endswith("oat milk")


def test_inputs_are_refused_before_anything_runs() -> None:
    assert "servings" in run("inputs", "servings=many", code=2)["shown"]


def test_retry() -> None:
    stubborn, done = run("retry")["taskRunList"]
    attempts = [attempt["state"]["current"] for attempt in stubborn["attempts"]]
    assert attempts == ["FAILED", "FAILED", "SUCCESS"]
    assert done["state"]["current"] == "SUCCESS"


def test_parallel() -> None:
    found = run("parallel")
    assert found["outputs"] == {"total": 285 + 2025}
    groups = {run["taskId"]: run.get("workerGroup") for run in found["taskRunList"]}
    assert groups["squares"] == groups["cubes"] == {"key": "numbers"}
    assert groups["sleep"] == {"key": "default"}
    assert groups["all"] is None


def test_errors() -> None:
    assert states(run("errors", code=1)) == {
        "may-fail": "WARNING",
        "check": "FAILED",
        "alarm": "SUCCESS",
        "clean-up": "SUCCESS",
    }
    assert states(run("errors", "broken=false")) == {
        "may-fail": "WARNING",
        "check": "SUCCESS",
        "not-reached": "SUCCESS",
        "clean-up": "SUCCESS",
    }


def test_schedule() -> None:
    assert run("schedule")["outputs"] == {"said": "Due now, by hand, shift none"}


def test_files() -> None:
    assert "the first of 3 is apple" in run("files")["shown"]


def test_bike_report_says_so_when_it_fails() -> None:
    found = run("bike-report", "counts=examples/hello.yaml", code=1)
    assert states(found)["tell"] == "SUCCESS"
    assert "There is no report" in found["shown"]


def test_orders() -> None:
    found = run("order")
    assert found["outputs"] == {"summary": "batch 0: 1 orders"}
    found = run("orders", flows=EXAMPLES)
    assert found["outputs"] == {"one": "batch 7: 1 orders", "batches": 2}


def test_directory() -> None:
    found = run("directory")
    assert "Hello, Ada!\nHello, Grace!" in found["shown"]
    assert states(found) == dict.fromkeys(("build", "sort", "greet", "show"), "SUCCESS")


def test_one_at_a_time() -> None:
    assert states(run("one-at-a-time")) == {"work": "SUCCESS", "done": "SUCCESS"}


def test_expressions() -> None:
    found = run("expressions")
    assert found["outputs"] == {
        "highest": 4,
        "as-json": {"prices": [2.5, 4, 1.25], "currency": "EUR"},
    }
    assert "Prices in EUR\n1. 2.50 EUR\n2. 4.00 EUR\n3. 1.25 EUR" in found["shown"]
    found = run("expressions", "prices=[]")
    assert states(found) == {"any": "SUCCESS", "none": "SUCCESS"}


@pytest.mark.parametrize(
    ("own", "name", "tests"),
    [
        ("test_nightly_report.py", "nightly-report", 4),
        ("test_approval.py", "approval", 3),
        ("test_one_at_a_time.py", "one-at-a-time", 1),
    ],
)
def test_a_flow_passes_its_own_tests(own: str, name: str, tests: int) -> None:
    path = EXAMPLES / own
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        cwd=EXAMPLES.parent,
    )
    assert ended.returncode == 0, ended.stdout
    assert f"{tests} passed" in ended.stdout
    assert name in path.read_text()


def test_housekeeping() -> None:
    found = run("housekeeping")
    assert found["outputs"] == {"deleted": "0 executions, 0 lines"}
    assert states(found)["warn"] == "SKIPPED"
