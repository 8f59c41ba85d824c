"""States of executions and task runs, and their histories. Kestra's names (State.java)."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where an execution, a task run or an attempt stands."""

    CREATED = "CREATED"
    SUBMITTED = "SUBMITTED"
    """A task run whose job was published; no worker owns it yet."""
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    RESTARTED = "RESTARTED"
    KILLING = "KILLING"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILED = "FAILED"
    KILLED = "KILLED"
    CANCELLED = "CANCELLED"
    QUEUED = "QUEUED"
    RETRYING = "RETRYING"
    """A task run between two attempts."""
    RETRIED = "RETRIED"
    SKIPPED = "SKIPPED"
    RESUBMITTED = "RESUBMITTED"
    """An attempt whose worker was lost; the task run was handed out anew."""

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset(
    {
        State.FAILED,
        State.WARNING,
        State.SUCCESS,
        State.KILLED,
        State.CANCELLED,
        State.RETRIED,
        State.SKIPPED,
        State.RESUBMITTED,
    }
)


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A state that was entered. at: epoch milliseconds."""

    state: State
    at: int


class StateHistory(msgspec.Struct, frozen=True, array_like=True):
    """The states so far, oldest first; never empty. Immutable: ``enter`` gives a new one."""

    histories: tuple[Change, ...]

    @property
    def current(self) -> State:
        return self.histories[-1].state

    @property
    def start(self) -> int:
        """When the first state was entered, epoch ms."""
        return self.histories[0].at

    @property
    def end(self) -> int | None:
        """When the terminal state was entered, epoch ms; None while there is none."""
        last = self.histories[-1]
        return last.at if last.state.is_terminal else None

    def enter(self, state: State, at: int) -> StateHistory:
        return StateHistory((*self.histories, Change(state, at)))


def begin(state: State, at: int) -> StateHistory:
    """A history whose only entry is state."""
    return StateHistory((Change(state, at),))
