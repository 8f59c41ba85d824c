"""Inputs of a ForEachItem's subflows that read the world, such as ``read(taskrun.items)``.

    executor ── Job(run of the batches, epoch): render from batch 0 on ──▶ worker
    worker   ── Result(inputs of as many as fit) ──▶ fold     kept, one by one; asks for the rest

The run that starts the subflows asks before it begins, page by page. What a worker gives is kept
with the ForEachItem around it until the end of the execution: batches may be tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.errors import UserError
from kestrapy.language.expression import value_needs_worker
from kestrapy.machine.commands import Result
from kestrapy.machine.entities import ChildOutputs, Scope, TaskRun, outputs_key
from kestrapy.machine.turn import Turn
from kestrapy.machine.variables import taskrun_of

PAGE = 100
"""Batches whose inputs one job renders."""
LIMIT = 16_000_000
"""Characters of the inputs of all batches of a run."""
ANSWERED = '{"runIf":true}'
"""The answers of a run whose batches have all been rendered."""

replace = msgspec.structs.replace
_encode = msgspec.json.Encoder().encode


def split_of(turn: Turn, run: TaskRun) -> dict[str, Any]:
    """The outputs of the split, the first of the steps of a ForEachItem; empty: there is none."""
    around = turn.run(run.execution_id, run.parent).scope or Scope()
    if not around.done:
        return {}
    split = turn.run(run.execution_id, int(around.done[0]))
    return msgspec.json.decode(split.outputs, type=dict[str, Any])


def count_of(turn: Turn, run: TaskRun) -> int:
    """How many batches there are. Raises UserError."""
    count = split_of(turn, run).get("numberOfBatches")
    if not isinstance(count, int) or count < 0:
        raise UserError("the split has no outputs that tell of its batches")
    return count


def item_of(split: dict[str, Any], iteration: int) -> str:
    """The URI of a batch."""
    return f"{split.get('prefix', '')}{iteration}{split.get('suffix', '')}"


def page_of(turn: Turn, run: TaskRun) -> dict[str, Any]:
    """What the next job renders the inputs of: the ``taskrun`` of each batch."""
    split, first = split_of(turn, run), (run.aside or Scope()).cursor
    count = split.get("numberOfBatches")
    last = min(first + PAGE, count) if isinstance(count, int) else first
    own = taskrun_of(run)
    found = [
        {**own, "items": item_of(split, iteration), "iteration": iteration}
        for iteration in range(first, last)
    ]
    return {"taskruns": found}


def asked(inputs: Any, *, of_worker: bool = True) -> Any:
    """The part of a ForEachItem's ``inputs`` that a worker renders, or the rest: secrets among
    these are passed on as they are sealed.
    """
    if not isinstance(inputs, Mapping):
        return inputs if of_worker else {}
    parts = ((name, {name: value}) for name, value in inputs.items())
    return {name: part[name] for name, part in parts if value_needs_worker(part) == of_worker}


def take(turn: Turn, run: TaskRun, result: Result) -> bool | str:
    """Keep what a worker has rendered. -> whether there is more to render; or what is wrong with
    it.
    """
    page = msgspec.json.decode(result.outputs, type=dict[str, Any]).get("batches")
    known, split = run.aside or Scope(), split_of(turn, run)
    count = split.get("numberOfBatches")
    left = count - known.cursor if isinstance(count, int) else 0
    if not isinstance(page, list) or (left > 0 and not page):
        return "its worker has rendered no inputs"
    texts = [_encode(each).decode() for each in page[: min(left, PAGE)]]
    size, cursor = known.size + sum(map(len, texts)), known.cursor + len(texts)
    if size > LIMIT:
        return (
            f"the inputs of the first {cursor:,} batches have {size:,} characters, more than"
            f" {LIMIT:,}: hand over `taskrun.items`, and read the file in the subflow"
        )
    around = turn.run(run.execution_id, run.parent)
    for iteration, text in enumerate(texts, known.cursor):
        kept = ChildOutputs(((iteration, text),))
        turn.put(outputs_key(around.id, iteration), kept)
    turn.put_run(replace(around, scope=replace(around.scope or Scope(), parts=(0, cursor))))
    turn.put_run(replace(run, aside=replace(known, cursor=cursor, size=size)))
    return len(texts) < left


def inputs_of(turn: Turn, run: TaskRun, iteration: int) -> Any:
    """The inputs of a batch, as a worker has rendered them. Raises UserError where it could not."""
    around = f"{run.execution_id}-{run.parent}"
    kept = turn.get(outputs_key(around, iteration), ChildOutputs)
    given = msgspec.json.decode(kept.outputs[0][1]) if kept is not None else None
    if not isinstance(given, dict) or "inputs" not in given:
        problem = given.get("error") if isinstance(given, dict) else None
        raise UserError(str(problem or "its worker has rendered no inputs"))
    return given["inputs"]
