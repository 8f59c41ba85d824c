"""The plan of a flow: each task with its place, its names, its group and its job's text."""

from __future__ import annotations

import msgspec
import pytest

from kestrapy.errors import NotFound
from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.model.flow import Task
from kestrapy.model.registry import Kind
from kestrapy.model.worker_group import WorkerGroupRef
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
    places = [
        (each.task.id, each.parent_id, each.block, each.position, PLAN.worker_group(each.task.id))
        for each in PLAN
    ]
    assert places == [
        ("a", "", "tasks", 0, "pool"),
        ("b", "a", "tasks", 0, "pool"),
        ("c", "a", "tasks", 1, "own"),
        ("d", "a", "errors", 0, "pool"),
        ("e", "", "finally", 0, "pool"),
    ]
    assert (PLAN.parent_id("d"), PLAN.block("d"), PLAN.position("c")) == ("a", "errors", 1)
    assert (PLAN.kind("a"), PLAN.kind("b")) == (Kind.SEQUENTIAL, Kind.RUNNABLE)
    assert list(PLAN.task_ids) == ["a", "b", "c", "d", "e"]


def test_a_flow_without_a_group_runs_in_the_default_one() -> None:
    flow = msgspec.structs.replace(FLOW, worker_group=None)
    assert Plan(flow, REGISTRY).worker_group("b") == "default"


def test_where_a_task_shall_run_and_what_choosing_it_reads() -> None:
    assert PLAN.refs("c") == (WorkerGroupRef("own"), WorkerGroupRef("pool"))
    assert PLAN.refs("b") == (None, WorkerGroupRef("pool"))
    assert PLAN.route_names("c") == ()
    selector = "workerSelector: {tags: [x, '{{ inputs.zone }}']}"
    task = SOURCE.replace("workerGroup: {key: own}", selector)
    flow = task.replace(
        "workerGroup: {key: pool}", "workerGroup: {key: '{{ vars.a ?? labels.b }}'}"
    )
    plan = Plan(parse_flow(flow, REGISTRY), REGISTRY)
    assert plan.route_names("b") == (("labels", "b"), ("vars", "a"))
    assert plan.route_names("c") == (("inputs", "zone"), ("labels", "b"), ("vars", "a"))
    assert plan.names("c") == (), "a job carries only what its own properties read"


def test_names_and_texts() -> None:
    assert PLAN.names("b") == (("inputs", "x"), ("inputs", "y"), ("outputs", "a"))
    assert PLAN.names("a") == ()
    assert PLAN.output_names == (("outputs", "b", "value"),)
    assert PLAN.variables_text == '{"a":1}'


def test_a_job_text_holds_the_task() -> None:
    assert msgspec.json.decode(PLAN.job_text("b"), type=Task) == PLAN.task("b")
    assert msgspec.json.decode(PLAN.job_text("a"), type=Task) == FLOW.tasks[0]


def test_an_unknown_task() -> None:
    with pytest.raises(NotFound, match=r"the flow n\.f revision 0 has no task `x`"):
        PLAN.task("x")
