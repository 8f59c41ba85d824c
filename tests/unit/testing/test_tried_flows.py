"""Flows as people write them, one property after the other. What becomes of each is as it
was when someone compared it with what Kestra does. ``tried_flows.yaml`` has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kestrapy.testing import FlowTest, ObservedExecution

TRIED = Path(__file__).with_name("tried_flows.yaml")
CASES: list[dict[str, Any]] = [it for it in yaml.safe_load_all(TRIED.read_text()) if it]
ID = re.compile(r"\b00[0-9a-v]{20}\b")
LEVELS = ("INFO", "WARN", "ERROR")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_it_comes_out_as_it_did(case: dict[str, Any]) -> None:
    wanted = {key: value for key, value in case.items() if key in TOLD}
    assert {"states", "runs"} <= wanted.keys()
    assert told(case, wanted) == wanted


def told(case: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What became of a case, for as much of it as is wanted."""
    flows = (f"id: tried\n{case['flow']}", *case.get("others", ()))
    with FlowTest(*(f"namespace: tried\n{it}" for it in flows)) as test:
        execution = test.run(inputs=case.get("inputs"), labels=case.get("labels"))
        found = {key: TOLD[key](execution) for key in wanted if key != "others_end"}
        if "others_end" in wanted:
            ends = [f"{it.flow_id} {it.state}" for it in test.executions if it is not execution]
            found["others_end"] = sorted(ends)
    return found


def states(execution: ObservedExecution) -> str:
    error = f": {ID.sub('<id>', execution.error)}" if execution.error else ""
    return " ".join(map(str, execution.states)) + error


def runs(execution: ObservedExecution) -> str:
    """A line for each task run, in the order in which it was created, deeper than its parent's."""
    depths: dict[str, int] = {}
    lines = []
    for run in execution.task_runs:
        depths[run.id] = depth = depths.get(run.parent_id, -1) + 1
        value = "" if run.value is None else f"[{run.value}]"
        tries = f" x{len(run.attempts)}" if len(run.attempts) > 1 else ""
        error = f": {ID.sub('<id>', run.error)}" if run.error else ""
        lines.append(f"{'  ' * depth}{run.task_id}{value} {run.state}{tries}{error}\n")
    return "".join(lines)


def logs(execution: ObservedExecution) -> str:
    """What tasks said, but for their own errors, which ``runs`` has."""
    return "".join(_lines(execution))


def _lines(execution: ObservedExecution) -> Iterator[str]:
    errors = {run.error for run in execution.task_runs} | {execution.error}
    for line in execution.logs:
        if line.level in LEVELS and line.message not in errors:
            yield f"{line.task_id} {json.dumps(line.message, ensure_ascii=False)}\n"


def own_labels(execution: ObservedExecution) -> dict[str, str]:
    return {key: it for key, it in execution.labels.items() if not key.startswith("system.")}


TOLD: dict[str, Any] = {
    "states": states,
    "runs": runs,
    "logs": logs,
    "outputs": lambda execution: execution.outputs,
    "end_labels": own_labels,
    "variables": lambda execution: execution.variables,
    "others_end": None,
}
