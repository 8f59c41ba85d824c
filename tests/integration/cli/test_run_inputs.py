"""``kestrapy run --input``: texts become values of every type, on a log in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kestrapy.cli.running import RunOptions, not_before_of, run_flow
from kestrapy.config import Settings, load_settings
from kestrapy.errors import InputRefused
from kestrapy.model.inputs import ENCRYPTED
from tests.input_samples import SOURCE, TEXTS, VALUES


@pytest.fixture
def settings() -> Settings:
    return load_settings(None, {})


@pytest.fixture
def flow_file(tmp_path: Path) -> Path:
    file = tmp_path / "flow.yaml"
    file.write_text(SOURCE, encoding="utf-8")
    return file


def pairs(texts: dict[str, str]) -> list[str]:
    return [f"{name}={text}" for name, text in texts.items()]


def test_an_input_of_each_type(
    flow_file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    given = flow_file.parent / "data"
    given.write_text("a,b\n")
    inputs = pairs({**TEXTS, "nested.file": str(given)})
    assert run_flow(flow_file, RunOptions(inputs, as_json=True), settings) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    nested = document["inputs"].pop("nested")
    assert document["inputs"] == VALUES
    folder = f"kestra:///company/team/all-inputs/executions/{document['id']}/inputs/nested.file"
    assert nested["file"] == f"{folder}/data.csv"
    assert nested["secret"]["type"] == ENCRYPTED
    assert "hush" not in json.dumps(nested)
    outputs = [it["outputs"] for it in document["taskRunList"]]
    assert outputs[0]["value"]["type"] == ENCRYPTED  # a secret is in it
    assert "the secret is ******" in err
    assert "hush" not in out + err


def test_what_does_not_fit_is_refused_before_anything_runs(
    flow_file: Path, settings: Settings
) -> None:
    (flow_file.parent / "data.zip").write_text("")
    wrong = {
        "int": "9",
        "date": "2020-01-01",
        "email": "me",
        "enum": "X",
        "multiselect": '["C"]',
        "nested.file": str(flow_file.parent / "data.zip"),
    }
    with pytest.raises(InputRefused) as caught:
        run_flow(flow_file, RunOptions(pairs({**TEXTS, **wrong}), as_json=True), settings)
    assert sorted(it.path.removeprefix("inputs.") for it in caught.value.problems) == sorted(wrong)
    with pytest.raises(InputRefused, match=r"input `nested.secret`.*must match") as caught:
        hushed = RunOptions(pairs({**TEXTS, "nested.secret": "HUSH"}), as_json=True)
        run_flow(flow_file, hushed, settings)
    assert "HUSH" not in str(caught.value)


def test_a_date_in_the_past_does_not_hold_a_run_back(
    flow_file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    date = not_before_of("2020-02-29T12:00:00.5+02:00")
    given = flow_file.parent / "data.csv"
    given.write_text("a,b\n")
    inputs = pairs({**TEXTS, "nested.file": str(given)})
    assert run_flow(flow_file, RunOptions(inputs, not_before=date, as_json=True), settings) == 0
    assert json.loads(capsys.readouterr().out)["scheduleDate"] == "2020-02-29T10:00:00.500Z"


@pytest.mark.parametrize("date", ["tomorrow", "2026-01-01T00:00:00"])
def test_a_date_without_a_place_in_time_is_refused(date: str) -> None:
    with pytest.raises(InputRefused, match="--schedule-date"):
        not_before_of(date)
