"""Results that a test chooses for tasks, instead of running them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kestrapy.model.state import State
from kestrapy.ports.clock import Clock
from kestrapy.ports.tasks import TaskContext, TaskOutcome

CHOOSABLE = (State.SUCCESS, State.WARNING, State.FAILED)


@dataclass
class Chosen:
    """A result. takes: ms. times: how many runs have it still; None: all that come."""

    outcome: TaskOutcome
    takes: int
    times: int | None


class ChosenResults:
    """By task id; those of one task in the order in which they were chosen."""

    def __init__(self) -> None:
        self._chosen: dict[str, list[Chosen]] = {}

    def add(self, task_id: str, chosen: Chosen) -> None:
        self._chosen.setdefault(task_id, []).append(chosen)

    def take(self, task_id: str) -> Chosen | None:
        """The result of the task's next run; None where it is to run."""
        for chosen in self._chosen.get(task_id, ()):
            if chosen.times is None:
                return chosen
            if chosen.times > 0:
                chosen.times -= 1
                return chosen
        return None


def outcome_of(state: State | str, outputs: Mapping[str, Any] | None, error: str) -> TaskOutcome:
    """Raises ValueError for a state that no task's result has."""
    state = State(state)
    if state not in CHOOSABLE:
        names = ", ".join(CHOOSABLE)
        raise ValueError(f"a task's result is one of {names}, not {state}")
    if error and state is not State.FAILED:
        raise ValueError(f"an error goes with FAILED, not with {state}")
    return TaskOutcome(state, dict(outputs or {}), error)


class ChosenTask:
    """The port ``RunnableTask``, for a task of a WorkingDirectory: its result, in its time."""

    def __init__(self, chosen: Chosen):
        self._chosen = chosen

    def run(self, properties: Any, context: TaskContext) -> TaskOutcome:
        context.wait(self._chosen.takes / 1000)
        return self._chosen.outcome


class ChosenRun:
    """The port ``RunningJob``: ends by itself when its time has come.

    ends, deadline: monotonic ms; the deadline is that of the task's timeout.
    """

    def __init__(self, clock: Clock, outcome: TaskOutcome, ends: int, deadline: int | None):
        self._clock = clock
        self._outcome = outcome
        self._killed: TaskOutcome | None = None
        if deadline is not None and deadline < ends:
            ends = deadline
            self._outcome = TaskOutcome(
                State.FAILED, error="Timeout: the chosen result comes later than the task may take"
            )
        self.ends = ends

    def outcome(self) -> TaskOutcome | None:
        if self._killed is not None:
            return self._killed
        return self._outcome if self._clock.monotonic() >= self.ends else None

    def kill(self, reason: str) -> None:
        self._killed = self._killed or TaskOutcome(State.KILLED, error=reason)
