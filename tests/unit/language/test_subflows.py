"""Tasks that run other flows: what a flow may say of them, and the steps of a ForEachItem."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kestrapy.errors import FlowRefused
from kestrapy.language.flow import parse_flow
from kestrapy.language.schema import flow_schema
from kestrapy.model.flow import Flow, Task
from kestrapy.plugins.registry import REGISTRY

CALLED = {"namespace": "other", "flowId": "called"}
SUBFLOW = {"id": "call", "type": "io.kestra.plugin.core.flow.Subflow", **CALLED}
ITEMS = {
    "id": "each",
    "type": "io.kestra.plugin.core.flow.ForEachItem",
    "items": "{{ inputs.file }}",
    **CALLED,
}


def parsed(*tasks: dict[str, Any]) -> Flow:
    document = {"id": "f", "namespace": "n", "tasks": list(tasks)}
    return parse_flow(yaml.safe_dump(document, sort_keys=False), REGISTRY)


def problems(*tasks: dict[str, Any]) -> list[str]:
    with pytest.raises(FlowRefused) as caught:
        parsed(*tasks)
    return [f"{it.path}: {it.message}" for it in caught.value.problems]


def shown(task: Task) -> tuple[str, str, dict[str, Any]]:
    return task.id, task.type.rpartition(".")[2], task.properties


def test_a_for_each_item_is_made_of_three_steps() -> None:
    given = {"batch": {"rows": 3}, "inputs": {"i": "{{ taskrun.items }}"}, "wait": False}
    group = {"logLevel": "WARN", "workerGroup": {"key": "big"}}
    task = parsed({**ITEMS, **given, **group}).tasks[0]
    split, items, merge = task.tasks
    assert shown(split) == (
        "each_split",
        "ForEachItem$ForEachItemSplit",
        {"items": "{{ inputs.file }}", "batch": {"rows": 3}},
    )
    assert shown(items) == (
        "each_items",
        "ForEachItem$ForEachItemExecutable",
        {**CALLED, "inputs": given["inputs"], "wait": False},
    )
    assert shown(merge) == ("each_merge", "ForEachItem$ForEachItemMergeOutputs", {})
    for step in (split, merge):
        assert step.log_level == "WARN"
        assert step.worker_group is not None and step.worker_group.key == "big"


@pytest.mark.parametrize("task", [SUBFLOW, ITEMS])
def test_a_flow_that_calls_itself_is_refused(task: dict[str, Any]) -> None:
    own = {**task, "namespace": "n", "flowId": "f"}
    nested = {"id": "s", "type": "sequential", "tasks": [own]}
    for tasks, place in ((own, "tasks[0].flowId"), (nested, "tasks[0].tasks[0].flowId")):
        assert problems(tasks) == [f"{place}: Invalid Flow: Recursive call to flow [n.f]"]
    parsed({**task, "namespace": "n"})
    parsed({**task, "flowId": "f"})


def test_ids_of_steps_can_not_be_taken() -> None:
    other = {"id": "each_items", "type": "return"}
    (problem,) = problems(ITEMS, other)
    assert problem.startswith("tasks[0].id: its steps are called each_items")
    parsed({**SUBFLOW, "id": "each"}, other)


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ({"id": "s", "type": "subflow", "flowId": "f"}, "`namespace` is required"),
        ({**SUBFLOW, "item": 1}, "unknown property `item`"),
        ({**SUBFLOW, "labels": "k=v"}, "labels: expected a map, or a list of maps"),
        ({**SUBFLOW, "onWorkerLost": "FAIL"}, "`onWorkerLost` has no effect here"),
        ({**ITEMS, "labels": {"k": "{{ kv('x') }}"}}, "reads what only a worker can"),
        ({**SUBFLOW, "outputs": {"k": "{{ kv('x') }}"}}, "reads what only a worker can"),
        ({**SUBFLOW, "restartBehavior": "RETRY"}, "RETRY_FAILED"),
        ({**ITEMS, "tasks": []}, "unknown property `tasks`"),
        ({**ITEMS, "scheduleDate": "soon"}, "'soon' is no instant"),
        (
            {"id": "s", "type": "io.kestra.plugin.core.flow.ForEachItem$ForEachItemSplit"},
            "Invalid type",
        ),
        ({"id": "t", "type": "template", "namespace": "n"}, "`templateId` is required"),
    ],
)
def test_what_is_refused(task: dict[str, Any], problem: str) -> None:
    assert any(problem in it for it in problems(task)), problems(task)


def test_what_a_worker_renders_may_read_the_world() -> None:
    parsed({**ITEMS, "items": "{{ kv('file') }}", "batch": {"rows": "{{ kv('rows') }}"}})


def test_editors_are_not_offered_the_steps() -> None:
    assert "ForEachItem$" not in str(flow_schema(REGISTRY))
