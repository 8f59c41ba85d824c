"""``kestrapy flow explain``: what it reads from the topics, and how it shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.text import Text
from typer.testing import CliRunner

from kestrapy.adapters.memory.log import MemoryLog
from kestrapy.assembly.parts import Parts
from kestrapy.assembly.sight import Sight, look
from kestrapy.cli.app import app
from kestrapy.cli.explaining import documents, show
from kestrapy.config import Settings
from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.machine.commands import GroupReport, Heartbeat
from kestrapy.machine.explanation import explain
from kestrapy.machine.outputs import SettingRevision
from kestrapy.model.declaring import FILE
from kestrapy.model.worker_group import (
    GROUP,
    NAMESPACE,
    GroupSettings,
    NamespaceSettings,
    WorkerGroupRef,
    encode,
)
from kestrapy.plugins.registry import REGISTRY
from kestrapy.ports.log import Message
from kestrapy.testing.servers import CountedTokens
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue
from tests.small_cluster import HandClock

FLOW = """\
id: f
namespace: company.team
tasks:
- {id: here, type: log, message: m}
- {id: there, type: log, message: m, workerGroup: {key: gpu, fallback: {group: default}}}
- {id: somewhere, type: log, message: m, workerGroup: {key: "{{ outputs.here.group }}"}}
"""
UNKNOWN = FLOW.replace("key: gpu", "key: gpx")


@pytest.fixture
def flow_file(tmp_path: Path) -> Path:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW)
    return file


def sight_of(*, drained: bool = False) -> Sight:
    declared = {
        "default": GroupSettings("default", drained=drained, origin=FILE),
        "file": GroupSettings("file", origin=FILE),
    }
    clock = HandClock()
    log = MemoryLog(clock)
    parts = Parts(log, Codec(), Catalogue("t.", 2), REGISTRY, declared, clock, CountedTokens())
    log.topics().create(parts.catalogue.specs(), 5)
    producer = log.producer()
    gpu = GroupSettings("gpu", drained=drained)
    company = NamespaceSettings("company", WorkerGroupRef("file"))
    for kind, name, content in ((GROUP, "gpu", gpu), (NAMESPACE, "company", company)):
        producer.send(parts.router.message(SettingRevision(kind, name, 1, encode(content), 0)))
    for record in (
        Heartbeat("w2", 1, worker_group="gpu", slots=4),
        Heartbeat("w1", 1, worker_group="gpu", slots=4),
        Heartbeat("w3", 1, worker_group="gpu", slots=4, state="DRAINED"),
        Heartbeat("w4", 1, worker_group="file", slots=4),
        GroupReport(0, "gpu", 2, 1, by_namespace={"company.team": 2}),
        GroupReport(1, "gpu", 3, 1, by_namespace={"other": 3}),
    ):
        value, headers = parts.codec.encode(record)
        producer.send(Message(parts.catalogue.workers, value, None, 0, headers))
    return look(parts, Settings())


def test_the_default_group_is_as_the_settings_file_has_it_until_it_is_saved() -> None:
    assert sight_of(drained=True).groups["default"].drained


def test_the_topics_tell_which_workers_would_take_it_and_what_waits() -> None:
    sight = sight_of()
    flow = parse_flow(FLOW, REGISTRY, groups=sight.groups)
    placements = explain(Plan(flow, REGISTRY), sight.known(), sight.defaults.get)
    here, there, somewhere = documents(placements, flow, sight)
    assert (here["workerGroup"], here["reason"]) == ("file", "namespace company's default")
    assert (here["liveWorkers"], here["waiting"]) == (["w4"], 0)
    assert there == {
        "task": "there",
        "type": "io.kestra.plugin.core.log.Log",
        "workerGroup": "gpu",
        "lane": "default",
        "reason": "the task's workerGroup",
        "fallback": {"group": "default"},
        "fallbackAfter": "PT1M",
        "liveWorkers": ["w1", "w2"],
        "slots": 8,
        "running": 2,
        "waiting": 5,
        "waitingOfNamespace": 2,
    }
    assert somewhere["decidedAtRunTime"] == ["{{ outputs.here.group }}"]
    assert "known at run time only" in somewhere["problem"]


def test_nobody_takes_jobs_of_a_drained_group() -> None:
    assert sight_of(drained=True).takers("gpu") == []


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    sight = sight_of()
    flow = parse_flow(FLOW, REGISTRY, groups=sight.groups)
    placements = explain(Plan(flow, REGISTRY), sight.known(), sight.defaults.get)
    show(flow, documents(placements, flow, sight), sight)
    shown = capsys.readouterr().out
    assert "From the flow alone" not in shown
    for line in (
        "  group: gpu",
        "  why: the task's workerGroup",
        "  fallback: to the group default after PT1M without a live worker",
        "  workers: w1, w2",
        "  waiting: 5 jobs, 2 of them of company.team",
        "  group: decided at run time: {{ outputs.here.group }}",
    ):
        assert line in shown.splitlines()


def test_from_the_flow_alone(flow_file: Path) -> None:
    shown = CliRunner().invoke(app, ["flow", "explain", str(flow_file)])
    assert shown.exit_code == 0
    assert shown.output.startswith("From the flow alone")
    assert "workers:" not in shown.output
    document = CliRunner().invoke(app, ["flow", "explain", str(flow_file), "-o", "json"])
    found = json.loads(document.output)
    assert (found["namespace"], found["id"], found["seenFrom"]) == ("company.team", "f", "flow")
    assert [it.get("workerGroup") for it in found["tasks"]] == ["default", "gpu", None]


def test_a_refused_flow_is_not_explained(flow_file: Path) -> None:
    flow_file.write_text(FLOW.replace("key: gpu", "kye: gpu"))
    refused = CliRunner().invoke(app, ["flow", "explain", str(flow_file)])
    assert refused.exit_code == 2
    assert "did you mean `key`?" in refused.output


def test_validate_holds_a_flow_against_the_settings(flow_file: Path, tmp_path: Path) -> None:
    config = tmp_path / "kestrapy.yaml"
    config.write_text("workerGroups: [{key: gpu}]")
    arguments = ["flow", "validate", str(flow_file), "--config", str(config)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    flow_file.write_text(UNKNOWN)
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert f"{flow_file}:5:" in refused.output.replace("\n", "")
    assert "unknown worker group `gpx`" in " ".join(refused.output.split())


def test_a_terminal_gets_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    flow = parse_flow(FLOW, REGISTRY)
    found = documents(explain(Plan(flow, REGISTRY), None, {}.get), flow, None)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show(flow, found, None)
    shown = Text.from_ansi(capsys.readouterr().out).plain
    heading = next(line for line in shown.splitlines() if "task" in line and "fallback" in line)
    assert heading.split()[:4] == ["task", "group", "lane", "why"]
    assert "decided at run time: {{" in " ".join(shown.split())
