"""What a flow test shows of executions: as they are now, after each look at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from kestrapy.machine.outputs import (
    ExecutionEvent,
    ExecutionSnapshot,
    LogEntry,
    StateChange,
    TaskRunSnapshot,
)
from kestrapy.model.state import State
from kestrapy.ports.store import StoredExecution


def _states(histories: list[StateChange]) -> list[State]:
    return [change.state for change in histories]


@dataclass(frozen=True)
class ObservedAttempt:
    """One try of a task run. states: those that it went through. log_file: URI, empty without."""

    states: list[State]
    log_file: str = ""

    @property
    def state(self) -> State:
        return self.states[-1]


class ObservedTaskRun:
    """A task run as it was when it was asked for."""

    def __init__(self, snapshot: TaskRunSnapshot):
        self.snapshot = snapshot
        self.id = snapshot.id
        self.task_id = snapshot.task_id
        self.parent_id = snapshot.parent_id
        """Of the flowable task run around it; empty at the top."""
        self.value = snapshot.value
        """Of the loop around it; None without one."""
        self.iteration = snapshot.iteration
        self.state = snapshot.state
        self.states = _states(snapshot.histories)
        """All that it went through."""
        self.error = snapshot.error
        self.worker_group = snapshot.worker_group

    @property
    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.snapshot.outputs)
        return found

    @property
    def attempts(self) -> list[ObservedAttempt]:
        return [
            ObservedAttempt(_states(it.histories), it.log_file) for it in self.snapshot.attempts
        ]

    @property
    def started(self) -> int:
        """Epoch ms, by the test's clock."""
        return self.snapshot.histories[0].at

    @property
    def ended(self) -> int | None:
        """Epoch ms; None while it goes on."""
        last = self.snapshot.histories[-1]
        return last.at if last.state.is_terminal else None

    def __repr__(self) -> str:
        value = "" if self.value is None else f"[{self.value}]"
        return f"<{self.task_id}{value} {self.state}>"


class ObservedExecution:
    """An execution as it is now: it changes while its test lets time pass."""

    def __init__(self, execution_id: str):
        self.id = execution_id
        self.namespace = self.flow_id = ""
        self.revision = 0
        self._number, self._count = -1, 0
        self._snapshot: ExecutionSnapshot | None = None
        self._runs: dict[str, TaskRunSnapshot] = {}
        self._logs: list[LogEntry] = []

    @property
    def exists(self) -> bool:
        """Whether an executor has begun it."""
        return self._snapshot is not None

    @property
    def snapshot(self) -> ExecutionSnapshot:
        """Raises LookupError while it has not begun."""
        if self._snapshot is None:
            raise LookupError(f"execution {self.id} has not begun: let the test run on")
        return self._snapshot

    @property
    def state(self) -> State:
        return self.snapshot.state

    @property
    def states(self) -> list[State]:
        """All that it went through."""
        return _states(self.snapshot.histories)

    @property
    def error(self) -> str:
        """Why it failed, where no task run says so."""
        return self.snapshot.error

    @property
    def inputs(self) -> dict[str, Any]:
        return _decoded(self.snapshot.inputs)

    @property
    def outputs(self) -> dict[str, Any]:
        return _decoded(self.snapshot.outputs)

    @property
    def variables(self) -> dict[str, Any]:
        return _decoded(self.snapshot.variables)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.snapshot.labels

    @property
    def trigger(self) -> dict[str, Any]:
        """What started it; empty where a request did."""
        return _decoded(self.snapshot.trigger or "{}")

    @property
    def started(self) -> int:
        """Epoch ms, by the test's clock."""
        return self.snapshot.histories[0].at

    @property
    def ended(self) -> int | None:
        """Epoch ms; None while it goes on."""
        last = self.snapshot.histories[-1]
        return last.at if last.state.is_terminal else None

    @property
    def task_runs(self) -> list[ObservedTaskRun]:
        """In the order in which they came to be."""
        return [
            ObservedTaskRun(it) for it in sorted(self._runs.values(), key=lambda run: run.ordinal)
        ]

    def of_task(self, task_id: str) -> list[ObservedTaskRun]:
        """All runs of a task: none where it was not reached, several in a loop."""
        return [run for run in self.task_runs if run.task_id == task_id]

    def __getitem__(self, task_id: str) -> ObservedTaskRun:
        """The last run of a task. Raises LookupError where it was not reached."""
        runs = self.of_task(task_id)
        if not runs:
            reached = ", ".join(dict.fromkeys(run.task_id for run in self.task_runs)) or "none"
            raise LookupError(f"no run of task {task_id!r} in {self.id}; tasks reached: {reached}")
        return runs[-1]

    def __contains__(self, task_id: str) -> bool:
        return bool(self.of_task(task_id))

    @property
    def logs(self) -> list[LogEntry]:
        """The lines of its tasks, in the order in which the log took them."""
        return list(self._logs)

    def messages(self, task_id: str | None = None) -> list[str]:
        """The texts of its log lines, of one task or of all."""
        return [it.message for it in self.logs if task_id in (None, it.task_id)]

    def take(self, said: ExecutionEvent | LogEntry) -> None:
        """For the test that looks."""
        if isinstance(said, LogEntry):
            self._logs.append(said)
            return
        self.namespace, self.flow_id = said.namespace, said.flow_id
        self.revision = said.flow_revision
        if said.execution is not None:
            self._snapshot = said.execution
        self._number = said.number
        if said.task_run is None:
            return
        self._count = max(self._count, said.task_run.ordinal + 1)
        self._runs[said.task_run.id] = said.task_run
        if said.task_run.removed:
            del self._runs[said.task_run.id]

    @property
    def stored(self) -> StoredExecution:
        """As a database would have it. Raises LookupError while it has not begun."""
        return StoredExecution(
            self.id,
            self.namespace,
            self.flow_id,
            self.revision,
            self._number,
            self.snapshot,
            tuple(it.snapshot for it in self.task_runs),
            self._count,
        )

    def __repr__(self) -> str:
        state = self._snapshot.state if self._snapshot else "not begun"
        return f"<execution {self.id} of {self.namespace}.{self.flow_id}: {state}>"


class ObservedStorage:
    """What a database would have of these."""

    def __init__(self, executions: Mapping[str, ObservedExecution]):
        self._executions = executions

    def execution(self, execution_id: str) -> StoredExecution | None:
        found = self._executions.get(execution_id)
        return found.stored if found is not None and found.exists else None

    def heads_of(self, ids: Sequence[str]) -> list[StoredExecution]:
        return [found for it in ids if (found := self.execution(it)) is not None]


def _decoded(text: str) -> dict[str, Any]:
    found: dict[str, Any] | None = msgspec.json.decode(text)
    return found or {}


def lines_of(execution: ObservedExecution) -> Iterator[str]:
    """How far it has come, for people."""
    for run in execution.task_runs:
        error = f": {run.error}" if run.error else ""
        yield f"  {run!r}{error}"
