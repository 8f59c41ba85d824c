"""An execution's task runs as a table, live in a terminal, and one line per change elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kestrapy.cli.live import STYLES
from kestrapy.model.state import State
from kestrapy.ports.clock import Clock
from kestrapy.wire.kestra_json import Json

NONE = "–"


@dataclass(frozen=True)
class TaskLine:
    """A task run as people see it. Times in epoch ms; started: by its first worker, 0 before;
    changed: when its state was entered.
    """

    name: str
    depth: int
    group: str
    worker: str
    state: State
    attempts: int
    started: int
    ended: int | None
    changed: int


def lines_of(execution: Json) -> Iterator[TaskLine]:
    """The task runs in the order in which they were made."""
    depths: dict[str, int] = {}
    for run in execution["taskRunList"]:
        depth = depths[run["id"]] = depths.get(run.get("parentTaskRunId"), -1) + 1
        histories = run["state"]["histories"]
        started = next((it["date"] for it in histories if it["state"] == State.RUNNING), None)
        ended = run["state"].get("endDate")
        group = run.get("workerGroup", {}).get("key", NONE)
        workers = [attempt["workerId"] for attempt in run["attempts"] if attempt["workerId"]]
        yield TaskLine(
            name=run["taskId"],
            depth=depth,
            group=group,
            # A worker's id begins with its group, which stands beside it.
            worker=workers[-1].removeprefix(f"{group}-") if workers else NONE,
            state=State(run["state"]["current"]),
            attempts=len(workers),
            started=epoch_ms(started) if started else 0,
            ended=epoch_ms(ended) if ended else None,
            changed=epoch_ms(histories[-1]["date"]),
        )


def epoch_ms(date: str) -> int:
    """Of an ISO 8601 date."""
    return round(datetime.fromisoformat(date).timestamp() * 1000)


def table_of(execution: Json, now: int = 0) -> Table:
    """now: epoch ms, for the times of what still runs."""
    state = State(execution["state"]["current"])
    title = Text(f"{execution['namespace']}.{execution['flowId']} ")
    title.append(state.value, style=STYLES.get(state, ""))
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("Task", no_wrap=True)
    table.add_column("Group", no_wrap=True)
    table.add_column("Worker", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Tries", justify="right")
    table.add_column("Start", justify="right", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    begin = epoch_ms(execution["state"]["startDate"])
    for line in lines_of(execution):
        end = now if line.ended is None else line.ended
        table.add_row(
            "  " * line.depth + line.name,
            line.group,
            line.worker,
            Text(line.state.value, style=STYLES.get(line.state, "")),
            str(line.attempts or NONE),
            _seconds(line.started - begin) if line.started else NONE,
            _seconds(end - line.started) if line.started else NONE,
        )
    return table


class Progress:
    """Shows an execution while it runs. In a terminal the table goes again at the end."""

    def __init__(self, console: Console, clock: Clock):
        self._console, self._clock = console, clock
        self._execution: Json | None = None
        self._seen: set[tuple[str, State, int]] = set()
        self._live = Live(
            get_renderable=self._table, console=console, transient=True, refresh_per_second=10
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, execution: Json) -> None:
        self._execution = execution
        if not self._console.is_terminal:
            self._print_changes(execution)

    def _table(self) -> Table | str:
        if self._execution is None:
            return ""
        return table_of(self._execution, self._clock.wall())

    def _print_changes(self, execution: Json) -> None:
        begin = epoch_ms(execution["state"]["startDate"])
        # Children end with their parent, and before it.
        for line in sorted(lines_of(execution), key=lambda it: (it.changed, -it.depth)):
            change = line.name, line.state, line.attempts
            if change in self._seen:
                continue
            self._seen.add(change)
            where = "" if line.worker == NONE else f"on {line.group} {line.worker}"
            text = f"{_seconds(line.changed - begin):>9}  {line.name:<12} {line.state:<10} {where}"
            self._console.print(Text(text.rstrip()), soft_wrap=True)


def _seconds(milliseconds: int) -> str:
    return f"{max(0, milliseconds) / 1000:.2f} s"
