"""Evaluates what a flowable task asks: expressions that only a worker can render."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from kestrapy.errors import UserError
from kestrapy.language.values import is_true
from kestrapy.plugins.properties import Properties, to_text
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

PAGE_SIZE = 128 * 1024
"""Characters of the inputs of batches after which no further one is rendered in this run."""


_SHOWN = (
    "gives a secret, which the log may not hold: compare it within the expression, or use it in a"
    " task that a worker runs"
)


class Batches(Properties):
    """taskruns: the variable ``taskrun`` of each of them, in order."""

    taskruns: list[dict[str, Any]]


class EvaluateProperties(Properties):
    """run_if: a condition; empty: it holds. properties: of the task, by name. batches: of a
    ForEachItem, those whose inputs are to be told.
    """

    late: ClassVar[frozenset[str]] = frozenset({"runIf", "properties", "batches"})

    run_if: str = ""
    properties: dict[str, Any]
    batches: Batches | None = None


class EvaluateTask:
    """``outputs.runIf``, and ``outputs.properties`` where it holds. Neither may show a secret: the
    log would.
    """

    def run(self, properties: EvaluateProperties, context: TaskContext) -> TaskOutcome:
        holds = not properties.run_if or is_true(self._condition(properties.run_if, context))
        if not holds:
            return TaskOutcome(outputs={"runIf": False})
        if properties.batches is not None:
            return TaskOutcome(outputs={"batches": list(self._inputs(properties, context))})
        found = context.render(properties.properties)
        text = to_text(found)
        if context.masked(text) != text:
            raise TaskFailed(f"a property {_SHOWN}")
        return TaskOutcome(outputs={"runIf": True, "properties": found})

    def _inputs(
        self, properties: EvaluateProperties, context: TaskContext
    ) -> Iterator[dict[str, Any]]:
        """Of as many batches as fit into one answer, or why they can't be had."""
        left, taskruns = PAGE_SIZE, properties.batches.taskruns if properties.batches else []
        for taskrun in taskruns:
            try:
                wanted = properties.properties.get("inputs")
                found = {"inputs": context.render_with(wanted, {"taskrun": taskrun})}
            except UserError as error:
                found = {"error": f"inputs: {error}"}
            if context.masked(to_text(found)) != to_text(found):
                found = {"error": f"inputs: a value {_SHOWN}"}
            size = len(to_text(found))
            if size > PAGE_SIZE:
                problem = (
                    f"its inputs have {size:,} characters, more than {PAGE_SIZE:,}: hand over"
                    " `taskrun.items`, and read the file in the subflow"
                )
                found, size = {"error": problem}, len(problem)
            if size > left:
                return
            left -= size
            yield found

    def _condition(self, run_if: str, context: TaskContext) -> Any:
        try:
            return context.render(run_if)
        except UserError as error:
            raise TaskFailed(f"runIf: {error}") from None
