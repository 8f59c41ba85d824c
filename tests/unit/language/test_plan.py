"""The plan of a flow: each task with its place, its names and its job's text."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from kestrapy.errors import NotFound
from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.model.flow import Task
from kestrapy.model.registry import Kind
from tests.unit.language.types_for_tests import REGISTRY

SOURCE = """\
id: f
namespace: n
workerGroup: {key: pool}
variables: {a: 1}
outputs: [{id: o, type: STRING, value: "{{ outputs.b.value }}"}]
tasks:
  - id: a
    type: sequential
    tasks:
      - {id: b, type: echo, message: ["{{ inputs.x }}", "{{ outputs.a[inputs.y] }}"]}
      - {id: c, type: echo, message: m, workerGroup: {key: own}}
    errors: [{id: d, type: echo, message: m}]
finally: [{id: e, type: echo, message: m}]
"""
FLOW = parse_flow(SOURCE, REGISTRY)
PLAN = Plan(FLOW, REGISTRY)


def test_places() -> None:
    places = [(each.task.id, each.parent_id, each.block, each.position) for each in PLAN]
    assert places == [
        ("a", "", "tasks", 0),
        ("b", "a", "tasks", 0),
        ("c", "a", "tasks", 1),
        ("d", "a", "errors", 0),
        ("e", "", "finally", 0),
    ]
    assert (PLAN.parent_id("d"), PLAN.block("d"), PLAN.position("c")) == ("a", "errors", 1)
    assert (PLAN.kind("a"), PLAN.kind("b")) == (Kind.SEQUENTIAL, Kind.RUNNABLE)
    assert list(PLAN.task_ids) == ["a", "b", "c", "d", "e"]


def test_names_and_texts() -> None:
    assert PLAN.reads("b").names == (("inputs", "x"), ("inputs", "y"), ("outputs", "a"))
    assert PLAN.reads("a").names == ()
    assert PLAN.output_reads.names == (("outputs", "b", "value"),)
    assert PLAN.variables_text == '{"a":1}'


def test_a_job_text_holds_the_task() -> None:
    assert msgspec.json.decode(PLAN.job_text("b"), type=Task) == PLAN.task("b")


def test_an_unknown_task() -> None:
    with pytest.raises(NotFound, match=r"the flow n\.f revision 0 has no task `x`"):
        PLAN.task("x")


def test_names_that_a_type_reads_by_itself() -> None:
    reads = (("taskrun", "value"), ("inputs", "x"))
    tasks = {name: replace(it, reads=reads) for name, it in REGISTRY.tasks.items()}
    plan = Plan(FLOW, replace(REGISTRY, tasks=tasks))
    assert plan.reads("c").names == (("inputs", "x"), ("taskrun", "value"))
    assert plan.reads("b").names == (
        ("inputs", "x"),
        ("inputs", "y"),
        ("outputs", "a"),
        ("taskrun", "value"),
    )
