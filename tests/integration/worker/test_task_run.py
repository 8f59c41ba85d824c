"""Runs of tasks with their real parts: processes, files, internal storage."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kestrapy.adapters.process.launcher import SupervisorLauncher, serve_launcher
from kestrapy.model.flow import Task
from kestrapy.model.inputs import SECRET_DEFAULT
from kestrapy.model.state import State
from kestrapy.ports.tasks import TaskOutcome
from kestrapy.servers.worker.run_context import JobTask, Sinks
from kestrapy.servers.worker.task_run import TaskThread
from tests.task_bench import Bench


@pytest.fixture(scope="module")
def launcher() -> Iterator[SupervisorLauncher]:
    launcher = serve_launcher()
    yield launcher
    launcher.close()


@pytest.fixture
def bench(launcher: SupervisorLauncher, tmp_path: Path) -> Bench:
    return Bench(launcher, tmp_path)


# -- tasks without a process -----------------------------------------------------------------------


def test_return_renders_to_text(bench: Bench) -> None:
    thread = bench.start("io.kestra.plugin.core.debug.Return", format="{{ inputs.list }}")
    assert thread.outcome() == TaskOutcome(outputs={"value": '["a","b"]'})
    assert not bench.folder.exists()


def test_expressions_read_the_world(bench: Bench) -> None:
    uri = "kestra:///company/team/flow/executions/execution/inputs/file/a.txt"
    bench.blobs.put(uri, io.BytesIO(b"content"))
    text = f"{{{{ read('{uri}') }}}} {{{{ now() | timestampMilli }}}}"
    outcome = bench.run("io.kestra.plugin.core.debug.Return", format=text)
    assert outcome.outputs == {"value": f"content {bench.clock.wall()}"}


def test_secrets_are_stars_in_logs_and_errors(bench: Bench) -> None:
    secret = {"type": SECRET_DEFAULT, "value": "{{ 'hu' ~ 'sh' }}"}
    variables = {"inputs": {"s": secret}}
    job = JobTask("execution", "run", 1, 1, "n", "flow", Task("t", ""), variables)
    said: list[tuple[str, str]] = []
    for properties in (
        {"type": "log", "properties": {"message": "a {{ inputs.s }}"}},
        {"type": "fail", "properties": {"errorMessage": "b {{ inputs.s }}"}},
        {"type": "shell.script", "properties": {"script": "echo c hush"}},
    ):
        sinks = Sinks(lambda *it: said.append(it), lambda *it: None, bench.ended.set)
        run = msgspec.structs.replace(job, task=Task("t", **properties))
        thread = TaskThread(run, sinks, bench.tools)
        thread.start()
        assert "hush" not in bench.end(thread).error
    assert said == [("INFO", "a ******"), ("ERROR", "b ******"), ("INFO", "c ******")]


def test_log_and_its_levels(bench: Bench) -> None:
    core = {"log_level": "WARN"}
    bench.start("log", message=["Hello {{ inputs.name }}", "again"], level="INFO")
    bench.start("log", message="quiet", core=core)
    bench.start("log", message="loud", level="ERROR", core=core)
    assert bench.logs == [("INFO", "Hello Ada"), ("INFO", "again"), ("ERROR", "loud")]


@pytest.mark.parametrize(
    ("properties", "state"),
    [
        ({}, State.FAILED),
        ({"condition": "{{ inputs.flag }}"}, State.SUCCESS),
        ({"condition": None}, State.SUCCESS),
        ({"condition": "{{ inputs.name == 'Ada' }}"}, State.FAILED),
    ],
)
def test_fail(bench: Bench, properties: dict[str, Any], state: State) -> None:
    outcome = bench.run("fail", **properties)
    assert outcome.state is state
    assert outcome.error == ("Task failure" if state is State.FAILED else "")
    assert bench.logs == ([("ERROR", "Task failure")] if state is State.FAILED else [])


@pytest.mark.parametrize(
    ("task_type", "properties", "error"),
    [
        ("return", {"format": "{{ inputs.none }}"}, "none"),
        ("log", {"message": "x", "level": "{{ inputs.name }}"}, "level: "),
        ("sleep", {"duration": "{{ inputs.name }}"}, "duration: 'Ada' is no duration"),
        ("no.such.Type", {}, "no worker of this build runs the task type 'no.such.Type'"),
    ],
)
def test_what_can_not_run_fails_with_its_reason(
    bench: Bench, task_type: str, properties: dict[str, Any], error: str
) -> None:
    outcome = bench.run(task_type, **properties)
    assert outcome.state is State.FAILED
    assert error in outcome.error
    assert "Traceback" not in outcome.error


def test_sleep_ends_by_itself(bench: Bench) -> None:
    assert bench.run("sleep", duration="PT0.01S").state is State.SUCCESS


def test_a_sleep_is_killed(bench: Bench) -> None:
    thread = bench.start("sleep", duration="PT1H")
    assert thread.outcome() is None
    thread.kill("killed by Ada")
    assert bench.end(thread) == TaskOutcome(State.KILLED, {}, "killed by Ada")


def test_a_kill_after_the_end_changes_nothing(bench: Bench) -> None:
    thread = bench.start("return", format="x")
    thread.kill("too late")
    assert thread.outcome() == TaskOutcome(outputs={"value": "x"})


def test_timeout(bench: Bench) -> None:
    thread = bench.start("sleep", duration="PT1H", core={"timeout": 1500})
    bench.clock.now = 1499
    assert thread.outcome() is None
    bench.clock.now = 1500
    outcome = bench.end(thread)
    assert (outcome.state, outcome.error) == (
        State.FAILED,
        "Timeout: the task ran longer than 1500 ms",
    )


# -- scripts ---------------------------------------------------------------------------------------


def test_shell_script_streams_and_outputs(bench: Bench) -> None:
    outcome = bench.run(
        "shell.script",
        script='echo "Hello {{ inputs.name }}"; echo oops >&2\necho \'::{"outputs":{"n":3}}::\'',
    )
    assert outcome == TaskOutcome(outputs={"exitCode": 0, "vars": {"n": 3}, "outputFiles": {}})
    assert sorted(bench.logs) == [("INFO", "Hello Ada"), ("WARN", "oops")]


def test_a_script_that_fails_keeps_its_outputs(bench: Bench) -> None:
    outcome = bench.run("shell.script", script='echo \'::{"outputs":{"n":3}}::\'; exit 5')
    assert outcome == TaskOutcome(
        State.FAILED, {"exitCode": 5, "vars": {"n": 3}}, "Command failed with exit code 5"
    )


def test_commands_stop_at_the_first_that_fails(bench: Bench) -> None:
    commands = ["echo one", "false", "echo two"]
    assert bench.run("shell.commands", commands=commands).state is State.FAILED
    assert bench.run("shell.commands", commands=commands, failFast=False).state is State.SUCCESS
    assert [text for level, text in bench.logs if level == "INFO"] == ["one", "one", "two"]


def test_commands_of_an_expression_and_an_interpreter(bench: Bench) -> None:
    outcome = bench.run(
        "shell.commands",
        commands="{{ inputs.list }}",
        beforeCommands=["import sys", "a, b = 'A', 'B'"],
        interpreter=["python3", "-c"],
        failFast=False,
    )
    assert outcome.state is State.SUCCESS, outcome
    assert bench.run("shell.commands", commands=["x"], interpreter=["/no/such"]).error == (
        "/no/such can't be started: No such file or directory"
    )


def test_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    monkeypatch.setenv("LC_NUMERIC", "C")
    outcome = bench.run(
        "python.script",
        env={"GREETING": "Hi {{ inputs.name }}", "WORKING_DIR": "mine"},
        script="import json, os; print('::' + json.dumps({'outputs': dict(os.environ)}) + '::')",
    )
    seen = outcome.outputs["vars"]
    assert "DATABASE_PASSWORD" not in seen
    assert seen["LC_NUMERIC"] == "C"
    assert seen["GREETING"] == "Hi Ada"
    assert seen["WORKING_DIR"] == seen["PWD"] != "mine"
    assert seen["OUTPUT_DIR"].startswith(seen["WORKING_DIR"])
    fence = (seen["KESTRAPY_TASK_RUN_ID"], seen["KESTRAPY_ATTEMPT"], seen["KESTRAPY_EPOCH"])
    assert fence == ("run", "2", "4")


def test_files_go_in_and_out(bench: Bench) -> None:
    bench.blobs.put("kestra:///_files/company.team/data.csv", io.BytesIO(b"1,2"))
    outcome = bench.run(
        "shell.commands",
        inputFiles={
            "{{ inputs.name }}.txt": "for {{ inputs.name }}",
            "deep/copy.csv": "kestra:///_files/company.team/data.csv",
        },
        env={"DATA": "kestra:///_files/company.team/data.csv"},
        commands=[
            "cat Ada.txt deep/copy.csv > 'a b.out'",
            "cat kestra:///_files/company.team/data.csv $DATA > deep/c.out",
            "echo dir > {{ outputDir }}/d; ln -s /etc/passwd e.out",
            "test -d {{ workingDir }}/deep",
        ],
        outputFiles=["*.out", "**/c.out", "none-*"],
    )
    assert outcome.state is State.SUCCESS, bench.logs
    files = outcome.outputs["outputFiles"]
    place = "kestra:///company/team/flow/executions/execution/tasks/t1/run/4/"
    assert files == {
        "a b.out": place + "a%20b.out",
        "d": place + "d",
        "deep/c.out": place + "deep/c.out",
    }
    contents = [bench.content(files[name]) for name in sorted(files)]
    assert contents == [b"for Ada1,2", b"dir\n", b"1,21,2"]
    assert list(bench.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"inputFiles": {"../x": "y"}}, "not below the working directory"),
        ({"inputFiles": {"/tmp/x": "y"}}, "not below the working directory"),
        ({"outputFiles": ["../*"]}, "not below the working directory"),
        (
            {"inputFiles": {"x": "kestra:///_files/company.team/none"}},
            "company.team/none is not in",
        ),
        ({"commands": ["cat kestra:///_files/company.team/none"]}, "company.team/none is not in"),
        ({"commands": ["cat kestra:///other/x"]}, "kestra:///other/x is out of this task's reach"),
        ({"inputFiles": {"x": "kestra:///other/x"}}, "out of this task's reach"),
        ({"commands": ["x" * 200_000]}, "put them into a file of inputFiles"),
    ],
)
def test_refused_files(bench: Bench, properties: dict[str, Any], error: str) -> None:
    outcome = bench.run("shell.commands", **{"commands": ["true"], **properties})
    assert outcome.state is State.FAILED
    assert error in outcome.error


def test_a_long_python_script(bench: Bench) -> None:
    script = "#" * 200_000 + "\nprint('done')"
    assert bench.run("python.script", script=script, containerImage="x").state is State.SUCCESS
    assert [level for level, _ in bench.logs] == ["WARN", "INFO"]


def test_a_killed_script_leaves_nothing(bench: Bench) -> None:
    thread = bench.start("shell.script", script="sleep 1000 & setsid sleep 1001 & echo $$; wait")
    bench.heard.wait()
    group = int(bench.logs[0][1])
    thread.kill("killed", grace=0)
    assert bench.end(thread).state is State.KILLED
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_a_killed_script_may_say_goodbye(bench: Bench) -> None:
    thread = bench.start(
        "shell.script", script="trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    )
    bench.heard.wait()
    thread.kill("killed", grace=60)
    assert bench.end(thread).state is State.KILLED
    assert ("INFO", "bye") in bench.logs


def test_too_many_outputs_end_the_process(bench: Bench) -> None:
    line = """'::{"outputs":{"a":"' + 'x' * 50000 + '"}}::'"""
    script = f"for _ in range(11): print({line})\nimport time; time.sleep(1000)"
    outcome = bench.run("python.script", script=script)
    assert outcome.state is State.FAILED
    assert "larger than" in outcome.error


def test_namespace_files_of_a_script(bench: Bench) -> None:
    for path in ("main.py", "lib/a.py", "notes.txt"):
        bench.blobs.put(f"kestra:///_files/company.team/{path}", io.BytesIO(b"own"))
    bench.blobs.put("kestra:///_files/other/main.py", io.BytesIO(b"other"))

    def found(**namespace_files: Any) -> dict[str, str]:
        outcome = bench.run(
            "shell.commands",
            commands=["true"],
            outputFiles=["**/*"],
            namespaceFiles=namespace_files,
        )
        assert outcome.state is State.SUCCESS, outcome
        return {
            name: bench.content(uri).decode()
            for name, uri in outcome.outputs["outputFiles"].items()
        }

    assert found() == {"main.py": "own", "lib/a.py": "own", "notes.txt": "own"}
    assert found(enabled=False) == {}
    assert found(include=["*.py"]) == {"main.py": "own"}
    assert found(exclude=["/lib/**", "notes.txt"]) == {"main.py": "own"}
    both = ["company.team", "other"]
    assert found(namespaces=both, include=["main.py"]) == {"main.py": "other"}
    assert found(namespaces=both, include=["main.py"], ifExists="IGNORE") == {"main.py": "own"}
    assert found(namespaces=both, include=["main.py"], folderPerNamespace=True) == {
        "company.team/main.py": "own",
        "other/main.py": "other",
    }
    assert found(namespaces=both, include=["main.py"], ifExists="WARN") == {"main.py": "own"}
    assert ("WARN", "namespaceFiles: main.py is there already, and is kept") in bench.logs
    properties = {"namespaces": both, "ifExists": "FAIL"}
    outcome = bench.run("shell.commands", commands=["true"], namespaceFiles=properties)
    assert outcome.error == "namespaceFiles: main.py is there already, and ifExists is FAIL"
