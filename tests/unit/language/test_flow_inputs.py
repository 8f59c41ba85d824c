"""Inputs as a flow's source has them: each type with what it adds, and what is refused where."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.language.flow_inputs import INPUT_TYPES
from kestrapy.language.input_values import Unfit, convert
from kestrapy.model.inputs import DependsOn, Input
from tests.unit.language.types_for_tests import REGISTRY

HEAD = "id: f\nnamespace: n\ntasks: [{id: t, type: echo, message: m}]\n"


def read(item: str) -> Input:
    (found,) = parse_flow(f"{HEAD}inputs: [{item}]\n", REGISTRY).inputs
    return found


def problems(source: str) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        parse_flow(source, REGISTRY)
    return caught.value.problems


WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    "STRING": ("validator: 'a+', defaults: aa", {"validator": "a+", "defaults": "aa"}),
    "INT": ("min: 1, max: 3, defaults: '2'", {"min": 1, "max": 3, "defaults": "2"}),
    "FLOAT": ("min: 0.5, defaults: 1", {"min": 0.5, "defaults": 1}),
    "BOOL": ("defaults: false", {"defaults": False}),
    "BOOLEAN": ("prefill: true", {"prefill": True}),
    "DATETIME": (
        "after: '2023-01-01T01:00:00+01:00', before: 2024-01-01T00:00:00Z",
        {"after": "2023-01-01T00:00:00Z", "before": "2024-01-01T00:00:00Z"},
    ),
    "DATE": (
        "after: 2023-01-01, defaults: 2023-01-02",
        {"after": "2023-01-01", "defaults": "2023-01-02"},
    ),
    "TIME": ("before: '11:59'", {"before": "11:59:00"}),
    "DURATION": ("min: PT60S, max: P1D", {"min": "PT1M", "max": "PT24H"}),
    "FILE": (
        "allowedFileExtensions: [.csv], extension: .csv, defaults: 'nsfile:///a.csv'",
        {
            "allowed_file_extensions": (".csv",),
            "extension": ".csv",
            "defaults": "nsfile:///a.csv",
        },
    ),
    "JSON": ("defaults: {a: [1]}", {"defaults": {"a": [1]}}),
    "YAML": ("defaults: 'a: [1]'", {"defaults": "a: [1]"}),
    "URI": ("defaults: 'https://www.google.com'", {"defaults": "https://www.google.com"}),
    "EMAIL": ("defaults: a@b.org", {"defaults": "a@b.org"}),
    "SECRET": ("validator: '.{3,}', defaults: pass", {"validator": ".{3,}", "defaults": "pass"}),
    "ARRAY": ("itemType: INT, defaults: ['1']", {"item_type": "INT", "defaults": ["1"]}),
    "SELECT": (
        "values: [a, 1], isRadio: true, autoSelectFirst: true",
        {"values": ("a", "1"), "is_radio": True, "auto_select_first": True},
    ),
    "ENUM": ("values: [a], defaults: a", {"values": ("a",), "defaults": "a"}),
    "MULTISELECT": (
        "expression: '{{ vars.v }}', allowCustomValue: true, itemType: STRING",
        {"expression": "{{ vars.v }}", "allow_custom_value": True, "item_type": "STRING"},
    ),
}
NOW = {"BOOLEAN": "BOOL", "ENUM": "SELECT"}


def test_there_are_nineteen_types() -> None:
    assert set(WRITTEN) == set(INPUT_TYPES)
    assert len(INPUT_TYPES) == 19


@pytest.mark.parametrize("of_type", INPUT_TYPES)
def test_what_a_type_adds(of_type: str) -> None:
    properties, expected = WRITTEN[of_type]
    found = read(f"{{id: i, type: {of_type}, {properties}}}")
    assert found == Input("i", NOW.get(of_type, of_type), **expected)  # type: ignore[arg-type]


def test_what_all_have_in_common() -> None:
    item = "{name: a.b-c, type: STRING, displayName: N, description: D, required: false}"
    expected = Input("a.b-c", "STRING", description="D", display_name="N", required=False)
    assert read(item) == expected
    assert read("{id: m, type: MULTISELECT, options: [a]}").values == ("a",)


def test_what_an_input_depends_on() -> None:
    source = "inputs: [{id: a, type: BOOL}, {id: b, type: INT, dependsOn: {inputs: [a],"
    flow = parse_flow(f"{HEAD}{source} condition: '{{{{ inputs.a }}}}'}}}}]\n", REGISTRY)
    assert flow.inputs[1].depends_on == DependsOn(("a",), "{{ inputs.a }}")


@pytest.mark.parametrize(
    ("item", "path", "message"),
    [
        ("{id: '#', type: INT}", "id", "'#' must match"),
        ("{id: i}", "", "Invalid type: null: missing type id property 'type'"),
        ("{id: i, type: FOO}", "type", "Invalid type: FOO (expected: STRING, INT"),
        ("{id: i, type: STING}", "type", "did you mean `STRING`?"),
        ("{id: i, name: j, type: INT}", "name", "keep one of them"),
        ("{id: i, type: DATE, after: x}", "after", "expected a date such as 2026-01-31, got 'x'"),
        ("{id: i, type: DATE, after: 2023-02-30}", "after", "expected a date"),
        (
            "{id: i, type: DATE, after: 2024-01-02, before: 2024-01-01}",
            "before",
            "before 2024-01-01 is earlier than after 2024-01-02",
        ),
        ("{id: i, type: INT, defaults: 1, prefill: 1}", "prefill", "can't define both"),
        ("{id: i, type: INT, prefill: x}", "prefill", "expected a whole number"),
        ("{id: i, type: INT, itemType: x}", "itemType", "unknown property `itemType`"),
        ("{id: i, type: STRING, min: 1}", "min", "unknown property `min`"),
        ("{id: i, type: INT, min: 2, max: 1}", "max", "max 1 is below min 2"),
        ("{id: i, type: INT, max: x}", "max", "expected a number, got 'x'"),
        ("{id: i, type: INT, validator: x}", "validator", "unknown property `validator`"),
        ("{id: i, type: STRING, validator: 'a', defaults: b}", "defaults", "the pattern `a`"),
        ("{id: i, type: SECRET, validator: 'a', defaults: b}", "defaults", "the pattern `a`"),
        ("{id: i, type: SECRET, defaults: '{{ vars.x }}'}", "defaults", "not have `vars.x`"),
        ("{id: i, type: INT, defaults: x}", "defaults", "expected a whole number"),
        ("{id: i, type: INT, defaults: 7, max: 6}", "defaults", "less than `6`"),
        ("{id: i, type: INT, defaults: '{{ a( }}'}", "defaults", "`(` is not closed"),
        ("{id: i, type: FILE, defaults: x}", "defaults", "expected the URI of a file"),
        ("{id: i, type: FILE, allowedFileExtensions: [csv]}", "allowedFileExtensions[0]", ".csv"),
        ("{id: i, type: INT, defaults: 1, required: false}", "required", "leave out"),
        ("{id: i, type: SELECT}", "", "`values` or `expression` is required"),
        ("{id: i, type: SELECT, values: [a], defaults: b}", "defaults", "the values `[a]`"),
        ("{id: i, type: SELECT, values: [a, '']}", "values[1]", "text that is not empty"),
        (
            "{id: i, type: SELECT, values: [a], expression: '{{ x }}'}",
            "expression",
            "can't define both `values` and `expression`",
        ),
        ("{id: i, type: ARRAY}", "", "`itemType` is required"),
        ("{id: i, type: ARRAY, itemType: SELECT}", "itemType", "`itemType` cannot be `SELECT`"),
        ("{id: i, type: ARRAY, itemType: IN}", "itemType", "did you mean `INT`"),
        ("{id: i, type: MULTISELECT, itemType: ENUM}", "itemType", "`itemType` cannot be `ENUM`"),
        ("{id: i, type: INT, dependsOn: {}}", "dependsOn", "expected `inputs`, `condition`"),
        ("{id: i, type: INT, dependsOn: {input: a}}", "dependsOn.input", "mean `inputs`"),
        ("{id: i, type: INT, dependsOn: {inputs: [x]}}", "dependsOn.inputs[0]", "unknown input"),
        ("{id: i, type: INT, dependsOn: {inputs: [i]}}", "dependsOn", "depends on itself"),
        ("{id: i, type: INT, dependsOn: {condition: '{{'}}", "dependsOn.condition", "not closed"),
        ("x", "", "expected a map, got 'x'"),
    ],
)
def test_problems_of_an_input(item: str, path: str, message: str) -> None:
    found = problems(f"{HEAD}inputs: [{item}]\n")
    place = f"inputs[0].{path}" if path else "inputs[0]"
    assert message in next(it for it in found if it.path == place).message
    assert {it.line for it in found} == {4}


def test_inputs_have_ids_of_their_own_and_do_not_contain_each_other() -> None:
    source = HEAD + "inputs: [{id: a, type: INT}, {id: a, type: INT}, {id: a.b, type: INT}]"
    assert [(problem.path, problem.message.split(":")[0]) for problem in problems(source)] == [
        ("inputs[1].id", "Duplicate input with name [a]"),
        ("inputs[2].id", "`a.b` lies within the input `a`"),
    ]


def test_inputs_do_not_depend_on_each_other_in_a_circle() -> None:
    item = "{{id: {0}, type: INT, dependsOn: {{inputs: [{1}]}}}}"
    items = ", ".join(item.format(*it) for it in ("ab", "ba", "cd", "dd"))
    found = problems(f"{HEAD}inputs: [{items}, {{id: e, type: INT}}]\n")
    assert [it.path for it in found] == [f"inputs[{index}].dependsOn" for index in range(4)]


def test_an_input_with_a_dash_is_not_named_by_dots() -> None:
    inner = "{id: t, type: echo, message: 'a {{ inputs.my-key }}'}"
    fine = "{id: u, type: echo, message: \"{{ inputs['my-key'] }} inputs.my-key-2\"}"
    source = (
        "id: f\nnamespace: n\ninputs: [{id: my-key, type: STRING}]\n"
        f"tasks:\n- {{id: s, type: sequential, tasks: [{inner}]}}\n- {fine}\n"
    )
    (problem,) = problems(source)
    assert (problem.path, problem.line) == ("tasks[0].tasks[0]", 5)
    assert problem.message.startswith(
        "Invalid input reference: use inputs[key-name] instead of inputs.key-name"
    )
    assert problem.message.endswith("write inputs['my-key'], offending tasks: [t]")


def test_outputs_of_a_task_with_a_dash_are_not_named_by_dots() -> None:
    source = (
        "id: f\nnamespace: n\ntasks:\n"
        "- {id: a-b, type: echo, message: m}\n"
        "- {id: t, type: echo, message: '{{ outputs.a-b.value }}'}\n"
        "- {id: u, type: echo, message: '{{ 1 + outputs.a-b.value }} {{ outputs.a-b }}'}\n"
        "- {id: fine, type: echo, message: \"outputs.a-b {{ outputs['a-b'] }} {{ 5 }}\"}\n"
        "- {id: a, type: echo, message: '{{ outputs.a-c }}'}\n"
        "outputs: [{id: o, type: STRING, value: '{{ outputs.a-b.value }}'}]\n"
    )
    found = problems(source)
    assert [(it.path, it.line) for it in found] == [("tasks[1]", 5), ("outputs[0]", 9)]
    assert found[0].message.startswith("Invalid output reference: ")
    assert found[0].message.endswith("write outputs['a-b'], offending tasks: [t, u]")
    assert found[1].message.endswith("write outputs['a-b'], offending outputs: [o]")


def test_a_dash_in_the_id_of_an_input_within_others() -> None:
    tasks = "tasks: [{id: t, type: echo, message: '{{ inputs.group.my-key.x }}'}]"
    (problem,) = problems(
        f"id: f\nnamespace: n\ninputs: [{{id: group.my-key, type: JSON}}]\n{tasks}"
    )
    assert problem.message.endswith("write inputs['group.my-key'], offending tasks: [t]")


@pytest.mark.parametrize(
    "text",
    [
        "{id: i, type: STRING, validator: '('}",
        "{id: i, type: SECRET, validator: '('}",
        "{id: i, type: STRING, validator: '(', prefill: x}",
        "{id: i, type: STRING, validator: '(', defaults: x}",
    ],
)
def test_an_input_whose_validator_is_broken_takes_no_value(text: str) -> None:
    declared = read(text)
    assert declared.validator == ""
    with pytest.raises(Unfit, match=r"`\(` is no regular expression"):
        convert(declared, "x")


def test_an_input_with_two_sets_of_values_takes_none() -> None:
    declared = read("{id: i, type: MULTISELECT, values: [a], options: [b]}")
    with pytest.raises(Unfit) as refused:
        convert(declared, ["b"], declared.values)
    assert refused.value.causes == (
        "you can't define both `values` and `options`: keep `values`",
        "value `b` doesn't match the values `[a]`",
    )
