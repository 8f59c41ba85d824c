"""Outputs of the children of a ForEachItem, from their reports to the file that has them all.

They are kept in parts that a record can carry. A job of the merge carries some of the parts; once
its worker has added these to the file, they are forgotten, and the next job carries the rest. So
neither a record nor a command grows with the number of batches.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kestrapy.machine.entities import ChildOutputs, Scope, TaskRun, outputs_key
from kestrapy.machine.turn import Turn
from kestrapy.model.registry import Kind

PART = 32 * 1024
"""Characters of outputs after which a part takes no more."""
JOB = 300 * 1024
"""Characters of outputs after which a job of the merge takes no further part."""

replace = msgspec.structs.replace


def keep(turn: Turn, run: TaskRun, iteration: int, outputs: str) -> TaskRun:
    """The outputs of one child, JSON. -> the run, which counts the parts; it is not put."""
    scope = run.scope or Scope()
    first, last = scope.parts
    key = outputs_key(run.id, last)
    part = turn.get(key, ChildOutputs) or ChildOutputs()
    if sum(len(text) for _, text in part.outputs) >= PART:
        last, key, part = last + 1, outputs_key(run.id, last + 1), ChildOutputs()
    turn.put(key, ChildOutputs((*part.outputs, (iteration, outputs))))
    return replace(run, scope=replace(scope, parts=(first, last)))


def variable(turn: Turn, run: TaskRun) -> dict[str, Any] | None:
    """What the next job of the merge adds, and the file so far; None for any other run."""
    batches = _batches_of(turn, run)
    if batches is None:
        return None
    found: list[tuple[int, Any]] = []
    for part in _next_parts(turn, batches):
        kept = turn.need(outputs_key(batches.id, part), ChildOutputs)
        found += ((iteration, msgspec.json.decode(text)) for iteration, text in kept.outputs)
    so_far = msgspec.json.decode(run.outputs, type=dict[str, Any]).get("subflowOutputs")
    return {"uri": so_far, "outputs": found}


def added(turn: Turn, run: TaskRun) -> bool:
    """A job of the merge has done its work. -> whether there is more to add."""
    batches = _batches_of(turn, run)
    if batches is None:
        return False
    for part in _next_parts(turn, batches):
        turn.drop(outputs_key(batches.id, part))
        scope = batches.scope or Scope()
        batches = replace(batches, scope=replace(scope, parts=(part + 1, scope.parts[1])))
    turn.put_run(batches)
    return bool(_next_parts(turn, batches))


def drop(turn: Turn, run: TaskRun) -> None:
    """Nothing needs them once the children run again."""
    if run.scope is not None:
        dropped(turn, run.id, run.scope, run.scope.parts[1] + 1)


def dropped(turn: Turn, task_run_id: str, scope: Scope, most: int) -> tuple[Scope, bool]:
    """Forget so many parts of a run's. -> its scope then, and whether some are left."""
    first, last = scope.parts
    upto = min(first + most, last + 1)
    for part in range(first, upto):
        if turn.get(outputs_key(task_run_id, part), ChildOutputs) is not None:
            turn.drop(outputs_key(task_run_id, part))
    return replace(scope, parts=(upto, last)), upto <= last


def _batches_of(turn: Turn, run: TaskRun) -> TaskRun | None:
    """The run that has the children whose outputs this one merges."""
    plan = turn.plan(turn.execution(run.execution_id))
    if run.parent < 0 or plan.kind(plan.parent_id(run.task_id)) is not Kind.FOR_ITEMS:
        return None
    around = turn.run(run.execution_id, run.parent).scope or Scope()
    if plan.block(run.task_id) != "tasks" or len(around.done) < 2:
        return None
    return turn.run(run.execution_id, int(around.done[1]))


def _next_parts(turn: Turn, batches: TaskRun) -> list[int]:
    first, last = (batches.scope or Scope()).parts
    found: list[int] = []
    size = 0
    for part in range(first, last + 1):
        kept = turn.get(outputs_key(batches.id, part), ChildOutputs)
        if kept is None or size >= JOB:
            break
        found.append(part)
        size += sum(len(text) for _, text in kept.outputs)
    return found
