"""What happened when a row was played, and how its facts find their way in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kestrapy.servers.worker.revealed import reveal
from kestrapy.testing import FlowTest, ObservedExecution, ObservedTaskRun


@dataclass(frozen=True)
class Phase:
    """The execution as it was at a step of a row that a fact may speak of."""

    state: str
    states: list[str]
    task_runs: list[ObservedTaskRun]
    labels: dict[str, str]


@dataclass
class Story:
    """test: still open. execution: the one that facts speak of when they name none."""

    test: FlowTest
    execution: ObservedExecution
    phases: list[Phase] = field(default_factory=list)

    def note(self) -> Phase:
        """Keep how the execution is now."""
        execution = self.execution
        phase = Phase(
            str(execution.state),
            [str(it) for it in execution.states],
            execution.task_runs,
            dict(execution.labels),
        )
        self.phases.append(phase)
        return phase

    @property
    def children(self) -> list[ObservedExecution]:
        """Executions that this one's tasks started."""
        return [it for it in self.test.executions if parent_of(it) == self.execution.id]

    def runs(self, name: str) -> list[ObservedTaskRun]:
        """Those that a fact means: ``taskrun[1]``, ``[1]``, ``last taskrun``, ``task``,
        ``task[s1,"a a"]`` (the values of the loops around it, the outermost first).
        """
        name = name.strip()
        everything = self.execution.task_runs
        if match := re.fullmatch(r"(?:taskrun)?\[(\d+)\]", name):
            index = int(match[1])
            assert index < len(everything), f"there is no taskrun[{index}]: {everything}"
            return [everything[index]]
        if name in ("last", "last taskrun") and "last" not in self.execution:
            return everything[-1:]
        if match := re.fullmatch(r"([\w.-]+)\[(.+)\]", name):
            wanted = [it.strip('"') for it in re.findall(r'"[^"]*"|[^,]+', match[2])]
            return [it for it in self.execution.of_task(match[1]) if self.values(it) == wanted]
        return self.execution.of_task(name)

    def run(self, name: str) -> ObservedTaskRun:
        """The last of them; there has to be one."""
        runs = self.runs(name)
        assert runs, f"no run of {name}: {self.execution.task_runs}"
        return runs[-1]

    def outputs(self, name: str) -> dict[str, Any]:
        """Of that run, as a later task reads them."""
        return opened(self.test, self.run(name).outputs)

    def values(self, run: ObservedTaskRun) -> list[str]:
        """Of the loops around a task run, its own included."""
        by_id = {it.id: it for it in self.execution.task_runs}
        found: list[str] = []
        at: ObservedTaskRun | None = run
        while at is not None:
            if at.value is not None:
                found.insert(0, at.value)
            at = by_id.get(at.parent_id)
        return found


def opened(test: FlowTest, outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs as a task that reads them gets them: what is sealed in them is opened."""
    found: dict[str, Any] = reveal({"outputs": outputs}, test.servers.cipher, None).variables
    return dict(found["outputs"])


def parent_of(execution: ObservedExecution) -> str:
    """The id of the execution whose task started it; empty where none did."""
    trigger = execution.trigger
    return str(trigger.get("executionId") or trigger.get("variables", {}).get("executionId") or "")


def read(outputs: Any, path: str) -> Any:
    """A value in outputs, by a path such as ``values.message`` or ``uris["input.txt"]``."""
    found = outputs
    for name in _names(path):
        assert isinstance(found, dict) and name in found, f"no {path} in {shown(outputs)}"
        found = found[name]
    return found


def _names(path: str) -> Iterator[str]:
    for match in re.finditer(r'\["([^"]+)"\]|[^.\[\]]+', path):
        yield match[1] or match[0]


def text(value: Any) -> str:
    """As an assertion of the table compares it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def shown(value: Any) -> str:
    found = text(value)
    return found if len(found) <= 120 else f"{found[:120]}…"
