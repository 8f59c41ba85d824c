"""The command line: exit codes, and errors that say where, what and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

import kestrapy as package
from tests.acceptance.command_line import Ended, kestrapy

pytestmark = pytest.mark.acceptance

GOOD = """\
id: good
namespace: acceptance
inputs: [{id: name, type: STRING}]
tasks: [{id: greet, type: return, format: "hello {{ inputs.name }}"}]
outputs: [{id: said, type: STRING, value: "{{ outputs.greet.value }}"}]
"""
FAILING = "id: failing\nnamespace: acceptance\ntasks: [{id: x, type: fail, errorMessage: no}]\n"
LOG = "{id: x, type: log, message: hi}"
HEAD = "id: bad\nnamespace: acceptance\n"
REFUSED = {
    "unknown type": (
        HEAD + "tasks:\n  - id: x\n    type: io.kestra.plugin.core.log.Lag\n",
        r"5:5: tasks\[0\].type: .*did you mean `io.kestra.plugin.core.log.Log`",
    ),
    "unknown property": (
        HEAD + "tasks:\n  - id: x\n    type: log\n    message: hi\n    mesage: hi\n",
        r"7:5: tasks\[0\].mesage: unknown property .*did you mean `message`",
    ),
    "duplicate id": (
        HEAD + f"tasks:\n  - {LOG}\n  - {LOG}\n",
        r"5:6: tasks\[1\].id: Duplicate task id with name \[x\]: give each its own",
    ),
    "bad cron": (
        HEAD
        + f"tasks:\n  - {LOG}\ntriggers:\n"
        + '  - {id: t, type: schedule, cron: "61 * * * *"}\n',
        r"6:\d+: triggers\[0\].cron: '61 \* \* \* \*' .*give five fields",
    ),
    "trigger that makes no executions": (
        HEAD
        + f"tasks:\n  - {LOG}\ntriggers:\n"
        + "  - {id: t, type: io.kestra.plugin.core.trigger.Webhook, key: k}\n",
        r"6:\d+: triggers\[0\].type: a Webhook trigger makes no executions yet: .*disabled: true",
    ),
    "bad YAML": ("id: [bad\nnamespace: x\n", r"2:10: not YAML: .*expected"),
    "unknown worker group": (
        HEAD + f"workerGroup:\n  key: gpus\ntasks:\n  - {LOG}\n",
        r"4:3: workerGroup.key: unknown worker group `gpus`; did you mean `gpu`",
    ),
}
SETTINGS = {
    "worker: {lease: PT1S}\n": r"kestrapy.yaml:1: worker: lease 1000 ms has to be .*raise lease",
    "worker:\n  leese: PT1S\n": r"kestrapy.yaml:2: worker.leese: unknown; did you mean lease",
    "shards: many\n": r"kestrapy.yaml:1: shards: .*integer.*'many'",
}


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def require_refusal(ended: Ended, code: int, pattern: str) -> None:
    """On standard error, without a traceback."""
    assert ended.code == code, ended
    assert "Traceback" not in ended.error
    assert re.search(pattern, ended.error), ended.error


def test_version() -> None:
    assert kestrapy("--version") == Ended(0, f"kestrapy {package.__version__}\n", "")


@pytest.mark.parametrize(
    "command",
    [
        *("", "run", "broker", "demo", "flow", "flow validate", "topics", "topics create"),
        *("topics describe", "dead-letter", "dead-letter list", "dead-letter show"),
        *("dead-letter redrive", "server", "server standalone", "server executor"),
        *("server scheduler", "server worker", "server indexer", "server webserver"),
    ],
)
def test_help_of_every_command(command: str) -> None:
    ended = kestrapy(*command.split(), "--help")
    assert ended.code == 0
    assert f"kestrapy {command}".strip() in ended.out


class TestRun:
    def test_json(self, tmp_path: Path) -> None:
        ended = kestrapy("run", written(tmp_path, "f.yaml", GOOD), "-i", "name=Ada", "-o", "json")
        assert ended.code == 0, ended.error
        document = json.loads(ended.out)
        assert document["state"]["current"] == "SUCCESS"
        assert document["outputs"] == {"said": "hello Ada"}

    def test_text_shows_the_tasks_on_standard_error(self, tmp_path: Path) -> None:
        ended = kestrapy("run", written(tmp_path, "f.yaml", GOOD), "--input", "name=Ada")
        assert ended.code == 0
        assert ended.out == ""
        assert re.search(r"greet +SUCCESS", ended.error)

    def test_a_failed_execution_is_code_1(self, tmp_path: Path) -> None:
        ended = kestrapy("run", written(tmp_path, "f.yaml", FAILING), "-o", "json")
        assert ended.code == 1
        assert json.loads(ended.out)["state"]["current"] == "FAILED"

    def test_a_missing_input_is_code_2(self, tmp_path: Path) -> None:
        require_refusal(kestrapy("run", written(tmp_path, "f.yaml", GOOD)), 2, "name")

    def test_a_refused_flow_is_code_2(self, tmp_path: Path) -> None:
        text, pattern = REFUSED["unknown type"]
        require_refusal(kestrapy("run", written(tmp_path, "f.yaml", text)), 2, "f.yaml:" + pattern)

    def test_a_file_that_is_not_there_is_code_2(self, tmp_path: Path) -> None:
        require_refusal(kestrapy("run", tmp_path / "none.yaml"), 2, "none.yaml can't be read")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """What is said of all of them in one run, and of a good one."""
    folder = tmp_path_factory.mktemp("flows")
    files = [
        written(folder, f"{name.replace(' ', '-')}.yaml", text)
        for name, (text, _) in REFUSED.items()
    ]
    config = written(folder, "kestrapy.yaml", "workerGroups: [{key: gpu}]\n")
    files.append(written(folder, "good.yaml", GOOD))
    return kestrapy("flow", "validate", "--config", config, *files)


class TestValidate:
    @pytest.mark.parametrize("name", REFUSED)
    def test_each_is_refused_with_place_and_remedy(self, shown: Ended, name: str) -> None:
        require_refusal(shown, 2, rf"{name.replace(' ', '-')}.yaml:{REFUSED[name][1]}")

    def test_the_good_one_is_fine(self, shown: Ended) -> None:
        assert shown.out.endswith("good.yaml: acceptance.good is fine\n")

    def test_all_fine_is_code_0(self, tmp_path: Path) -> None:
        assert kestrapy("flow", "validate", written(tmp_path, "good.yaml", GOOD)).code == 0


class TestServer:
    @pytest.mark.parametrize("text", SETTINGS)
    def test_a_bad_setting_names_its_place(self, tmp_path: Path, text: str) -> None:
        config = written(tmp_path, "kestrapy.yaml", text)
        require_refusal(kestrapy("server", "executor", "-c", config), 1, SETTINGS[text])

    def test_a_bad_variable_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KESTRAPY_WEBSERVER__PORT", "99999")
        ended = kestrapy("server", "webserver", "-c", written(tmp_path, "kestrapy.yaml", ""))
        require_refusal(ended, 1, "KESTRAPY_WEBSERVER__PORT: webserver.port: .*65535.*99999")

    @pytest.mark.external
    def test_a_worker_of_an_unknown_group_is_refused(
        self, kafka: str, topic_prefix: str, tmp_path: Path
    ) -> None:
        document = {
            "kafka": {"bootstrapServers": kafka, "topicPrefix": topic_prefix},
            "workerGroups": [{"key": "gpu"}],
        }
        config = written(tmp_path, "kestrapy.yaml", yaml.safe_dump(document))
        ended = kestrapy("server", "worker", "-g", "cpu", "-c", config)
        require_refusal(ended, 1, r"'cpu' is not declared.*declared: default, gpu.*worker-group c")


@pytest.mark.external
class TestTopics:
    def test_missing_then_created_then_there(
        self, kafka: str, topic_prefix: str, tmp_path: Path
    ) -> None:
        document = {
            "kafka": {"bootstrapServers": kafka, "topicPrefix": topic_prefix},
            "workerGroups": [{"key": "gpu"}],
        }
        config = written(tmp_path, "kestrapy.yaml", yaml.safe_dump(document))
        before = kestrapy("topics", "describe", "-c", config)
        assert before.code == 1
        assert f"{topic_prefix}jobs.gpu" in before.out
        created = kestrapy("topics", "create", config=config)
        assert created.code == 0, created.error
        assert f"{topic_prefix}executions" in created.out.splitlines()
        after = kestrapy("topics", "describe", config=config)
        assert after.code == 0, after.out
        assert "missing" not in after.out
        assert kestrapy("topics", "create", config=config).out == "all topics were there\n"
