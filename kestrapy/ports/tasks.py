"""Running a job's task in a worker: what a task type implements, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from kestrapy.machine.outputs import ExecutionPurge, LogEntry, LogPurge
from kestrapy.model.state import State
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.processes import Launcher
from kestrapy.ports.store import Queries


class TaskOutcome(msgspec.Struct, frozen=True):
    """How a task ended. outputs: JSON values. error: for people, empty when it went well. log_file:
    URI of its log, where it was to be a file.
    """

    state: State = State.SUCCESS
    outputs: dict[str, Any] = {}
    error: str = ""
    log_file: str = ""


class TaskFailed(Exception):
    """The task failed for a reason that its author can read; outputs so far are kept."""

    def __init__(self, message: str, outputs: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.outputs = dict(outputs or {})


class Files(NamedTuple):
    """A folder in internal storage, a URI without a last slash, and the way to it."""

    blobs: Blobs
    folder: str


class TaskContext(Protocol):
    """What one run of a task may use. Made by the worker, valid until ``run`` returns.

    blobs: internal storage within the task's reach: its execution's files and its namespace's.
    shared: what namespaces keep there, for types that a property tells the namespace.
    """

    execution_id: str
    task_run_id: str
    task_id: str
    namespace: str
    flow_id: str
    attempt: int
    epoch: int
    blobs: Blobs
    shared: Blobs
    launcher: Launcher

    @property
    def working_dir(self) -> Path:
        """An empty folder of this run's own, made when first asked for, removed afterwards."""

    def render(self, value: Any) -> Any:
        """A value with its expressions rendered, maps (keys too) and lists included. Raises
        ExpressionError.
        """

    def render_with(self, value: Any, extra: Mapping[str, Any]) -> Any:
        """Like ``render``, with further variables such as workingDir."""

    def log(self, level: str, message: str) -> None:
        """TRACE, DEBUG, INFO, WARN or ERROR."""

    def masked(self, text: str) -> str:
        """A text with stars instead of each secret that the run has seen."""

    def sealed(self, text: str) -> Any:
        """A text as an output that only workers can read; as it is where there is no key."""

    def log_lines(self, execution_id: str) -> Iterator[LogEntry]:
        """What an execution's tasks logged, in order. Raises UserError for what is no id."""

    @property
    def queries(self) -> Queries:
        """What the database has of executions: of the last moment some may lack. Raises UserError
        where this worker has no database.
        """

    def purge_lines(self, purge: LogPurge) -> None:
        """Have storage delete them, on all shards; returns once that is in the log. Raises
        UserError, LogUnavailable.
        """

    def purge_executions(self, purges: Sequence[ExecutionPurge]) -> None:
        """Have storage forget them; returns once that is in the log. Raises LogUnavailable."""

    def toggle_trigger(self, uid: str, disabled: bool) -> None:
        """Have the scheduler obey; returns once that is in the log. Raises LogUnavailable."""

    def files_of(self, namespace: str, flow_id: str, execution_id: str) -> Files:
        """The files of any execution, for tasks that purge them."""

    def metric(self, name: str, kind: str, value: float, tags: Mapping[str, str]) -> None:
        """kind: counter or timer (its value in seconds)."""

    def run_task(self, spec: str) -> TaskOutcome:
        """Run a task that is described in YAML, in this run. Raises UserError, TaskFailed."""

    def output_uri(self, name: str) -> str:
        """Where in internal storage a file that this run puts out belongs."""

    def cache_uri(self, name: str) -> str:
        """Where in internal storage the task keeps something for later executions."""

    @property
    def execution_folder(self) -> str:
        """Where in internal storage the files of its execution are: a URI without a last slash."""

    def on_end(self, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Within it, wake is called once the run is to end, from another thread, or at once."""

    def variable(self, *path: str) -> Any:
        """A variable that its type reads, None where there is none."""

    def now(self) -> int:
        """Epoch ms."""

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until the run is to end. -> True when it is to end."""

    @property
    def ending(self) -> bool:
        """The run was killed, timed out, or its worker stops: return soon."""


class RunnableTask(Protocol):
    """A task type that workers run. One instance serves all runs: it keeps no state."""

    def run(self, properties: Any, context: TaskContext) -> TaskOutcome:
        """properties: the type's model, rendered and validated. Raises TaskFailed."""
