"""Mistakes that people make in flows: each is told once, with its place and what was expected."""

from __future__ import annotations

import pytest

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.plugins.registry import REGISTRY

LOG = "type: io.kestra.plugin.core.log.Log"


def problems(text: str) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        parse_flow("id: f\nnamespace: n\n" + text, REGISTRY)
    return caught.value.problems


def task(properties: str) -> str:
    return f"tasks:\n  - {{id: a, {properties}}}\n"


SHELL = "type: io.kestra.plugin.scripts.shell.Commands, commands: [a]"
HTTP = "type: io.kestra.plugin.core.http.Request, uri: x"
BATCHES = "type: io.kestra.plugin.core.flow.ForEachItem, items: x, namespace: n, flowId: g"
CASES = [
    (task(f"{LOG}, message: m, level: WARNING"), "tasks[0].level", "did you mean `WARN`"),
    (task(f"{LOG}, message: m, level: 3"), "tasks[0].level", "'TRACE'"),
    (task(f"{HTTP}, headers: [a]"), "tasks[0].headers", "should be a map, got ['a']"),
    (task(f"{HTTP}, options: {{timeout: 3}}"), "tasks[0].options.timeout", "should be a map"),
    (
        task("type: io.kestra.plugin.core.execution.Assert, conditions: x"),
        "tasks[0].conditions",
        "should be a list, got 'x'",
    ),
    ("tasks: hello\n", "tasks", "expected a list, got 'hello'"),
    ("tasks: {a: {}}\n", "tasks", "expected a list, got {'a': {}}"),
    (task("type: io.kestra.plugin.jdbc.postgres.Query"), "tasks[0].type", "of a plugin that"),
    (task("type: io.kestra.plugin.scripts.node.Script"), "tasks[0].type", "of a plugin that"),
    (
        task("type: io.kestra.plugin.scripts.pyton.Script"),
        "tasks[0].type",
        "did you mean `io.kestra.plugin.scripts.python.Script`",
    ),
    (task("type: io.kestra.plugin.core.execution.Kill"), "tasks[0].type", "kestrapy does not yet"),
    (
        task("type: io.kestra.plugin.core.flow.Loop"),
        "tasks[0].type",
        "Kestra 1.3 has it not: write io.kestra.plugin.core.flow.ForEach",
    ),
    (
        task("type: io.kestra.core.tasks.scripts.Bash"),
        "tasks[0].type",
        "write io.kestra.plugin.scripts.shell.Commands",
    ),
    (task(f"{BATCHES}, batch: {{rows: 0}}"), "tasks[0].batch.rows", "0 is not at least 1"),
    (task(f"{BATCHES}, batch: {{bytes: lots}}"), "tasks[0].batch.bytes", "'lots' is no size"),
    (
        task(f"{BATCHES}, batch: {{rows: 1, partitions: 2}}"),
        "tasks[0].batch",
        "give one of bytes, partitions, rows and regexPattern",
    ),
    (task("type: core.log.Log"), "tasks[0].type", "did you mean `io.kestra.plugin.core.log.Log`"),
    (task(f"{SHELL}, runner: DOCKER"), "tasks[0].runner", "asks for Docker"),
    (task(f"{SHELL}, docker: {{image: x}}"), "tasks[0].docker", "asks for Docker"),
    (task(f"{SHELL}, targetOS: WINDOWS"), "tasks[0].targetOS", "'AUTO' or 'LINUX'"),
    (task(f"{LOG}, message: '{{{{ inputs.x }}'"), "tasks[0].message", "ends with `}}`"),
]


@pytest.mark.parametrize(("text", "path", "message"), CASES)
def test_it_is_told_once_with_its_place(text: str, path: str, message: str) -> None:
    (problem,) = problems(text)
    assert problem.path == path and problem.line > 0 and problem.column > 0
    assert message in problem.message


def test_what_is_said_to_be_missing_is() -> None:
    assert REGISTRY.missing and not REGISTRY.missing & REGISTRY.tasks.keys()
    assert not REGISTRY.of_others.keys() & REGISTRY.tasks.keys()
    assert set(REGISTRY.of_others.values()) <= REGISTRY.tasks.keys()


def test_scripts_may_say_what_they_are_anyway() -> None:
    text = task(f"{SHELL}, runner: PROCESS, targetOS: LINUX")
    assert parse_flow("id: f\nnamespace: n\n" + text, REGISTRY).tasks
