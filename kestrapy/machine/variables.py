"""The variables of a task's expressions: just those that they name, so that a job stays small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kestrapy.language.expression import select
from kestrapy.language.plan import Plan
from kestrapy.machine.entities import Execution, LastRun, TaskRun, last_run_key
from kestrapy.machine.turn import Turn
from kestrapy.model.flow import TENANT
from kestrapy.model.instants import iso_date

Path = tuple[str, ...]


def variables_of(
    turn: Turn, execution: Execution, plan: Plan, names: Iterable[Path], run: TaskRun | None
) -> dict[str, Any]:
    """What the paths in names hold, for an expression of the execution or of one task run."""
    document: dict[str, Any] = {}
    paths = tuple(names)
    for root in dict.fromkeys(path[0] for path in paths if path):
        value = _root(turn, execution, plan, run, root, paths)
        if value is not None:
            document[root] = value
    return select(document, paths)


def _root(
    turn: Turn,
    execution: Execution,
    plan: Plan,
    run: TaskRun | None,
    root: str,
    paths: tuple[Path, ...],
) -> Any:
    match root:
        case "flow":
            return {
                "id": execution.flow_id,
                "namespace": execution.namespace,
                "revision": execution.revision,
                "tenantId": TENANT,
            }
        case "execution":
            return {
                "id": execution.id,
                "startDate": iso_date(execution.history.start),
                "state": str(execution.history.current),
            }
        case "outputs":
            return _outputs(turn, execution, plan, paths)
        case "vars":
            return plan.flow.variables
        case "inputs" | "labels" | "trigger":
            return _content(turn, execution, root)
        case "task" | "taskrun" if run is not None:
            return _run(plan, run, root)
    return None


def _content(turn: Turn, execution: Execution, root: str) -> Any:
    content = turn.content(execution.id)
    if root == "inputs":
        return msgspec.json.decode(content.inputs)
    if root == "labels":
        return content.labels
    return msgspec.json.decode(content.trigger.variables) if content.trigger else None


def _run(plan: Plan, run: TaskRun, root: str) -> dict[str, Any]:
    if root == "task":
        return {"id": run.task_id, "type": plan.task(run.task_id).type}
    return {
        "id": run.id,
        "startDate": iso_date(run.history.start),
        "attemptsCount": run.failures,
        "parentId": None if run.parent < 0 else f"{run.execution_id}-{run.parent}",
        "value": None,
        "iteration": None,
    }


def _outputs(
    turn: Turn, execution: Execution, plan: Plan, paths: tuple[Path, ...]
) -> dict[str, Any]:
    """Of the tasks that are named; of all tasks only where an expression names ``outputs`` as a
    whole.
    """
    if any(path == ("outputs",) for path in paths):
        wanted: Iterable[str] = plan.task_ids
    else:
        wanted = dict.fromkeys(path[1] for path in paths if path[0] == "outputs")
    found: dict[str, Any] = {}
    for task_id in wanted:
        last = turn.get(last_run_key(execution.id, task_id), LastRun)
        if last is not None:
            found[task_id] = msgspec.json.decode(turn.run(execution.id, last.ordinal).outputs)
    return found
