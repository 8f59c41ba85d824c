"""What is allowed in a flow, and looks like a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from kestrapy.cli.flow import validate_file
from kestrapy.language.flow import parse_flow
from kestrapy.language.flow_warnings import flow_warnings
from kestrapy.plugins.registry import REGISTRY as TYPES
from tests.unit.language.types_for_tests import REGISTRY

FLOW = """\
id: f
namespace: n
inputs: [{id: name, type: STRING}, {id: group.key, type: STRING}]
tasks:
- {id: a, type: echo, message: "MESSAGE"}
- {id: items, type: x.ForEachItem}
- {id: s, type: sequential, tasks: [{id: b, type: echo}]}
"""


def warnings(message: str) -> list[str]:
    return [it.message for it in flow_warnings(FLOW.replace("MESSAGE", message), REGISTRY)]


@pytest.mark.parametrize(
    ("message", "warning"),
    [
        ("{{ inputs.nmae }}", "`inputs.nmae`: no input has this id; did you mean `name`?"),
        ("{{ outputs.bb.value }}", "`outputs.bb`: no task has this id; did you mean `b`?"),
        ("{% if inputs.other %}{% endif %}", "`inputs.other`: no input has this id"),
    ],
)
def test_what_is_not_there(message: str, warning: str) -> None:
    assert warnings(message) == [warning]


@pytest.mark.parametrize(
    "message",
    [
        "{{ inputs.name }} {{ inputs.group.key }} {{ inputs }}",
        "{{ outputs.b.value }} {{ outputs['a'].value }} {{ outputs[vars.x].value }}",
        "{{ outputs.items_merge.subflowOutputs }}",
        "{{ inputs.other ?? 1 }}",
        "{{ inputs.other | default(1) }}",
        "{{ inputs.other is defined }}",
        "plain inputs.other",
        "{{ taskrun.value }} {{ vars.other }}",
    ],
)
def test_what_is_right_or_may_be(message: str) -> None:
    assert warnings(message) == []


def test_tasks_of_a_template_are_elsewhere() -> None:
    text = FLOW.replace("MESSAGE", "{{ outputs.bb.value }}")
    template = "- {id: t, type: io.kestra.plugin.core.flow.Template}\n"
    assert flow_warnings(text + template, REGISTRY) == []


def test_inputs_that_take_no_value() -> None:
    inputs = "inputs:\n- {id: a, type: STRING, validator: '['}\n- {id: b, type: INT}\n"
    task = "tasks:\n- {id: t, type: echo, format: m}\n"
    (warning,) = flow_warnings(f"id: f\nnamespace: n\n{inputs}{task}", REGISTRY)
    assert (warning.path, warning.line) == ("inputs[0].validator", 4)
    assert "`[` is no regular expression" in warning.message


def test_properties_without_effect() -> None:
    child = "{id: b, type: echo, message: m, timeout: PT1S, logLevel: WARN}"
    parent = f"{{id: s, type: sequential, timeout: PT2S, logLevel: WARN, tasks: [{child}]}}"
    text = f"id: f\nnamespace: n\ntasks:\n- {parent}\n"
    (warning,) = flow_warnings(text, REGISTRY)
    assert (warning.path, warning.line) == ("tasks[0].logLevel", 4)
    assert "`logLevel` has no effect on a acme.flow.Sequential" in warning.message
    (task,) = parse_flow(text, REGISTRY).tasks
    assert task.log_level == "" and (task.timeout, task.tasks[0].timeout) == (2000, 1000)


@pytest.mark.parametrize(
    ("task", "warned"),
    [
        ("{type: exit, timeout: PT1S}", ["timeout"]),
        ("{type: labels, timeout: PT1S, labels: {a: b}}", ["timeout"]),
        ("{type: pause, timeout: PT1S}", []),
        ("{type: resume, timeout: PT1S}", []),
        ("{type: subflow, timeout: PT1S, namespace: n, flowId: g, logLevel: WARN}", ["logLevel"]),
        ("{type: if, timeout: PT1S, condition: a, then: [{id: c, type: exit}]}", []),
    ],
)
def test_a_timeout_has_an_effect_on_whatever_takes_time(task: str, warned: list[str]) -> None:
    text = f"id: f\nnamespace: n\ntasks:\n- {task.replace('{', '{id: t, ', 1)}\n"
    found = [it.path for it in flow_warnings(text, TYPES)]
    assert found == [f"tasks[0].{name}" for name in warned]
    (read,) = parse_flow(text, TYPES).tasks
    assert read.timeout == (None if "timeout" in warned else 1000)


def test_a_subflows_outputs_are_those_of_what_it_runs() -> None:
    call = (
        "- {id: t, type: subflow, flowId: c, namespace: n, outputs: {a: '{{ outputs.x.value }}'}}"
    )
    assert flow_warnings(f"id: f\nnamespace: n\ntasks:\n{call}\n", REGISTRY) == []
    other = call.replace("outputs: {", "inputs: {")
    assert len(flow_warnings(f"id: f\nnamespace: n\ntasks:\n{other}\n", REGISTRY)) == 1


def test_the_command_tells_and_takes_the_flow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "f.yaml"
    task = "{id: a, type: log, message: '{{ inputs.nmae }}'}"
    file.write_text(f"id: f\nnamespace: n\ninputs: [{{id: name, type: STRING}}]\ntasks: [{task}]\n")
    assert validate_file(file, None)
    assert f"{file}:4:28: tasks[0].message: warning: `inputs.nmae`" in capsys.readouterr().err
