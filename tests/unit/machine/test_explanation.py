"""What is said of a flow's tasks before any of them runs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kestrapy.language.flow import parse_flow
from kestrapy.language.plan import Plan
from kestrapy.machine.explanation import KnownGroup, Placement, explain
from kestrapy.model.worker_group import Fallback, GroupSettings, WorkerGroupRef
from kestrapy.plugins.registry import REGISTRY

SOURCE = """\
id: f
namespace: company.team
labels: {{env: prod}}
variables: {{pool: gpu}}
inputs:
- {{id: g, type: STRING, defaults: gpu}}
- {{id: must, type: STRING}}
- {{id: may, type: STRING, required: false}}
tasks:
- id: s
  type: sequential
  tasks:
  - {{id: t, type: log, message: m, {where}}}
"""
GROUPS = {
    "gpu": KnownGroup(GroupSettings("gpu", tags=("x",), lanes={"fast": 2}), 1, 4, 2),
    "idle": KnownGroup(GroupSettings("idle", tags=("x",)), 1, 4, 0),
}


def placed(
    where: str, known: bool = True, defaults: Mapping[str, WorkerGroupRef] = {}
) -> Placement:
    plan = Plan(parse_flow(SOURCE.format(where=where), REGISTRY), REGISTRY)
    (found,) = explain(plan, GROUPS if known else None, defaults.get)
    assert found.task.id == "t", "a flowable task goes nowhere"
    return found


def test_a_certain_place() -> None:
    found = placed("workerGroup: {key: gpu, lane: fast, fallback: FAIL}")
    assert found.is_certain
    assert found.route is not None
    assert (found.route.group, found.route.lane, found.route.fallback) == (
        "gpu",
        "fast",
        Fallback("FAIL"),
    )
    idle = placed("workerSelector: {tags: [x]}")
    assert idle.route is not None
    assert idle.route.reason.endswith("match gpu, idle; idle has fewer waiting per slot")
    by_default = placed("description: d", defaults={"company": WorkerGroupRef("gpu")})
    assert by_default.route is not None
    assert by_default.route.reason == "namespace company's default"


@pytest.mark.parametrize(
    ("key", "group"),
    [
        ("{{ inputs.g }}", "gpu"),
        ("{{ vars.pool }}", "gpu"),
        ("{{ labels.env == 'prod' ? 'gpu' : 'idle' }}", "gpu"),
        ("{{ task.id == 't' ? 'gpu' : 'idle' }}", "gpu"),
        ("{{ inputs.may }}", "default"),
    ],
)
def test_a_template_is_shown_with_what_it_gives_now(key: str, group: str) -> None:
    for known in (True, False):
        found = placed(f'workerGroup: {{key: "{key}"}}', known)
        assert found.templates == (key,)
        assert not found.is_certain
        assert found.route is not None
        assert found.route.group == group


@pytest.mark.parametrize(
    "key",
    [
        "{{ inputs.must }}",
        "{{ inputs.must ?? 'gpu' }}",
        "{{ outputs.a.value ?? 'gpu' }}",
        "{{ execution.id }}",
        "{{ taskrun.id ?? 'gpu' }}",
        "{{ trigger.date ?? 'gpu' }}",
    ],
)
def test_what_is_not_there_yet_is_not_taken_for_missing(key: str) -> None:
    for known in (True, False):
        found = placed(f'workerGroup: {{key: "{key}"}}', known)
        assert (found.templates, found.route) == ((key,), None)
        assert "is known at run time only" in found.problem


def test_what_can_not_be_routed() -> None:
    found = placed("description: d", defaults={"": WorkerGroupRef("gone")})
    assert found.is_certain
    assert found.route is None
    assert found.problem.startswith("the tenant's default: unknown worker group `gone`")


def test_without_declarations_each_named_group_counts_as_declared() -> None:
    found = placed("workerGroup: {key: any, lane: some}", known=False)
    assert found.route is not None
    assert (found.route.group, found.route.lane) == ("any", "some")
    lane = placed("workerGroup: {lane: some}", known=False)
    assert lane.route is not None
    assert (lane.route.group, lane.route.lane) == ("default", "some")
    tags = placed("workerSelector: {tags: [a, b], match: ANY}", known=False)
    assert tags.route is None
    assert tags.problem == "a declared group that has ANY of the tags [a, b]"


def test_tasks_that_run_other_flows_say_which() -> None:
    source = """\
id: f
namespace: n
tasks:
- {id: call, type: subflow, namespace: other, flowId: called, wait: false}
- {id: each, type: forEachItem, items: "{{ inputs.x }}", namespace: other, flowId: "{{ vars.f }}"}
"""
    found = explain(Plan(parse_flow(source, REGISTRY), REGISTRY), GROUPS, {}.get)
    assert [(it.task.id, it.runs_flow) for it in found] == [
        ("call", "other.called"),
        ("each_split", ""),
        ("each_items", "other.{{ vars.f }}"),
        ("each_merge", ""),
    ]
    assert [it.route is not None for it in found] == [False, True, False, True]
