"""What rows ask of executions that a ``FlowTest`` can't ask yet: one place to fill in."""

from __future__ import annotations

from kestrapy.machine.commands import SettingSaveRequested
from kestrapy.model.worker_group import IGNORED
from kestrapy.testing import FlowTest, ObservedExecution, ObservedTaskRun


class Missing(Exception):
    """A feature that is not built yet."""


def restart(
    test: FlowTest, execution: ObservedExecution, revision: int | None = None
) -> ObservedExecution:
    """-> the execution that goes on: a new one where the revision is another."""
    return test.restart(execution, revision)


def mark(test: FlowTest, run: ObservedTaskRun, state: str) -> None:
    test.mark(run, state)


def schedule(test: FlowTest, seconds: int) -> ObservedExecution:
    """Create an execution of the first flow whose date comes in so many seconds."""
    return test.start(in_seconds=seconds)


def ignore(test: FlowTest, execution: ObservedExecution) -> None:
    name = f"execution/{execution.id}"
    test.servers.send(SettingSaveRequested(IGNORED, name, "{}"))
    test.settle()
