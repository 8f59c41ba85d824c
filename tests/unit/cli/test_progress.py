"""An execution in progress, as people see it."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from kestrapy.adapters.system import SystemClock
from kestrapy.cli.progress import Progress, TaskLine, epoch_ms, lines_of, table_of
from kestrapy.model.state import State


def date(second: int) -> str:
    return f"2026-01-01T00:00:{second:02d}.250Z"


def state(**entered: int) -> dict[str, Any]:
    """The state's JSON: by name, the second in which each was entered."""
    histories = [{"state": name, "date": date(at)} for name, at in entered.items()]
    found = {"current": histories[-1]["state"], "histories": histories}
    found["startDate"] = histories[0]["date"]
    if State(str(found["current"])).is_terminal:
        found["endDate"] = histories[-1]["date"]
    return found


def run(name: str, parent: str = "", group: str = "", **entered: int) -> dict[str, Any]:
    found = {"id": name, "taskId": name, "state": state(**entered), "attempts": []}
    if parent:
        found["parentTaskRunId"] = parent
    if group:
        found |= {"workerGroup": {"key": group}, "attempts": [{"workerId": f"{group}-ab12"}]}
    return found


def execution(*runs: dict[str, Any]) -> dict[str, Any]:
    own = state(CREATED=0, RUNNING=0)
    return {"namespace": "team", "flowId": "sums", "state": own, "taskRunList": list(runs)}


BOTH = run("both", RUNNING=1, SUCCESS=9)
ONE = run("one", "both", "gpu", SUBMITTED=2, RUNNING=3, SUCCESS=9)
TWO = run("two", "both", "gpu", SUBMITTED=2, RUNNING=4)


def test_a_task_run_has_its_depth_group_worker_and_times() -> None:
    both, one, two = lines_of(execution(BOTH, ONE, TWO))
    assert (both.depth, both.group, both.worker, both.attempts) == (0, "–", "–", 0)
    assert one == TaskLine(
        name="one",
        depth=1,
        group="gpu",
        worker="ab12",
        state=State.SUCCESS,
        attempts=1,
        started=epoch_ms(date(3)),
        ended=epoch_ms(date(9)),
        changed=epoch_ms(date(9)),
    )
    assert (two.state, two.ended) == (State.RUNNING, None)


def shown(*runs: dict[str, Any]) -> list[list[str]]:
    """The rows of the table, at second 10."""
    file = io.StringIO()
    Console(file=file, width=100).print(table_of(execution(*runs), epoch_ms(date(10))))
    return [line.split() for line in file.getvalue().splitlines() if line.strip()]


def test_the_table_shows_times_since_the_execution_began() -> None:
    title, *_, both, one, two = shown(BOTH, ONE, TWO)
    assert title == ["team.sums", "RUNNING"]
    assert both == ["both", "–", "–", "SUCCESS", "–", "1.00", "s", "8.00", "s"]
    assert one == ["one", "gpu", "ab12", "SUCCESS", "1", "3.00", "s", "6.00", "s"]
    assert two == ["two", "gpu", "ab12", "RUNNING", "1", "4.00", "s", "6.00", "s"]


def test_what_no_worker_has_yet_has_no_time() -> None:
    assert shown(run("one", SUBMITTED=2))[-1] == ["one", "–", "–", "SUBMITTED", "–", "–", "–"]


def test_elsewhere_than_in_a_terminal_each_change_is_one_line() -> None:
    file = io.StringIO()
    with Progress(Console(file=file, width=100), SystemClock()) as progress:
        progress.show(execution(run("both", RUNNING=1), TWO))
        progress.show(execution(BOTH, ONE, TWO))
        progress.show(execution(BOTH, ONE, TWO))
    assert [line.split() for line in file.getvalue().splitlines()] == [
        ["1.00", "s", "both", "RUNNING"],
        ["4.00", "s", "two", "RUNNING", "on", "gpu", "ab12"],
        ["9.00", "s", "one", "SUCCESS", "on", "gpu", "ab12"],
        ["9.00", "s", "both", "SUCCESS"],
    ]
