"""Tasks that may be written in a flow, and that no worker runs yet. (Triggers: test_triggers.)"""

from __future__ import annotations

import pytest

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.language.runnable import require_runnable
from tests.unit.language.types_for_tests import REGISTRY

HEAD = "id: f\nnamespace: n\n"


def refused(source: str) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        require_runnable(parse_flow(HEAD + source, REGISTRY), REGISTRY)
    return caught.value.problems


def test_a_task_that_no_worker_runs_is_refused_wherever_it_is() -> None:
    task = "{id: x, type: later}"
    within = (
        f"{{id: s, type: sequential, tasks: [{{id: a, type: echo, message: m}}], errors: [{task}]}}"
    )
    for source in (f"tasks: [{task}]", f"tasks: [{within}]"):
        (problem,) = refused(source)
        assert (problem.path, problem.line) == ("tasks", 3)
        assert problem.message == (
            "no worker runs a Later task yet (here `x`): take it out, or disable the task by"
            " `disabled: true`"
        )


def test_a_disabled_one_may_stay() -> None:
    flow = parse_flow(f"{HEAD}tasks: [{{id: x, type: later, disabled: true}}]", REGISTRY)
    require_runnable(flow, REGISTRY)
