"""The JSON Schema of flows: whatever the parser accepts is valid, and mistakes are found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, BaseModel, BeforeValidator

from kestrapy.errors import FlowRefused
from kestrapy.language.flow import parse_flow
from kestrapy.language.flow_inputs import INPUT_TYPES
from kestrapy.language.model_schema import model_schemas
from kestrapy.language.schema import flow_schema
from kestrapy.language.yaml_source import parse
from kestrapy.plugins.registry import REGISTRY
from tests.input_samples import SOURCE
from tests.unit.language.test_flow import FULL
from tests.unit.language.test_flow_inputs import HEAD, WRITTEN
from tests.unit.language.types_for_tests import REGISTRY as SMALL

ROOT = Path(__file__).parents[3]
CORPUS = ROOT.parent / "shared" / "flows"
FLOWS = [
    *(ROOT / "examples").glob("*.yaml"),
    *(CORPUS.rglob("*.y*ml") if CORPUS.is_dir() else ()),
]
SCHEMA = flow_schema(REGISTRY)
VALIDATOR = Draft202012Validator(SCHEMA)
SMALL_VALIDATOR = Draft202012Validator(flow_schema(SMALL))


def paths(source: str, validator: Any = SMALL_VALIDATOR) -> list[str]:
    """Of what is wrong, as deep as the schema tells."""
    return [error.json_path for error in validator.iter_errors(parse(source).data)]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", FLOWS, ids=lambda it: it.name)
def test_a_flow_that_is_accepted_is_valid(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    try:
        parse_flow(source, REGISTRY)
    except FlowRefused:
        return  # it may be valid all the same: a schema can't see everything
    errors = VALIDATOR.iter_errors(parse(source).data)
    assert [(error.json_path, error.message) for error in errors] == []


def test_enough_flows_are_accepted_for_that_to_say_something() -> None:
    assert paths(FULL) == []
    assert paths(SOURCE, VALIDATOR) == []


@pytest.mark.parametrize("of_type", INPUT_TYPES)
def test_an_input_of_each_type_is_valid(of_type: str) -> None:
    source = f"{HEAD}inputs: [{{id: i, type: {of_type}, {WRITTEN[of_type][0]}}}]\n"
    assert paths(source) == []
    assert paths(source.replace("id: i,", "id: i, sort: 1,")) == ["$.inputs[0]"]


def with_task(properties: str) -> str:
    return f"id: f\nnamespace: n\ntasks:\n- id: t\n  type: echo\n  message: m\n  {properties}\n"


@pytest.mark.parametrize(
    "properties",
    [
        "retry: {type: constant, interval: PT1S, maxAttempts: 3}",
        "retry: {type: exponential, interval: PT1S, maxInterval: PT9S, delayFactor: 3}",
        "workerGroup: {key: gpu, fallback: {group: other}}",
        "workerSelector: {tags: [a], match: ANY}",
        "count: '{{ inputs.count }}'",
        "count: '3'",
        "exitCode: '{{ inputs.code }}'",
        "options: {verbose: '{{ vars.v }}', depth: 1}",
        "numbers: [1, '{{ inputs.n }}']",
        "timeout: PT5S",
        "description:",
    ],
)
def test_a_task_that_is_accepted_is_valid(properties: str) -> None:
    parse_flow(with_task(properties), SMALL)
    assert paths(with_task(properties)) == []


@pytest.mark.parametrize(
    "properties",
    [
        "mesage: x",
        "level: LOUD",
        "count: [1]",
        "exitCode: -1",
        "options: {verbos: true}",
        "disabled: maybe",
        "timeout: [PT5S]",
        "timeout: soon",
        "logLevel: LOUD",
        "retry: {}",
        "retry: {type: constant, interval: PT1S, maxInterval: PT1S}",
        "retry: {type: sometimes}",
        "workerGroup: {kye: gpu}",
        "workerSelector: {tags: gpu}",
        "tasks: []",
    ],
)
def test_a_broken_task_is_not(properties: str) -> None:
    with pytest.raises(FlowRefused):
        parse_flow(with_task(properties), SMALL)
    assert all(it.startswith("$.tasks[0]") for it in paths(with_task(properties)))
    assert paths(with_task(properties))


@pytest.mark.parametrize(
    "source",
    [
        "[]",
        "id: f\nnamespace: n\n",
        "id: f\nnamespace: n\ntasks: []\n",
        "id: '#'\nnamespace: n\ntasks: [{id: t, type: echo, message: m}]\n",
        "id: f\ntasks: [{id: t, type: echo, message: m}]\n",
        "id: f\nnamespace: n\ntasks: [{id: t, type: echo}]\n",
        "id: f\nnamespace: n\ntasks: [{type: echo, message: m}]\n",
        "id: f\nnamespace: n\ntasks: [{id: t, type: ecko, message: m}]\n",
        "id: f\nnamespace: n\ntasks: [{id: s, type: parallel, concurrent: x}]\n",
        "id: f\nnamespace: n\ntasks: [{id: s, type: sequential, tasks: [{id: t, type: echo}]}]\n",
        "id: f\nnamespace: n\ntasks: [{id: s, type: sequential, tasks: {}}]\n",
        HEAD + "bogus: 1\n",
        HEAD + "labels: 3\n",
        HEAD + "inputs: [{id: i}]\n",
        HEAD + "inputs: [{id: i, type: INT, min: x}]\n",
        HEAD + "inputs: [{id: i, type: SELECT, values: a}]\n",
        HEAD + "inputs: [{id: i, type: INT, dependsOn: {input: a}}]\n",
        HEAD + "outputs: [{id: o, type: LIST, value: 1}]\n",
        HEAD + "errors: [{id: e, type: echo, message: m, mesage: m}]\n",
        HEAD + "triggers: [{id: a, type: cron}]\n",
        HEAD + "triggers: [{id: a, type: cron, cron: x, corn: 1}]\n",
        HEAD + "triggers: [{id: a, type: cron, cron: x, conditions: [{type: iz}]}]\n",
        HEAD + "triggers: [{id: a, type: cron, cron: x, conditions: [{type: is, stat: 1}]}]\n",
        HEAD + "triggers: [{id: a, type: cron, cron: x, stopAfter: FAILED}]\n",
        "id: f\nnamespace: n\ntasks: [{id: d, type: dag, tasks: [{task: {id: t, type: x}}]}]\n",
        HEAD + "pluginDefaults: [{type: echo, vales: {}}]\n",
    ],
)
def test_a_broken_flow_is_not_valid(source: str) -> None:
    with pytest.raises(FlowRefused):
        parse_flow(source, SMALL)
    assert paths(source)


def test_what_is_required_may_come_from_plugin_defaults() -> None:
    defaults = "pluginDefaults: [{type: echo, values: {message: m}}]\n"
    source = f"{defaults}id: f\nnamespace: n\ntasks: [{{id: t, type: echo}}]\n"
    parse_flow(source, SMALL)
    assert paths(source) == []
    inner = source.replace("{id: t, ", "{id: s, type: sequential, tasks: [{id: t, ").replace(
        "echo}]\n", "echo}]}]\n"
    )
    parse_flow(inner, SMALL)
    assert paths(inner) == []
    assert paths(inner.replace("id: t, ", "")) != []
    assert paths(inner.replace("type: echo}]}", "type: echo, level: LOUD}]}")) != []
    assert paths(source.removeprefix(defaults)) == ["$.tasks[0]"]


def test_descriptions_and_other_names_are_in_it() -> None:
    found = str(SCHEMA["$defs"]["task"])
    assert "io.kestra.core.tasks.log.Log" in found
    assert "what is given the lines" in found


class Lenient(BaseModel):
    """text: anything that ``str`` takes."""

    text: Annotated[str, BeforeValidator(str)]
    number: Annotated[int, AfterValidator(abs)] = 0


def test_a_validator_that_comes_first_may_take_anything() -> None:
    schemas, _ = model_schemas([Lenient])
    validator = Draft202012Validator(schemas[Lenient])
    Lenient.model_validate({"text": ["a"]})
    assert validator.is_valid({"text": ["a"]})
    assert not validator.is_valid({"text": "a", "number": ["a"]})
    assert schemas[Lenient]["properties"]["text"] == {"description": "anything that ``str`` takes."}
