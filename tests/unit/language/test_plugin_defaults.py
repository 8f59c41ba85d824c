"""pluginDefaults: whose value stands, where a wrong one is shown, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.language.yaml_source import NODE_LIMIT
from kestrapy.model.flow import Flow
from kestrapy.model.worker_group import GroupSettings, WorkerGroupRef
from kestrapy.plugins.registry import REGISTRY as REAL_REGISTRY
from tests.unit.language.types_for_tests import REGISTRY

FLOWS = Path(__file__).parents[4] / "shared" / "flows"


def parse(defaults: str, task: str = "message: m", rest: str = "", groups: Any = None) -> Flow:
    source = f"""\
id: f
namespace: n
pluginDefaults:
{defaults}
tasks:
- id: s
  type: sequential
  tasks:
  - {{id: t, type: echo, {task}}}
{rest}
"""
    return parse_flow(source, REGISTRY, groups=groups)


def echo(defaults: str, task: str = "message: m") -> dict[str, Any]:
    return parse(defaults, task).tasks[0].tasks[0].properties


def problems(*given: Any, **named: Any) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        parse(*given, **named)
    return caught.value.problems


@pytest.mark.parametrize(
    ("defaults", "task", "expected"),
    [
        ("- {type: acme.core.Echo, values: {count: 2}}", "message: m", {"count": 2}),
        ("- {type: echo, values: {count: 2}}", "message: m", {"count": 2}),
        ("- {type: acme.core, values: {count: 2}}", "message: m", {"count": 2}),
        ("- {type: echo, values: {message: d}}", "count: 3", {"message": "d", "count": 3}),
        ("- {type: echo, values: {count: 2}}", "message: m, count: 3", {"count": 3}),
        ("- {type: echo, values: {count: 2}, forced: true}", "message: m, count: 3", {"count": 2}),
        # The most exact wins, then the first; forced or not.
        (
            "- {type: acme.c, values: {count: 1}}\n- {type: acme.core, values: {count: 2}}",
            "message: m",
            {"count": 2},
        ),
        (
            "- {type: acme.core.E, values: {count: 1}}\n- {type: echo, values: {count: 2}}",
            "message: m",
            {"count": 2},
        ),
        (
            "- {type: echo, values: {count: 1}}\n- {type: echo, values: {count: 2, level: WARN}}",
            "message: m",
            {"count": 1, "level": "WARN"},
        ),
        (
            "- {type: acme.core, values: {count: 1}, forced: true}\n"
            "- {type: acme.core.Echo, values: {count: 2}, forced: true}",
            "message: m",
            {"count": 2},
        ),
        (
            "- {type: echo, values: {count: 1}, forced: true}\n"
            "- {type: echo, values: {count: 2}, forced: true}",
            "message: m",
            {"count": 1},
        ),
        (
            "- {type: acme.core, values: {count: 1}, forced: true}\n"
            "- {type: acme.core.Echo, values: {count: 2}}",
            "message: m",
            {"count": 1},
        ),
        # Maps by key, lists as a whole.
        (
            "- {type: echo, values: {options: {depth: 1, note: d}, numbers: [1, 2]}}",
            "message: m, options: {depth: 5}, numbers: [3]",
            {"options": {"depth": 5, "note": "d"}, "numbers": [3]},
        ),
        (
            "- {type: echo, values: {options: {depth: 1, note: d}}, forced: true}",
            "message: m, options: {depth: 5, verbose: true}",
            {"options": {"depth": 1, "note": "d", "verbose": True}},
        ),
    ],
)
def test_whose_value_stands(defaults: str, task: str, expected: dict[str, Any]) -> None:
    found = echo(defaults, task)
    assert {name: found[name] for name in expected} == expected


def test_core_properties_triggers_and_every_block_take_part() -> None:
    flow = parse(
        "- {type: echo, values: {timeout: PT5S, onWorkerLost: FAIL}}\n"
        "- {type: cron, values: {cron: '1 * * * *', disabled: true}}",
        rest="errors: [{id: e, type: acme.core.Echo, message: m}]\n"
        "finally: [{id: l, type: echo, message: m, timeout: PT1S}]\n"
        "triggers: [{id: c, type: cron}]",
    )
    inner = flow.tasks[0].tasks[0]
    assert (inner.timeout, inner.on_worker_lost) == (5_000, "FAIL")
    assert (flow.errors[0].timeout, flow.finally_[0].timeout) == (5_000, 1_000)
    assert flow.triggers[0].disabled
    assert flow.triggers[0].properties == {"cron": "1 * * * *"}


def test_a_worker_group_by_plug_in_reaches_all_that_a_worker_runs() -> None:
    flow = parse(
        "- {type: acme, values: {workerGroup: {key: gpu, lane: x}}}",
        rest="triggers: [{id: c, type: cron, cron: x}]",
    )
    assert flow.tasks[0].worker_group is None
    assert flow.tasks[0].tasks[0].worker_group == WorkerGroupRef("gpu", lane="x")
    own = parse(
        "- {type: acme, values: {workerGroup: {key: gpu, lane: x}}}",
        "message: m, workerGroup: {key: cpu}",
    )
    assert own.tasks[0].tasks[0].worker_group == WorkerGroupRef("cpu", lane="x")


def test_key_and_tags_of_two_sides_do_not_meet() -> None:
    selector, group = "workerSelector: {tags: [a]}", "workerGroup: {key: b}"
    for forced, key in (("", "b"), (", forced: true", "")):
        flow = parse(f"- {{type: echo, values: {{{selector}}}{forced}}}", f"message: m, {group}")
        ref = flow.tasks[0].tasks[0].worker_group
        assert ref is not None
        assert ref.key == key


@pytest.mark.parametrize(
    ("defaults", "line", "path", "message"),
    [
        (
            "- type: echo\n  values:\n    count: 1\n    level: LOUD",
            7,
            "pluginDefaults[0].values.level",
            "(taken on by tasks[0].tasks[0].level)",
        ),
        (
            "- type: acme.core\n  values:\n    invalid: 1",
            6,
            "pluginDefaults[0].values.invalid",
            "unknown property `invalid`",
        ),
        (
            "- type: echo\n  values:\n    options:\n      depth: x",
            7,
            "pluginDefaults[0].values.options.depth",
            "a whole number",
        ),
        (
            "- type: acme\n  values:\n    count: 1\n    workerGroup:\n      key: gpa",
            8,
            "pluginDefaults[0].values.workerGroup.key",
            "unknown worker group `gpa`; did you mean `gpu`?",
        ),
        (
            "- {type: sequential, values: {workerGroup: {key: gpu}}}",
            4,
            "pluginDefaults[0].values.workerGroup",
            "set it on its tasks (taken on by tasks[0].workerGroup)",
        ),
        ("- {type: ecko, values: {count: 1}}", 4, "pluginDefaults[0].type", "did you mean `echo`?"),
        ("- {values: {count: 1}}", 4, "pluginDefaults[0]", "`type` is required"),
        ("- {type: echo}", 4, "pluginDefaults[0]", "`values` must have a property"),
        ("- {type: echo, values: [1]}", 4, "pluginDefaults[0].values", "expected a map"),
        ("- {type: echo, values: {id: x, count: 1}}", 4, "pluginDefaults[0].values.id", "own"),
        ("- {type: echo, values: {count: 1}, force: 1}", 4, "pluginDefaults[0].force", "unknown"),
        ("- echo", 4, "pluginDefaults[0]", "expected a map"),
    ],
)
def test_what_is_wrong_is_shown_where_it_is_written(
    defaults: str, line: int, path: str, message: str
) -> None:
    found = problems(defaults, groups={"gpu": GroupSettings("gpu")})
    problem = next(it for it in found if it.path == path)
    assert problem.line == line
    assert message in problem.message


def test_a_task_s_own_mistake_stays_at_its_place() -> None:
    (problem,) = problems("- {type: echo, values: {options: {depth: 1}}}", "message: m, count: x")
    assert (problem.path, problem.line) == ("tasks[0].tasks[0].count", 9)


def test_both_spellings_at_once_are_refused() -> None:
    (problem,) = problems(
        "- {type: echo, values: {count: 1}}",
        rest="taskDefaults: [{type: echo, values: {count: 1}}]",
    )
    assert problem.path == "taskDefaults"


def test_what_they_make_in_all_is_bounded() -> None:
    values = ", ".join(f"k{number}: [1, 2, 3]" for number in range(500))
    tasks = "\n".join(f"- {{id: t{number}, type: echo, message: m}}" for number in range(500))
    source = f"id: f\nnamespace: n\npluginDefaults:\n- {{type: echo, values: {{{values}}}}}\n"
    with pytest.raises(FlowRefused) as caught:
        parse_flow(f"{source}tasks:\n{tasks}\n", REGISTRY)
    assert f"more than {NODE_LIMIT:,} values" in str(caught.value)


@pytest.mark.skipif(not FLOWS.exists(), reason="Kestra's own flows are not here")
def test_kestra_s_own_flows_with_defaults() -> None:
    source = (FLOWS / "valids" / "logs.yaml").read_text()
    flow = parse_flow(source, REAL_REGISTRY)
    assert [task.properties["message"] for task in flow.tasks][:2] == [
        "first {{task.id}}",
        "second {{task.type}}",
    ]
    source = (FLOWS / "tests" / "invalid-task-defaults.yaml").read_text()
    with pytest.raises(FlowRefused) as caught:
        parse_flow(source, REAL_REGISTRY)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("taskDefaults[0].values.invalid", 8)
