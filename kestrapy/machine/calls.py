"""What a task run asks for when it starts an execution of another flow.

The id of the child is derived from the task run, so that whoever folds the log again asks for the
same one; ids are spread over all shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.errors import UserError
from kestrapy.language.expression import render_value
from kestrapy.language.expression.scope import Scope as Rendering
from kestrapy.language.input_values import has_mixed
from kestrapy.language.temporals import epoch_ms
from kestrapy.language.values import is_true, labels_from
from kestrapy.machine import batches, flowables
from kestrapy.machine.commands import ChildWanted, ExecutionSubmitted, Parent, TriggerFired
from kestrapy.machine.entities import Child, Execution, TaskRun, child_key
from kestrapy.machine.fold_world import FoldWorld
from kestrapy.machine.restored import FormerChild
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import variables_of
from kestrapy.model.flow import CORRELATION_ID, SYSTEM_LABELS
from kestrapy.model.ids import derive_execution_id, digest

MOST_NESTED = 32
"""Executions above one that a subflow started: flows that call each other in a circle end there."""
SUBMITTED_LIMIT = 600_000
"""Bytes of what is asked for: it has to fit into a record of the log."""
RENDERED = ("namespace", "flowId", "revision", "inputs", "labels", "scheduleDate")
ALONE = -1
"""The iteration of a Subflow's only child."""

_encode = msgspec.json.Encoder().encode
_encode_record = msgspec.msgpack.Encoder().encode


def start(turn: Turn, run: TaskRun, variables: Mapping[str, Any], iteration: int) -> str:
    """Ask for a child. -> its id. Raises UserError where it can't be told what is wanted."""
    execution = turn.execution(run.execution_id)
    if _depth(turn, execution) > MOST_NESTED:
        raise UserError(
            f"{MOST_NESTED} executions are above this one already, each the subflow of another:"
            " do flows call each other in a circle?"
        )
    child_id = id_of(run, len(run.attempts), iteration, turn.rules.shards)  # they only ever grow
    given = _given(turn, run, variables, iteration)
    waits = is_set(turn, run, "wait", True)
    revision = _revision(given.get("revision"))
    submitted = ExecutionSubmitted(
        child_id,
        _name(given, "namespace"),
        _name(given, "flowId"),
        0,
        inputs=_inputs(given.get("inputs")),
        labels=_labels(turn, execution, given.get("labels")),
        trigger=_trigger(turn, execution, run, iteration),
        not_before=_date(given.get("scheduleDate")),
        parent=Parent(
            run.id,
            iteration,
            waits,
            revision,
            _depth(turn, execution),
            _inherited(turn, run),
            _templates(turn, run),
        ),
    )
    size = len(_encode_record(submitted))
    if size > SUBMITTED_LIMIT:
        raise UserError(
            f"inputs and labels of the subflow have {size:,} bytes, {SUBMITTED_LIMIT:,} at most can"
            " be handed over: write large values to a file, and hand that over"
        )
    turn.emit(submitted, run.execution_id)
    transmits = is_set(turn, run, "transmitFailed", True)
    turn.put(child_key(run.id, iteration), Child(child_id, waits, transmits))
    return child_id


def want(turn: Turn, run: TaskRun, former: FormerChild, iteration: int) -> None:
    """Ask for a child of an earlier attempt, whose end the run is to wait for."""
    parent = Parent(
        run.id,
        iteration,
        depth=_depth(turn, turn.execution(run.execution_id)),
        outputs=_templates(turn, run),
        restoring=former.restoring,
    )
    transmits = is_set(turn, run, "transmitFailed", True)
    child = Child(former.execution_id, True, transmits, former.restoring)
    turn.emit(ChildWanted(former.execution_id, parent), run.execution_id)
    turn.put(child_key(run.id, iteration), child)


def id_of(run: TaskRun, number: int, iteration: int, shards: int) -> str:
    """The id of a child. number: of the run's attempt: those before it for a Subflow, with it for a
    ForEachItem. shards: how many there are.
    """
    cause = (run.id, number, iteration)
    shard = digest("subflow", *cause, bits=32) % shards
    return derive_execution_id(shard, run.history.start, "subflow", *cause)


def _depth(turn: Turn, execution: Execution) -> int:
    """Executions above a child of this one."""
    parent = turn.content(execution.id).parent
    return 1 + (parent.depth if parent is not None else 0)


def _properties(turn: Turn, run: TaskRun) -> Mapping[str, Any]:
    return turn.plan(turn.execution(run.execution_id)).task(run.task_id).properties


def variables_here(turn: Turn, run: TaskRun, *, whole: bool = True) -> dict[str, Any]:
    """What its task's properties read. Raises ExpressionError where that is too much, if all of it
    is wanted.
    """
    execution = turn.execution(run.execution_id)
    plan = turn.plan(execution)
    return variables_of(turn, execution, plan, plan.reads(run.task_id), run, whole=whole)


def _rendered(
    turn: Turn, run: TaskRun, variables: Mapping[str, Any], *names: str
) -> dict[str, Any]:
    """Properties of its task; those that aren't there are left out."""
    if (evaluated := flowables.answered(run, names)) is not None:
        return evaluated
    given = _properties(turn, run)
    wanted = {name: given[name] for name in names if given.get(name) is not None}
    rendered: dict[str, Any] = render_value(wanted, variables, FoldWorld(turn.at, run.id))
    return rendered


def is_set(turn: Turn, run: TaskRun, name: str, default: bool) -> bool:
    """A flag among its task's properties."""
    value = _properties(turn, run).get(name)
    if isinstance(value, str):
        variables = variables_here(turn, run, whole=False)  # those of the other properties
        value = _rendered(turn, run, variables, name).get(name)
    return default if value is None else is_true(value)


def _given(
    turn: Turn, run: TaskRun, variables: Mapping[str, Any], iteration: int
) -> dict[str, Any]:
    """What the task says of the child; inputs of a batch that read the world are there already."""
    planned = turn.plan(turn.execution(run.execution_id)).planned(run.task_id)
    if iteration == ALONE or not planned.asks_properties:
        return _rendered(turn, run, variables, *RENDERED)
    names = [name for name in RENDERED if name != "inputs"]
    given = _rendered(turn, run, variables, *names)
    found = batches.inputs_of(turn, run, iteration)
    if not isinstance(found, Mapping):
        return {**given, "inputs": found}
    rest = batches.asked(planned.task.properties.get("inputs"), of_worker=False)
    rendered = render_value(rest, variables, FoldWorld(turn.at, run.id))
    return {**given, "inputs": {**rendered, **found}}


def _name(given: Mapping[str, Any], name: str) -> str:
    text = Rendering({}).text(given.get(name)).strip()
    if not text:
        raise UserError(f"{name} is empty: it says which flow is to be run")
    return text


def _revision(value: Any) -> int:
    """0 for the latest."""
    if value is None or value == "":
        return 0
    text = Rendering({}).text(value).strip()
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise UserError(f"revision {text[:80]!r} is no number of a revision, such as 3")
    return int(text)


def _date(value: Any) -> int:
    """Epoch ms; 0 for at once."""
    if value is None or value == "":
        return 0
    text = Rendering({}).text(value)
    try:
        return epoch_ms(text)
    except ValueError:
        raise UserError(
            f"scheduleDate {text[:80]!r} is no instant, such as 2030-01-31T09:00:00Z"
        ) from None


def _inputs(value: Any) -> str:
    if value is None or value == "":
        return "{}"
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            pass
    if not isinstance(value, Mapping):
        raise UserError(f"inputs must be a map, not {Rendering({}).text(value)[:80]}")
    text = _encode(value).decode()
    if has_mixed(value):
        raise UserError(
            "inputs: a secret can't be a part of a text here: hand it over alone, as"
            " `{{ inputs.<id> }}`, and put the text together in the subflow"
        )
    return text


def _labels(turn: Turn, execution: Execution, value: Any) -> dict[str, str]:
    """Those that the task sets; all of one tree of executions have the id of the first one."""
    known = turn.content(execution.id).labels
    own = labels_from(value) if value else {}
    return {**own, CORRELATION_ID: known.get(CORRELATION_ID, execution.id)}


def _inherited(turn: Turn, run: TaskRun) -> dict[str, str]:
    if not is_set(turn, run, "inheritLabels", False):
        return {}
    labels = turn.content(run.execution_id).labels
    return {key: value for key, value in labels.items() if not key.startswith(SYSTEM_LABELS)}


def asks_outputs(turn: Turn, run: TaskRun) -> bool:
    """Whether its task says what a child's outputs are to be, should the flow not."""
    return bool(_properties(turn, run).get("outputs"))


def _templates(turn: Turn, run: TaskRun) -> str:
    outputs = _properties(turn, run).get("outputs")
    return _encode(outputs).decode() if outputs else ""


def _trigger(turn: Turn, execution: Execution, run: TaskRun, iteration: int) -> TriggerFired:
    task = turn.plan(execution).task(run.task_id)
    variables: dict[str, Any] = {
        "executionId": execution.id,
        "namespace": execution.namespace,
        "flowId": execution.flow_id,
        "flowRevision": execution.revision,
        "taskRunId": run.id,
    }
    if run.value is not None:
        variables["taskRunValue"] = run.value
    number = iteration if iteration != ALONE else run.iteration
    if number >= 0:
        variables["taskRunIteration"] = number
    return TriggerFired(
        run.task_id, task.type.partition("$")[0], variables=_encode(variables).decode()
    )
