"""Flows: what a source becomes, and every way in which it is refused, with its place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.model.flow import Flow, Input, Retry, WorkerGroupRef
from kestrapy.model.worker_group import Fallback, GroupSettings
from tests.unit.language.types_for_tests import REGISTRY

FULL = """\
id: my-flow.v1
namespace: company.team
tenantId: main
revision: 3
description: All of it
disabled: true
labels: {team: core, number: 7, on: true, system.readOnly: "true"}
variables: {greeting: "Hello {{ inputs.who }}"}
workerGroup: {key: gpu}
inputs:
  - {id: who, type: STRING, defaults: you, displayName: Who, validator: "[a-z]+"}
  - {id: n.count, type: INT, min: 1, max: 5, required: false}
  - {id: flag, type: BOOLEAN}
outputs:
  - {id: said, type: STRING, value: "{{ outputs.say.value }}"}
tasks:
  - id: both
    type: parallel
    concurrent: 2
    tasks:
      - {id: say, type: echo, message: "{{ vars.greeting }}", timeout: PT0.5S, allowFailure: true}
      - id: slow
        type: acme.core.Echo
        message: [a, "{{ inputs.who }}"]
        exitCode: "{{ inputs.n.count }}"
        workerGroup: {key: "", fallback: WAIT}
        retry: {type: exponential, interval: PT1S, maxInterval: PT1M, maxAttempt: 4}
    errors:
      - {id: oops, type: echo, message: x, logLevel: WARN, disabled: true}
finally:
  - {id: last, type: sequential, tasks: [{id: inner, type: echo, message: x, allowWarning: true}]}
triggers:
  - {id: hourly, type: cron, cron: "0 * * * *", allowConcurrent: true, inputs: {who: cron}}
"""


def parse(source: str, groups: list[str] | None = None) -> Flow:
    declared = None if groups is None else {key: GroupSettings(key) for key in groups}
    return parse_flow(source, REGISTRY, groups=declared)


def problems(source: str, groups: list[str] | None = None) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        parse(source, groups)
    return caught.value.problems


def with_task(properties: str) -> str:
    return f"id: f\nnamespace: n\ntasks:\n- id: t\n  type: echo\n  message: m\n  {properties}\n"


LONGEST = "id: a, type: MAX_DURATION"
"""Of an sla."""


def with_flow(properties: str) -> str:
    return f"id: f\nnamespace: n\ntasks: [{{id: t, type: echo, message: m}}]\n{properties}\n"


def test_a_flow_with_everything() -> None:
    flow = parse(FULL, ["gpu"])
    assert (flow.id, flow.namespace, flow.revision, flow.source) == (
        "my-flow.v1",
        "company.team",
        3,
        FULL,
    )
    assert (flow.description, flow.disabled) == ("All of it", True)
    assert flow.labels == {"team": "core", "number": "7", "on": "true", "system.readOnly": "true"}
    assert flow.variables == {"greeting": "Hello {{ inputs.who }}"}
    assert flow.worker_group == WorkerGroupRef("gpu")
    assert flow.inputs == (
        Input("who", "STRING", defaults="you", display_name="Who", validator="[a-z]+"),
        Input("n.count", "INT", min=1, max=5, required=False),
        Input("flag", "BOOL"),
    )
    assert flow.outputs[0].value == "{{ outputs.say.value }}"


def test_the_tasks_of_a_flow_with_everything() -> None:
    flow = parse(FULL)
    both, last = flow.tasks[0], flow.finally_[0]
    assert (both.type, both.concurrent, both.properties) == ("acme.flow.Parallel", 2, {})
    say, slow = both.tasks
    assert (say.type, say.timeout, say.allow_failure) == ("acme.core.Echo", 500, True)
    assert say.properties == {"message": "{{ vars.greeting }}"}
    assert slow.properties == {
        "message": ["a", "{{ inputs.who }}"],
        "exitCode": "{{ inputs.n.count }}",
    }
    assert slow.worker_group == WorkerGroupRef(fallback=Fallback("WAIT"))
    assert slow.retry == Retry(
        "exponential", interval=1000, max_interval=60_000, delay_factor=2.0, max_attempts=4
    )
    oops = both.errors[0]
    assert (oops.id, oops.log_level, oops.disabled) == ("oops", "WARN", True)
    assert last.tasks[0].allow_warning
    trigger = flow.triggers[0]
    assert (trigger.type, trigger.allow_concurrent) == ("acme.Cron", True)
    assert (trigger.inputs, trigger.properties) == ({"who": "cron"}, {"cron": "0 * * * *"})


def test_labels_may_be_a_list() -> None:
    assert parse(with_flow("labels: [{key: a, value: 1}]")).labels == {"a": "1"}


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (
            "{type: constant, interval: PT1S, maxAttempts: 2, maxDuration: PT1M}",
            Retry("constant", interval=1000, max_attempts=2, max_duration=60_000),
        ),
        (
            "{type: random, minInterval: PT1S, maxInterval: PT2S, warningOnRetry: true}",
            Retry("random", min_interval=1000, max_interval=2000, warning_on_retry=True),
        ),
        (
            "{type: exponential, interval: PT1S, maxInterval: PT9S, delayFactor: 3,"
            " behavior: RETRY_FAILED_TASK}",
            Retry("exponential", interval=1000, max_interval=9000, delay_factor=3.0),
        ),
    ],
)
def test_retries(retry: str, expected: Retry) -> None:
    assert parse(with_task(f"retry: {retry}")).tasks[0].retry == expected


@pytest.mark.parametrize(
    ("properties", "path", "message"),
    [
        ("bogus: 1", "bogus", "unknown property `bogus` (expected: checks, concurrency"[:25]),
        ("descripton: x", "descripton", "did you mean `description`?"),
        ("disabled: maybe", "disabled", "expected true or false, got 'maybe'"),
        ("description: [x]", "description", "expected text, got ['x']"),
        ("revision: 0", "revision", "a whole number of 1 or more, got 0"),
        ("tenantId: other", "tenantId", "'other' is unknown: expected one of main"),
        ("updated: x", "updated", "`updated` is not supported yet"),
        ("retry: {}", "retry", "`type` is required"),
        ("concurrency: {}", "concurrency", "`limit` is required"),
        ("concurrency: {limit: 0}", "concurrency.limit", "1 or more, got 0"),
        ("concurrency: {limit: 1, behavior: WAIT}", "concurrency.behavior", "QUEUE, CANCEL, FAIL"),
        ("concurrency: {limit: 1, limits: 2}", "concurrency.limits", "did you mean `limit`?"),
        ("sla: [{id: a, behavior: FAIL, duration: PT1S}]", "sla[0]", "`type` is required"),
        ("sla: [{id: a, type: NEVER, behavior: FAIL}]", "sla[0].type", "Invalid type: NEVER"),
        (f"sla: [{{{LONGEST}, duration: PT1S}}]", "sla[0]", "`behavior` is required"),
        (f"sla: [{{{LONGEST}, behavior: FAIL}}]", "sla[0]", "`duration` is required"),
        (f"sla: [{{{LONGEST}, behavior: FAIL, duration: 1x}}]", "sla[0].duration", "1x"),
        (
            f"sla: [{{{LONGEST}, behavior: NONE, duration: PT1S, labels: {{a: []}}}}]",
            "sla[0].labels",
            "label a: expected text",
        ),
        (
            "sla: [{id: a, type: EXECUTION_ASSERTION, behavior: NONE, assert: '{{ secret(1) }}'}]",
            "sla[0].assert",
            "only a worker can",
        ),
        ("checks: [{message: m}]", "checks[0]", "`condition` is required"),
        ("checks: [{condition: 'true'}]", "checks[0]", "`message` is required"),
        ("checks: [{condition: '{{', message: m}]", "checks[0].condition", "not closed"),
        (
            "checks: [{condition: '{{ kv(1) }}', message: m}]",
            "checks[0].condition",
            "only a worker can",
        ),
        (
            "checks: [{condition: 'true', message: m, behavior: STOP}]",
            "checks[0].behavior",
            "BLOCK_EXECUTION, FAIL_EXECUTION, CREATE_EXECUTION",
        ),
        ("checks: [{condition: 'true', message: m, style: X}]", "checks[0].style", "WARNING"),
        ("listeners: [{tasks: []}]", "listeners[0].tasks", "must not be empty"),
        (
            "listeners: [{tasks: [{id: l, type: echo, message: m}], conditions: [{type: Sunny}]}]",
            "listeners[0].conditions[0].type",
            "Invalid type: Sunny",
        ),
        (
            "listeners: [{tasks: [{id: l, type: echo, message: m}], tsks: []}]",
            "listeners[0].tsks",
            "unknown property `tsks`; did you mean `tasks`?",
        ),
        ("labels: {system.x: y}", "labels.system.x", "offending label: system.x=y"),
        ("labels: {a: }", "labels.a", "text that is not empty, got null"),
        ("labels: [{key: a, value: b}, {key: a, value: c}]", "labels[1].value", "Duplicate label"),
        ("labels: 3", "labels", "expected a map, got 3"),
        ("variables: [a]", "variables", "expected a map"),
        ("variables: {a: ['{{ b | c }}']}", "variables.a[0]", "there is no filter `c`"),
        ("workerGroup: {key: cpu}", "workerGroup.key", "unknown worker group `cpu`; did you mean"),
        ("workerGroup: {key: zzz}", "workerGroup.key", "(declared: default, gpu)"),
        ("workerGroup: {key: a b}", "workerGroup.key", "must match"),
        ("workerGroup: {key: gpu, fallback: X}", "workerGroup.fallback", "'X' is unknown"),
        (
            "workerGroup: {kye: gpu}",
            "workerGroup.kye",
            "unknown property `kye`; did you mean `key`?",
        ),
        ("outputs: [{id: o, type: STRING}]", "outputs[0]", "`value` is required"),
        ("outputs: [{id: o, type: LIST, value: 1}]", "outputs[0].type", "Invalid type: LIST"),
        ("outputs: [{id: o, type: SECRET, value: 1}]", "outputs[0].type", "can't be encrypted"),
        ("outputs: [{id: o, type: INT, value: '{{ a }'}]", "outputs[0].value", "one `}` alone"),
        ("triggers: [{id: a, type: corn, cron: x}]", "triggers[0].type", "Invalid type: corn; did"),
        ("triggers: [{id: a, type: cron}]", "triggers[0]", "`cron` is required"),
        (
            "triggers: [{id: a, type: cron, cron: x, corn: 1}]",
            "triggers[0].corn",
            "did you mean `cron`?",
        ),
        (
            "triggers: [{id: a, type: cron, cron: x}, {id: a, type: cron, cron: x}]",
            "triggers[1].id",
            "Duplicate trigger id",
        ),
        (
            "triggers: [{id: a, type: cron, cron: x, inputs: {b: '{{'}}]",
            "triggers[0].inputs.b",
            "not closed",
        ),
    ],
)
def test_problems_of_a_flow(properties: str, path: str, message: str) -> None:
    (problem,) = problems(with_flow(properties), ["gpu"])
    assert (problem.path, problem.line) == (path, 4)
    assert message in problem.message


@pytest.mark.parametrize(
    ("property_", "path", "message"),
    [
        ("bogus: 1", "bogus", "unknown property `bogus`"),
        ("timeot: PT1S", "timeot", "did you mean `timeout`?"),
        ("mesage: x", "mesage", "did you mean `message`?"),
        ("level: LOUD", "level", "input should be 'INFO' or 'WARN', got 'LOUD'"),
        ("count: [1]", "count", "input should be a whole number, got [1]"),
        ("exitCode: -1", "exitCode", "greater than or equal to 0, got -1"),
        ("options: {verbos: true}", "options.verbos", "unknown property `verbos`"),
        ("options: {verbose: true}", "options", "a verbose echo needs a depth"),
        ("options: {depth: x, verbose: '{{ a }}'}", "options.depth", "a whole number"),
        ("numbers: ['{{ a }}', x]", "numbers[1]", "a whole number"),
        ("level: '{{ a | uper }}'", "level", "there is no filter `uper`; did you mean `upper`"),
        ("options: {'{{ a': 1}", "options.{{ a", "not closed"),
        ("tasks: []", "tasks", "unknown property `tasks`"),
        ("runIf: '{{ 1 +'", "runIf", "expression"),
        ("taskCache: {ttl: PT1H}", "taskCache", "`enabled` is required"),
        ("timeout: 5 minutes", "timeout", "no duration: expected ISO-8601"),
        ("timeout: '{{ a'", "timeout", "not closed"),
        ("logLevel: LOUD", "logLevel", "'LOUD' is unknown: expected one of TRACE"),
        ("workerGroup: {key: cpu}", "workerGroup.key", "unknown worker group `cpu`"),
        ("retry: {interval: PT1S}", "retry", "`type` is required"),
        ("retry: {type: often}", "retry.type", "Invalid type: often (expected: constant"),
        ("retry: {type: constant}", "retry", "`interval` is required"),
        (
            "retry: {type: constant, interval: PT1S, maxAttempts: 0}",
            "retry.maxAttempts",
            "1 or more",
        ),
        (
            "retry: {type: constant, interval: PT1S, maxInterval: PT1S}",
            "retry.maxInterval",
            "unknown",
        ),
        (
            "retry: {type: random, minInterval: PT2S, maxInterval: PT1S}",
            "retry.maxInterval",
            "below",
        ),
        (
            "retry: {type: constant, interval: PT1S, behavior: CREATE}",
            "retry.behavior",
            "expected one of RETRY_FAILED_TASK, CREATE_NEW_EXECUTION",
        ),
        (
            "retry: {type: exponential, interval: PT1S, maxInterval: PT2S, delayFactor: 0.5}",
            "retry.delayFactor",
            "1 or more",
        ),
    ],
)
def test_problems_of_a_task(property_: str, path: str, message: str) -> None:
    found = problems(with_task(property_), ["gpu"])
    assert {problem.path for problem in found} == {f"tasks[0].{path}"}
    assert any(message in problem.message for problem in found)
    assert found[0].line == 7


@pytest.mark.parametrize(
    "property_",
    [
        "level: '{{ inputs.level }}'",
        "count: '{{ inputs.count }}'",
        "exitCode: 'a {{ b }}'",
        "numbers: ['{{ a }}', 1]",
        "options: '{{ a }}'",
        "options: {verbose: '{{ a }}', depth: '{{ b }}'}",
        "options: {verbose: true, depth: '{{ b }}'}",
        "options: {verbose: true, note: '{{ decides }}'}",
    ],
)
def test_an_expression_fits_a_field_of_any_type(property_: str) -> None:
    parse(with_task(property_))


def test_required_properties_and_core_ones_of_a_task() -> None:
    found = problems(
        "id: f\nnamespace: n\ntasks:\n- {type: echo}\n- {id: a b, type: x.y.Ecko}\n- {id: c}\n"
    )
    assert [(problem.path, problem.message, problem.line) for problem in found] == [
        ("tasks[0]", "`id` is required", 4),
        ("tasks[0]", "`message` is required", 4),
        ("tasks[1].id", "'a b' must match `[a-zA-Z0-9][a-zA-Z0-9_-]*`", 5),
        ("tasks[1].type", "Invalid type: x.y.Ecko; did you mean `acme.core.Echo`?", 5),
        ("tasks[2]", "`type` is required", 6),
    ]


def test_ids_of_tasks_are_unique_through_all_blocks() -> None:
    source = """\
id: f
namespace: n
tasks:
  - {id: a, type: parallel, tasks: [{id: b, type: echo, message: m}]}
errors: [{id: b, type: echo, message: m}]
finally: [{id: a, type: echo, message: m}]
"""
    assert [(problem.path, problem.line) for problem in problems(source)] == [
        ("errors[0].id", 5),
        ("finally[0].id", 6),
    ]


def test_flowable_tasks_need_children_and_only_parallel_is_concurrent() -> None:
    found = problems("id: f\nnamespace: n\ntasks: [{id: a, type: sequential, concurrent: 2}]")
    assert {(problem.path, problem.message.partition(" (")[0]) for problem in found} == {
        ("tasks[0]", "The 'tasks' property cannot be empty"),
        ("tasks[0].concurrent", "unknown property `concurrent`"),
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "a flow is a map"),
        ("- a", "a flow is a map"),
        ("id: f\nnamespace: n", "`tasks` must have a task"),
        (
            "id: search\nnamespace: n\ntasks: [{id: t, type: echo, message: m}]",
            "Flow id is a reserved keyword: search",
        ),
        (
            "id: f\nnamespace: n\ndeleted: true\ntasks: [{id: t, type: echo, message: m}]",
            "is not deleted",
        ),
        ("id: f\nnamespace: n\ntasks: []", "`tasks` must have a task"),
        ("id: f\nnamespace: N\ntasks: [{id: t, type: echo, message: m}]", "'N' must match"),
        ("id: -f\nnamespace: n\ntasks: [{id: t, type: echo, message: m}]", "'-f' must match"),
        (
            f"id: {'f' * 101}\nnamespace: n\ntasks: [{{id: t, type: echo, message: m}}]",
            "101 characters",
        ),
    ],
)
def test_what_a_flow_needs(source: str, message: str) -> None:
    (problem,) = problems(source)
    assert message in problem.message


def test_problems_come_in_the_order_of_the_source() -> None:
    source = "tasks: [{id: t, type: echo, message: 3}]\nlabels: 3\nnamespace: N\nid: -f\nbogus: 1"
    assert [problem.line for problem in problems(source)][-4:] == [2, 3, 4, 5]


def test_a_default_with_an_expression_is_typed_when_it_is_rendered() -> None:
    flow = parse(with_flow("inputs: [{id: i, type: INT, max: 3, defaults: '{{ vars.i }}'}]"))
    assert flow.inputs[0].defaults == "{{ vars.i }}"


def test_the_default_group_is_always_declared_and_no_groups_means_no_check() -> None:
    assert parse(with_flow("workerGroup: {key: default}"), []).worker_group == WorkerGroupRef(
        "default"
    )
    assert parse(with_flow("workerGroup: {key: any}")).worker_group == WorkerGroupRef("any")


_names = st.sampled_from(
    [
        "id",
        "namespace",
        "tasks",
        "type",
        "message",
        "inputs",
        "labels",
        "retry",
        "workerGroup",
        "key",
        "outputs",
        "errors",
        "triggers",
        "variables",
        "options",
        "numbers",
        "timeout",
        "value",
        "concurrent",
        "defaults",
        "workerSelector",
        "tags",
        "fallback",
        "lane",
        "pluginDefaults",
        "values",
        "forced",
    ]
)
_texts = st.sampled_from(
    ["f", "echo", "parallel", "cron", "constant", "PT1S", "{{ a }}", "{{ a | b }}", "INT"]
)
_values: Any = st.recursive(
    _texts | st.none() | st.booleans() | st.integers(-1, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=6),
    max_leaves=25,
)


@given(st.dictionaries(_names, _values, max_size=8), st.sampled_from([None, ["gpu", "f"]]))
def test_any_document_is_a_flow_or_refused(document: Any, groups: list[str] | None) -> None:
    import json

    try:
        parse(json.dumps(document), groups)
    except FlowRefused as refused:
        assert all(problem.message for problem in refused.problems)


def test_an_unknown_property_is_refused_though_it_holds_an_expression() -> None:
    assert [it.path for it in problems(with_task('invalid: "{{ inputs.x }}"'))] == [
        "tasks[0].invalid"
    ]


@pytest.mark.parametrize(
    "name, value",
    [
        ("workerGroup", "{key: gpu}"),
        ("workerSelector", "{tags: [x]}"),
        ("onWorkerLost", "FAIL"),
    ],
)
def test_what_only_workers_act_upon_is_refused_on_a_flowable(name: str, value: str) -> None:
    source = with_task(f"x: 1\n- id: s\n  type: sequential\n  {name}: {value}\n  tasks: []")
    source = source.replace("  x: 1\n", "").replace(
        "tasks: []", "tasks: [{id: u, type: echo, message: m}]"
    )
    (problem,) = problems(source)
    assert problem.path == f"tasks[1].{name}"
    assert "set it on its tasks" in problem.message
