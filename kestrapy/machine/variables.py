"""The variables of a task's expressions: just those that they name, so that a job stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from kestrapy.errors import ExpressionError
from kestrapy.language.expression import select
from kestrapy.language.plan import Plan
from kestrapy.language.reads import OUTPUTS, Reads, key_paths, paths_of_outputs
from kestrapy.language.values import nested_labels
from kestrapy.machine import merging
from kestrapy.machine.entities import (
    Execution,
    LastRun,
    TaskRun,
    last_run_key,
    valued_run_key,
)
from kestrapy.machine.turn import Turn
from kestrapy.model.flow import TENANT
from kestrapy.model.instants import iso_micros

Path = tuple[str, ...]
TASKS = "tasks"
WHOLE_LIMIT = 8_000_000
"""Characters of the outputs that runs of loops have put out together, for an expression that reads
them as a whole. Far more than a record can carry.
"""


def variables_of(
    turn: Turn,
    execution: Execution,
    plan: Plan,
    reads: Reads,
    run: TaskRun | None,
    *,
    whole: bool = True,
) -> dict[str, Any]:
    """What is read, for an expression of the execution or of one task run. Raises ExpressionError
    where that is more of a loop's outputs than may be had as a whole; not whole: some are left out
    then.
    """
    roots = dict.fromkeys(path[0] for path in reads.names if path and path[0] != OUTPUTS)
    document = {root: _root(turn, execution, plan, run, root) for root in roots}
    if TASKS in roots:
        named = [path[1:] for path in reads.names if path[0] == TASKS]
        document[TASKS] = _Found(turn, execution, plan, whole=whole).of(named, _state)
    document = {root: value for root, value in document.items() if value is not None}
    if any(path[0] == OUTPUTS for path in reads.names):
        found = _Found(turn, execution, plan, whole=whole)
        document[OUTPUTS] = _outputs(found, reads, document)
    return select(document, reads.names)


def _root(turn: Turn, execution: Execution, plan: Plan, run: TaskRun | None, root: str) -> Any:
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
                "startDate": iso_micros(execution.history.start),
                "state": str(execution.history.current),
                "outputs": msgspec.json.decode(execution.outputs),
                "originalId": _original_id(turn, execution),
            }
        case "vars":
            changed = turn.content(execution.id).variables
            return msgspec.json.decode(changed) if changed else plan.flow.variables
        case "inputs" | "labels" | "trigger":
            return _content(turn, execution, root)
        case "task" | "taskrun" if run is not None:
            return _run(plan, run, root)
        case "merging" if run is not None:
            return merging.variable(turn, run)
        case "parent" | "parents" if run is not None:
            parents = _parents(turn, run)
            return parents if root == "parents" else next(iter(parents), None)
    return None


def _original_id(turn: Turn, execution: Execution) -> str:
    lineage = turn.content(execution.id).lineage
    return execution.id if lineage is None else lineage.original_id


def _content(turn: Turn, execution: Execution, root: str) -> Any:
    content = turn.content(execution.id)
    if root == "inputs":
        # A flow without inputs has no such variable: an error names it, not what was sought in it.
        return msgspec.json.decode(content.inputs) or None
    if root == "labels":
        return nested_labels(content.labels)
    return msgspec.json.decode(content.trigger.variables) if content.trigger else None


def _run(plan: Plan, run: TaskRun, root: str) -> dict[str, Any]:
    if root == "task":
        return {"id": run.task_id, "type": plan.task(run.task_id).type}
    return taskrun_of(run)


def taskrun_of(run: TaskRun) -> dict[str, Any]:
    """The variable ``taskrun`` of a run."""
    return {
        "id": run.id,
        "startDate": iso_micros(run.history.start),
        "attemptsCount": run.failures,
        "parentId": None if run.parent < 0 else f"{run.execution_id}-{run.parent}",
        "value": run.value,
        "iteration": None if run.iteration < 0 else run.iteration,
    }


def _parents(turn: Turn, run: TaskRun) -> list[dict[str, Any]]:
    """From the inside out, those that have a value or outputs."""
    found = []
    for parent in ancestors(turn, run):
        entry: dict[str, Any] = {}
        if parent.value is not None:
            entry["taskrun"] = {"value": parent.value}
        outputs = msgspec.json.decode(parent.outputs)
        if outputs:
            entry["outputs"] = outputs
        if entry:
            found.append(entry)
    return found


def ancestors(turn: Turn, run: TaskRun) -> Iterator[TaskRun]:
    """The flowable task runs around a run, from the inside out."""
    while run.parent >= 0:
        run = turn.run(run.execution_id, run.parent)
        yield run


def values_of(turn: Turn, run: TaskRun) -> tuple[str, ...]:
    """The values of a run and of those around it, from the outside in."""
    around = [run.value, *(it.value for it in ancestors(turn, run))]
    return tuple(value for value in reversed(around) if value is not None)


def _outputs(found: _Found, reads: Reads, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Of the runs that are named; of all only where an expression names ``outputs`` as a whole."""
    keyed = any(path[0] == OUTPUTS for keys in reads.outputs for path in key_paths(keys))
    if keyed:  # a key that is read from outputs itself: these come first
        static = [path[1:] for path in reads.names if path[0] == OUTPUTS]
        plain = [path for path in static if path and _is_single(found.plan, path[0])]
        variables = {**variables, OUTPUTS: found.of(plain, _outputs_of)}
    return found.of(paths_of_outputs(reads, variables), _outputs_of)


def _is_single(plan: Plan, task_id: str) -> bool:
    return task_id not in plan or plan.loops(task_id) == 0


def _state(run: TaskRun) -> dict[str, Any]:
    return {"state": str(run.state)}


def _outputs_of(run: TaskRun) -> Any:
    return msgspec.json.decode(run.outputs)


class _Found:
    """What there is to show of runs, by their task's id and values."""

    def __init__(self, turn: Turn, execution: Execution, plan: Plan, *, whole: bool):
        self.plan = plan
        self._turn, self._execution = turn, execution
        self._whole = whole
        self._size = 0

    def of(self, paths: Iterable[Path], show: Callable[[TaskRun], Any]) -> dict[str, Any]:
        """Of the runs that paths lead to."""
        wanted: dict[str, list[Path]] = {}
        for path in paths:
            for task_id in path[:1] or self.plan.task_ids:
                wanted.setdefault(task_id, []).append(path[1:])
        found: dict[str, Any] = {}
        for task_id, keys in wanted.items():
            for each in keys:
                for run in self._runs(task_id, each):
                    _put(found, (task_id, *values_of(self._turn, run)), show(run))
        return found

    def _runs(self, task_id: str, keys: Path) -> Iterator[TaskRun]:
        """Those that the keys after a task's id lead to; of a loop's, no more than may be had."""
        loops = 0 if task_id not in self.plan else self.plan.loops(task_id)
        for run in _runs(self._turn, self._execution, task_id, keys, loops):
            self._size += len(run.outputs) if len(keys) < loops else 0
            if self._size <= WHOLE_LIMIT:
                yield run
            elif self._whole:
                raise ExpressionError(
                    f"the outputs of all runs of `{task_id}` have more than {WHOLE_LIMIT:,}"
                    " characters: read those of one value, as in"
                    f" `outputs.{task_id}[taskrun.value]`, or write large values to files"
                )
            else:
                return


def _runs(
    turn: Turn, execution: Execution, task_id: str, keys: Path, loops: int
) -> Iterator[TaskRun]:
    """The runs of a task that the keys after its id lead to, later ones last."""
    if loops == 0 or len(keys) >= loops:
        key = valued_run_key(execution.id, task_id, keys[:loops])
        last = turn.get(key if loops else last_run_key(execution.id, task_id), LastRun)
        run = None if last is None else turn.run(execution.id, last.ordinal)
        if run is not None and run.is_told:
            yield run
        return
    last = turn.get(last_run_key(execution.id, task_id), LastRun)
    ordinal, found = -1 if last is None else last.ordinal, []
    while ordinal >= 0:
        run = turn.run(execution.id, ordinal)
        if run.is_told and values_of(turn, run)[: len(keys)] == keys:
            found.append(run)
        ordinal = run.earlier
    yield from reversed(found)


def _put(found: dict[str, Any], path: Path, outputs: Any) -> None:
    """Within maps that are made where there are none."""
    for key in path[:-1]:
        found = found.setdefault(key, {})
    found[path[-1]] = outputs
