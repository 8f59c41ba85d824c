"""Results that fit into a record."""

from __future__ import annotations

import msgspec

from kestrapy.machine.commands import Result
from kestrapy.model.state import State
from kestrapy.ports.tasks import TaskOutcome

OUTPUTS_LIMIT = 256 * 1024
"""Bytes of a task run's outputs as JSON. Larger values belong into a file of internal storage."""
ERROR_LIMIT = 10_000


def fitting_result(task_run_id: str, epoch: int, worker_id: str, outcome: TaskOutcome) -> Result:
    """The outcome as a record; FAILED where its outputs are too large, or no JSON."""
    return Result(task_run_id, epoch, worker_id, *fitting(outcome), outcome.log_file)


def fitting(outcome: TaskOutcome) -> tuple[State, str, str]:
    """-> state, outputs as JSON, and error, as a record has them."""
    state, error = outcome.state, outcome.error
    try:
        outputs = msgspec.json.encode(outcome.outputs).decode()
    except (TypeError, ValueError, OverflowError) as problem:
        outputs, state, error = "{}", State.FAILED, f"the outputs are no JSON: {problem}"
    if len(outputs) > OUTPUTS_LIMIT:
        error = (
            f"the outputs have {len(outputs)} bytes, more than {OUTPUTS_LIMIT}:"
            " write them to a file (outputFiles) and put out its URI"
        )
        outputs, state = "{}", State.FAILED
    return state, outputs, error[:ERROR_LIMIT]
