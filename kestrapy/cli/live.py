"""Task states and logs of an execution on standard error, as they come."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from kestrapy.machine.outputs import ExecutionEvent, LogEntry, TaskRunSnapshot
from kestrapy.model.state import State

STYLES = {
    State.SUCCESS: "green",
    State.WARNING: "yellow",
    State.RETRYING: "yellow",
    State.FAILED: "bold red",
    State.KILLED: "magenta",
    State.KILLING: "magenta",
    State.RUNNING: "cyan",
    State.CREATED: "dim",
    State.SUBMITTED: "dim",
}
LEVEL_STYLES = {"ERROR": "red", "WARN": "yellow", "INFO": "", "DEBUG": "dim", "TRACE": "dim"}
TASK_WIDTH = 24


class LiveView:
    """Prints one line per change; colours where standard error is a terminal."""

    def __init__(self, colour: bool, width: int):
        self._console = Console(
            stderr=True, highlight=False, no_color=not colour, width=max(width, 80), soft_wrap=True
        )
        self._start: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held."""

    def note(self, text: str) -> None:
        self._console.print(Text(text, style="dim"))

    def show(self, event: ExecutionEvent | LogEntry) -> None:
        if isinstance(event, LogEntry):
            self._line(event.at, event.task_id, event.level, LEVEL_STYLES.get(event.level, ""))
            self._console.print(Text("  " + event.message), end="\n")
            return
        if event.task_run is not None:
            self._task_run(event.at, event.task_run)
        elif event.execution is not None:
            state = event.execution.state
            name = f"{event.namespace}.{event.flow_id}"
            self._line(event.at, name, f"{state}", STYLES.get(state, ""))
            self._console.print(Text(self._why(event.execution.error)))

    def _task_run(self, at: int, run: TaskRunSnapshot) -> None:
        where = f"  on {run.worker_group}" if run.worker_group else ""
        self._line(at, run.task_id, f"{run.state}", STYLES.get(run.state, ""))
        self._console.print(Text(where + self._why(run.error), style="dim"))

    def _why(self, error: str) -> str:
        return f"  {error}" if error else ""

    def _line(self, at: int, name: str, word: str, style: str) -> None:
        """The beginning of a line: seconds since the first event, who, and a word about it."""
        if self._start is None:
            self._start = at
        seconds = (at - self._start) / 1000
        text = Text(f"{seconds:8.3f}  ", style="dim")
        text.append(f"{name:<{TASK_WIDTH}} ")
        text.append(f"{word:<9}", style=style)
        self._console.print(text, end="")
