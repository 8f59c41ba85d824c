"""Lines that an execution itself logs, none of its task runs."""

from __future__ import annotations

from kestrapy.machine.entities import Execution
from kestrapy.machine.outputs import LogEntry
from kestrapy.machine.turn import Turn


def say(turn: Turn, execution: Execution, sequence: int, level: str, message: str) -> None:
    """sequence: another one for each line that the execution may ever log."""
    entry = LogEntry(
        execution_id=execution.id,
        task_run_id="",
        epoch=0,
        attempt=0,
        sequence=sequence,
        at=turn.at,
        level=level,
        message=message,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        task_id="",
    )
    turn.emit(entry, execution.id)
