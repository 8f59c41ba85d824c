"""The models of task types: what a flow may say when saved, and what must hold when it runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kestrapy.errors import NotFound, UserError
from kestrapy.model.registry import Kind
from kestrapy.plugins.properties import is_true, parse_duration, to_text, validate_rendered
from kestrapy.plugins.registry import REGISTRY, is_instant, properties_of, runnable

ALIASES = {
    "log": "io.kestra.plugin.core.log.Log",
    "io.kestra.core.tasks.log.Log": "io.kestra.plugin.core.log.Log",
    "io.kestra.core.tasks.debugs.Return": "io.kestra.plugin.core.debug.Return",
    "io.kestra.core.tasks.executions.Fail": "io.kestra.plugin.core.execution.Fail",
    "io.kestra.core.tasks.debugs.Echo": "io.kestra.plugin.core.debug.Echo",
    "sleep": "io.kestra.plugin.core.flow.Sleep",
    "sequential": "io.kestra.plugin.core.flow.Sequential",
    "io.kestra.core.tasks.flows.Parallel": "io.kestra.plugin.core.flow.Parallel",
    "shell.commands": "io.kestra.plugin.scripts.shell.Commands",
    "python.script": "io.kestra.plugin.scripts.python.Script",
}


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_alias_names_the_same_type(alias: str, name: str) -> None:
    assert REGISTRY.tasks[alias] is REGISTRY.tasks[name]
    assert REGISTRY.tasks[alias].name == name


def test_every_runnable_type_has_what_runs_it() -> None:
    for name, it in REGISTRY.tasks.items():
        if it.kind is Kind.RUNNABLE:
            assert it.runs
            assert runnable(name) is runnable(it.name)
            assert properties_of(name) is it.properties


def test_flowable_types_are_not_run_by_workers() -> None:
    with pytest.raises(NotFound, match=r"no worker .* 'parallel'; it runs io\.kestra"):
        runnable("parallel")


def test_only_tasks_that_wait_for_nothing_are_instant() -> None:
    instant = {it.name for it in REGISTRY.tasks.values() if it.kind is Kind.RUNNABLE and it.runs}
    assert {name.rsplit(".", 1)[1] for name in instant if is_instant(name)} == {
        "Log",
        "Return",
        "Echo",
        "OutputValues",
        "Fail",
        "Assert",
        "Publish",
    }


def save(alias: str, properties: dict[str, Any]) -> Any:
    return REGISTRY.tasks[alias].properties.model_validate(properties)


@pytest.mark.parametrize(
    ("alias", "properties"),
    [
        ("log", {"message": "{{ inputs.x }}", "level": "{{ inputs.level }}"}),
        ("log", {"message": ["a", 3]}),
        ("sleep", {"duration": "{{ inputs.d }}"}),
        ("shell.commands", {"commands": "{{ inputs.lines }}", "failFast": "{{ inputs.f }}"}),
        ("shell.script", {"script": "x", "inputFiles": "{{ inputs.files }}"}),
        ("shell.script", {"script": "x", "inputFiles": '{"a.txt": "b"}'}),
        ("shell.script", {"script": "x", "taskRunner": {"type": "process"}}),
        ("python.script", {"script": "x", "containerImage": "python:3", "warningOnStdErr": False}),
    ],
)
def test_accepted_when_saved(alias: str, properties: dict[str, Any]) -> None:
    save(alias, properties)


@pytest.mark.parametrize(
    ("alias", "properties", "why"),
    [
        ("log", {}, "message"),
        ("log", {"message": "a", "level": "LOUD"}, "'LOUD' does not fit"),
        ("return", {"fromat": "x"}, "fromat"),
        ("sleep", {"duration": "5 seconds"}, "ISO-8601"),
        ("sequential", {"concurrency": 1}, "concurrency"),
        ("shell.script", {"script": "x", "namespaceFiles": {"ifExists": "KEEP"}}, "does not fit"),
        ("shell.script", {"script": "x", "namespaceFiles": {"enable": True}}, "enable"),
        ("shell.script", {"script": "x", "warningOnStdErr": True}, "true is not supported"),
        (
            "shell.script",
            {
                "script": "x",
                "taskRunner": {"type": "io.kestra.plugin.scripts.runner.docker.Docker"},
            },
            r"supported: io\.kestra\.plugin\.core\.runner\.Process",
        ),
        ("shell.script", {"script": "x", "task_runner": {}}, "task_runner"),
    ],
)
def test_refused_when_saved(alias: str, properties: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        save(alias, properties)


def test_no_expression_is_left_when_a_task_runs() -> None:
    with pytest.raises(UserError, match=r"^duration: '\{\{ x \}\}' is no duration"):
        validate_rendered(properties_of("sleep"), {"duration": "{{ x }}"})
    with pytest.raises(UserError, match=r"commands: .*does not fit"):
        validate_rendered(properties_of("shell.commands"), {"commands": "{{ x }}"})


def test_braces_in_a_rendered_text_are_just_text() -> None:
    done: Any = validate_rendered(properties_of("log"), {"message": "a {{ raw }} b"})
    assert done.message == "a {{ raw }} b"


def test_a_rendered_json_text_serves_as_list_and_map() -> None:
    done: Any = validate_rendered(
        properties_of("shell.commands"),
        {"commands": '["a", 2]', "inputFiles": '{"x": {"y": [1]}}', "failFast": "false"},
    )
    assert done.commands == ["a", "2"]
    assert done.input_files == {"x": '{"y":[1]}'}
    assert done.fail_fast is False


def test_what_became_null_is_as_if_it_were_left_out_where_null_does_not_fit() -> None:
    given = {"commands": ["a"], "failFast": None, "env": None, "beforeCommands": None}
    done: Any = validate_rendered(properties_of("shell.commands"), given)
    assert done == validate_rendered(properties_of("shell.commands"), {"commands": ["a"]})
    with pytest.raises(UserError, match=r"^duration: "):
        validate_rendered(properties_of("sleep"), {"duration": None})
    with pytest.raises(UserError, match=r"failFast"):
        validate_rendered(properties_of("shell.commands"), given | {"failFast": "perhaps"})


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("PT1S", 1000),
        ("PT0.25S", 250),
        ("PT1H1M", 3_660_000),
        ("P1DT1S", 86_401_000),
        ("pt5m", 300_000),
    ],
)
def test_duration(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "P", "PT", "P1Y", "10", "00:00:10", "-PT1S", "PT1S "])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize("value", [False, "false", 0, 0.0, "", None, "0"])
def test_untrue(value: Any) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("value", [True, "true", 1, "no", [], {}])
def test_true(value: Any) -> None:
    assert is_true(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (1.5, "1.5"), ({"ä": [1]}, '{"ä":[1]}'), ("x", "x")],
)
def test_text_of_a_value(value: Any, text: str) -> None:
    assert to_text(value) == text
