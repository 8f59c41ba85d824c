"""What a flow may say of worker groups, and how it is held against what is declared."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.model.flow import Flow
from kestrapy.model.worker_group import Fallback, GroupSettings, WorkerGroupRef
from tests.unit.language.types_for_tests import REGISTRY

GROUPS = {
    it.key: it
    for it in (
        GroupSettings("gpu", tags=("gpu", "eu"), lanes={"urgent": 5}),
        GroupSettings("spare", tags=("eu",)),
        GroupSettings("closed", tags=("vault",), namespaces=("bank", "compan")),
    )
}
TASK = """\
id: f
namespace: company.team
{flow}
tasks:
- id: t
  type: echo
  message: m
  {task}
"""


def parse(task: str, flow: str = "", groups: Any = None) -> Flow:
    return parse_flow(TASK.format(task=task, flow=flow), REGISTRY, groups=groups)


def problems(task: str, flow: str = "", groups: Any = None) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        parse(task, flow, groups)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("workerGroup: {key: gpu}", WorkerGroupRef("gpu")),
        ("workerGroup: {key: ' gpu '}", WorkerGroupRef("gpu")),
        ("workerGroup: {key: '{{ inputs.g }}'}", WorkerGroupRef("{{ inputs.g }}")),
        ("workerGroup: {key: }", None),
        ("workerGroup: {key: ''}", None),
        ("workerGroup: {}", None),
        ("workerGroup: ", None),
        ("workerSelector: ", None),
        ("workerGroup: {lane: urgent}", WorkerGroupRef(lane="urgent")),
        (
            "workerGroup: {key: gpu, fallback: CANCEL, fallbackAfter: PT5S, lane: urgent}",
            WorkerGroupRef("gpu", lane="urgent", fallback=Fallback("CANCEL"), fallback_after=5_000),
        ),
        ("workerGroup: {fallback: WAIT}", WorkerGroupRef(fallback=Fallback("WAIT"))),
        (
            "workerGroup: {key: gpu, fallback: {group: spare}}",
            WorkerGroupRef("gpu", fallback=Fallback("GROUP", "spare")),
        ),
        ("workerSelector: {tags: [gpu, eu, gpu]}", WorkerGroupRef(tags=("gpu", "eu"))),
        (
            "workerSelector: {tags: ['{{ vars.t }}', 7], match: ANY, fallback: FAIL, lane: x}",
            WorkerGroupRef(
                tags=("{{ vars.t }}", "7"), match="ANY", fallback=Fallback("FAIL"), lane="x"
            ),
        ),
    ],
)
def test_what_is_read(text: str, ref: WorkerGroupRef | None) -> None:
    assert parse(text).tasks[0].worker_group == ref
    assert parse("", text).worker_group == ref


def test_what_becomes_of_a_lost_worker_s_task() -> None:
    assert parse("onWorkerLost: FAIL").tasks[0].on_worker_lost == "FAIL"
    assert parse("onWorkerLost: RESUBMIT").tasks[0].on_worker_lost == "RESUBMIT"
    assert parse("").tasks[0].on_worker_lost == ""


ROOTS = "execution flow inputs labels outputs task taskrun trigger vars".split()


@pytest.mark.parametrize("root", ROOTS)
def test_a_key_may_read_what_the_fold_knows(root: str) -> None:
    key = f"{{{{ {root}.x ?? 'gpu' }}}}"
    assert parse(f'workerGroup: {{key: "{key}"}}', groups=GROUPS).tasks[0].worker_group == (
        WorkerGroupRef(key)
    )


MANY = ", ".join(f"t{number}" for number in range(21))


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("workerGroup: {key: a b}", "workerGroup.key", "'a b' must match"),
        ("workerGroup: {key: '{{ a'}", "workerGroup.key", "not closed"),
        (
            "workerGroup: {key: '{{ input.g }}'}",
            "workerGroup.key",
            "can't be chosen by `input`; did you mean `inputs`? (there are: execution, flow,",
        ),
        ("workerGroup: {key: '{{ envs.g }}'}", "workerGroup.key", "can't be chosen by `envs`"),
        ("workerGroup: {kye: gpu}", "workerGroup.kye", "did you mean `key`?"),
        ("workerGroup: {key: gpu, tags: [a]}", "workerGroup.tags", "unknown property `tags`"),
        ("workerGroup: gpu", "workerGroup", "expected a map, got 'gpu'"),
        ("workerGroup: {fallback: SOON}", "workerGroup.fallback", "'SOON' is unknown: expected WA"),
        ("workerGroup: {fallback: [FAIL]}", "workerGroup.fallback", "is unknown: expected WAIT,"),
        (
            "workerSelector: {tags: [a], fallback: IGNORE}",
            "workerSelector.fallback",
            "IGNORE is no",
        ),
        ("workerGroup: {fallback: {}}", "workerGroup.fallback", "`group` is required"),
        (
            "workerGroup: {fallback: {group: '{{ a }}'}}",
            "workerGroup.fallback.group",
            "must be the key of a worker group",
        ),
        (
            "workerGroup: {fallback: {group: a, after: 1}}",
            "workerGroup.fallback.after",
            "unknown property `after`",
        ),
        ("workerGroup: {fallbackAfter: soon}", "workerGroup.fallbackAfter", "no duration"),
        ("workerGroup: {lane: '{{ a }}'}", "workerGroup.lane", "must match"),
        ("workerSelector: {match: ANY}", "workerSelector", "`tags` must name a tag"),
        ("workerSelector: {tags: gpu}", "workerSelector.tags", "expected a list"),
        ("workerSelector: {tags: [a, ' ']}", "workerSelector.tags[1]", "not blank, got ' '"),
        ("workerSelector: {tags: [a, {b: c}]}", "workerSelector.tags[1]", "not blank, got {'b'"),
        ("workerSelector: {tags: ['{{ b.c }}']}", "workerSelector.tags[0]", "be chosen by `b`"),
        (f"workerSelector: {{tags: [{MANY}]}}", "workerSelector.tags", "21 tags are too many"),
        ("workerSelector: {tags: [a], match: SOME}", "workerSelector.match", "one of ALL, ANY"),
        ("workerSelector: {tags: [a], key: b}", "workerSelector.key", "unknown property `key`"),
    ],
)
def test_what_is_refused_on_task_and_flow(text: str, path: str, message: str) -> None:
    (problem,) = problems(text)
    assert (problem.path, problem.line) == (f"tasks[0].{path}", 8)
    assert message in problem.message
    (problem,) = problems("", text)
    assert (problem.path, problem.line) == (path, 3)


def test_key_and_tags_at_once() -> None:
    (problem,) = problems("workerGroup: {key: gpu}\n  workerSelector: {tags: [gpu]}")
    assert (problem.path, problem.line, problem.column) == ("tasks[0].workerSelector", 9, 3)
    assert "keep one of them" in problem.message


def test_an_unknown_word_on_lost_workers() -> None:
    (problem,) = problems("onWorkerLost: WAIT")
    assert (problem.path, problem.line) == ("tasks[0].onWorkerLost", 8)
    assert "expected one of RESUBMIT, FAIL" in problem.message


@pytest.mark.parametrize("name", ["workerGroup: {key: gpu}", "workerSelector: {tags: [gpu]}"])
def test_a_schedule_has_no_worker(name: str) -> None:
    (problem,) = problems("", f"triggers: [{{id: s, type: cron, cron: x, {name}}}]")
    assert problem.path.startswith("triggers[0].worker")
    assert "no worker evaluates it" in problem.message


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            "workerGroup: {key: gpa}",
            "workerGroup.key",
            "unknown worker group `gpa`; did you mean `gpu`? (declared: closed, default, gpu,"
            " spare); to declare it, run `kestrapy worker-group create gpa` or add it to `worker",
        ),
        ("workerGroup: {key: gpu, lane: urgnet}", "workerGroup.lane", "did you mean `urgent`?"),
        ("workerGroup: {key: default, lane: x}", "workerGroup.lane", "(it has: default)"),
        (
            "workerGroup: {key: closed}",
            "workerGroup.key",
            "`closed` is not for the namespace `company.team` (it is for: bank, compan)",
        ),
        (
            "workerGroup: {key: gpu, fallback: {group: spar}}",
            "workerGroup.fallback.group",
            "unknown worker group `spar`; did you mean `spare`?",
        ),
        (
            "workerGroup: {key: '{{ inputs.g }}', fallback: {group: no}}",
            "workerGroup.fallback.group",
            "unknown worker group `no`",
        ),
        (
            "workerGroup: {key: gpu, fallback: {group: gpu}}",
            "workerGroup.fallback.group",
            "the fallback of `gpu` is `gpu` itself",
        ),
        (
            "workerGroup: {key: gpu, fallback: {group: closed}}",
            "workerGroup.fallback.group",
            "is not for the namespace",
        ),
        (
            "workerSelector: {tags: [gpu, us]}",
            "workerSelector.tags",
            "has all of the tags [gpu, us] (tags of declared groups: eu, gpu, vault)",
        ),
        (
            "workerSelector: {tags: [gpv], match: ANY}",
            "workerSelector.tags",
            "has any of the tags [gpv]; did you mean `gpu`?",
        ),
        ("workerSelector: {tags: [vault]}", "workerSelector.tags", "is not for the namespace"),
        ("workerSelector: {tags: [eu], lane: x}", "workerSelector.tags", "has no lane 'x'"),
    ],
)
def test_what_is_declared_decides(text: str, path: str, message: str) -> None:
    (problem,) = problems(text, groups=GROUPS)
    assert (problem.path, problem.line) == (f"tasks[0].{path}", 8)
    assert message in problem.message
    (problem,) = problems("", text, groups=GROUPS)
    assert (problem.path, problem.line) == (path, 3)
    assert parse(text), "without declarations there is nothing to hold it against"


@pytest.mark.parametrize(
    "text",
    [
        "workerGroup: {key: gpu, lane: urgent, fallback: {group: spare}}",
        "workerGroup: {key: default, lane: default}",
        "workerGroup: {key: '{{ inputs.g }}', lane: anything}",
        "workerSelector: {tags: [gpu, eu]}",
        "workerSelector: {tags: [eu], lane: urgent}",
        "workerSelector: {tags: [us, eu], match: ANY}",
        "workerSelector: {tags: [us, '{{ inputs.t }}']}",
    ],
)
def test_what_fits_the_declarations(text: str) -> None:
    assert parse(text, groups=GROUPS).tasks[0].worker_group
    assert parse("", text, groups=GROUPS).worker_group


def test_a_task_s_lane_is_held_against_its_flow_s_group() -> None:
    lane = "workerGroup: {lane: urgent}"
    assert parse(lane, "workerGroup: {key: gpu}", GROUPS)
    (problem,) = problems(lane, "workerGroup: {key: spare}", GROUPS)
    assert problem.path == "tasks[0].workerGroup.lane"
    (problem,) = problems(
        "workerGroup: {fallback: {group: spare}}", "workerGroup: {key: spare}", GROUPS
    )
    assert problem.path == "tasks[0].workerGroup.fallback.group"
