"""The lists of children of flowable tasks, with the types that this build has."""

from __future__ import annotations

import pytest

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.model.flow import Task
from kestrapy.plugins.registry import REGISTRY

A, B, C = (f"{{id: {name}, type: log, message: m}}" for name in "abc")


def source(properties: str) -> str:
    return f"id: f\nnamespace: n\ntasks:\n- id: t\n  {properties}\n"


def parsed(properties: str) -> Task:
    return parse_flow(source(properties), REGISTRY).tasks[0]


def problems(properties: str) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        parse_flow(source(properties), REGISTRY)
    return caught.value.problems


def ids(tasks: tuple[Task, ...]) -> list[str]:
    return [it.id for it in tasks]


def test_branches_are_read_by_name() -> None:
    read = parsed(f"type: if\n  condition: x\n  then: [{A}]\n  else: [{B}, {C}]")
    assert {name: ids(tasks) for name, tasks in read.branches.items()} == {
        "then": ["a"],
        "else": ["b", "c"],
    }
    assert read.properties == {"condition": "x"}
    read = parsed(
        f"type: switch\n  value: x\n  cases: {{x: [{A}], defaults: [{B}]}}\n  defaults: [{C}]"
    )
    assert {name: ids(tasks) for name, tasks in read.branches.items()} == {
        "cases.x": ["a"],
        "cases.defaults": ["b"],
        "defaults": ["c"],
    }
    read = parsed(f"type: pause\n  onPause: {A}\n  tasks: [{B}]\n  timeout: PT5S")
    assert ids(read.branches["onPause"]) == ["a"]
    assert (ids(read.tasks), read.timeout) == (["b"], 5_000)


def test_dependencies_are_read_by_task() -> None:
    read = parsed(
        f"type: dag\n  concurrent: 2\n  tasks: [{{task: {A}}}, {{task: {B}, dependsOn: [a]}}]"
    )
    assert ids(read.tasks) == ["a", "b"]
    assert (read.depends_on, read.concurrent) == ({"b": ("a",)}, 2)


def test_a_for_each_goes_one_by_one_unless_it_says_otherwise() -> None:
    assert parsed(f"type: forEach\n  values: [1]\n  tasks: [{A}]").concurrent == 1
    read = parsed(f"type: forEach\n  values: [1]\n  tasks: [{A}]\n  concurrencyLimit: 0")
    assert read.concurrent == 0


def test_old_names_of_types_are_known() -> None:
    name = "io.kestra.plugin.core.flow.LoopUntil"
    for alias in ("io.kestra.plugin.core.flow.WaitFor", "io.kestra.core.tasks.flows.LoopUntil"):
        assert parsed(f"type: {alias}\n  condition: x\n  tasks: [{A}]").type == name


@pytest.mark.parametrize(
    ("properties", "path", "message"),
    [
        (f"type: if\n  then: [{A}]", "tasks[0]", "`condition` is required"),
        ("type: if\n  condition: x", "tasks[0]", "The 'then' property cannot be empty"),
        ("type: switch\n  value: x", "tasks[0]", "No task defined, neither cases or default"),
        ("type: forEach\n  values: [1]", "tasks[0]", "The 'tasks' property cannot be empty"),
        (f"type: forEach\n  tasks: [{A}]", "tasks[0]", "`values` is required"),
        (f"type: forEach\n  values: 5\n  tasks: [{A}]", "tasks[0].values", "got 5"),
        (f"type: dag\n  tasks: [{A}]", "tasks[0].tasks[0]", "`task` is required"),
        (
            f"type: dag\n  tasks: [{{task: {A}, dependsOn: [x]}}]",
            "tasks[0].tasks",
            "`a` depends on `x`, which is no task of this Dag",
        ),
        (
            f"type: dag\n  tasks: [{{task: {A}, dependsOn: [b]}}, {{task: {B}, dependsOn: [a]}},"
            f" {{task: {C}, dependsOn: [b]}}]",
            "tasks[0].tasks",
            "t: Cyclic dependency detected: a, b",
        ),
        ("type: pause\n  behavior: STOP", "tasks[0].behavior", "STOP"),
        ("type: pause\n  onResume: [{id: x, type: STRONG}]", "tasks[0].onResume[0].type", "STRING"),
        ("type: pause\n  pauseDuration: soon", "tasks[0].pauseDuration", "no duration"),
        (f"type: allowFailure\n  tasks: [{A}, {A}]", "tasks[0].tasks[1].id", "Duplicate task id"),
        (
            f"type: if\n  condition: x\n  then: [{A}]\n  otherwise: 1",
            "tasks[0].otherwise",
            "unknown",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(properties: str, path: str, message: str) -> None:
    found = problems(properties)
    assert [it.path for it in found] == [path]
    assert message in found[0].message


def test_a_plan_knows_branches_and_the_values_around_a_task() -> None:
    text = source(
        "type: forEach\n  values: [1]\n"
        f"  tasks: [{{id: i, type: if, condition: x, then: [{A}]}}, {{id: d, type: log, message: m,"
        f" disabled: true}}, {B}]\n  errors: [{C}]"
    )
    plan = Plan(parse_flow(text, REGISTRY), REGISTRY)
    assert [it.task.id for it in plan] == ["t", "i", "a", "d", "b", "c"]
    assert {it.task.id: it.loops for it in plan} == {"t": 0, "i": 1, "a": 1, "d": 1, "b": 1, "c": 0}
    assert (plan.parent_id("a"), plan.block("a")) == ("i", "then")
    assert ids(plan.tasks("t", "tasks")) == ["i", "b"]
    assert plan.place("b") == 1
    assert plan.tasks("i", "else") == ()


def test_a_working_directory_has_tasks_that_workers_run() -> None:
    read = parsed(f"type: workingDirectory\n  tasks: [{A}, {B}]\n  errors: [{C}]\n  timeout: PT5S")
    assert (ids(read.tasks), ids(read.errors), read.timeout) == (["a", "b"], ["c"], 5_000)
    kind = "type: workingDirectory\n  tasks"
    (found,) = problems(f"{kind}: [{A}, {{id: p, type: pause}}]")
    assert found.path == "tasks[0].tasks[1]"
    assert "t: Only runnable tasks are allowed as children of a WorkingDirectory" in found.message
    for own in ("workerGroup: {key: default}", "onWorkerLost: FAIL"):
        (found,) = problems(f"{kind}: [{{id: a, type: log, message: m, {own}}}]")
        assert "`a` runs in the job of `t`" in found.message
    assert len(problems("type: workingDirectory")) == 2
