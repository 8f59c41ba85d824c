"""Evaluates what a flowable task asks: expressions that only a worker can render."""

from __future__ import annotations

from typing import Any, ClassVar

from kestrapy.errors import UserError
from kestrapy.language.values import is_true
from kestrapy.plugins.properties import Properties, to_text
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class EvaluateProperties(Properties):
    """run_if: a condition; empty: it holds. properties: of the task, by name."""

    late: ClassVar[frozenset[str]] = frozenset({"runIf", "properties"})

    run_if: str = ""
    properties: dict[str, Any]


class EvaluateTask:
    """``outputs.runIf``, and ``outputs.properties`` where it holds. Neither may show a secret: the
    log would.
    """

    def run(self, properties: EvaluateProperties, context: TaskContext) -> TaskOutcome:
        holds = not properties.run_if or is_true(self._condition(properties.run_if, context))
        if not holds:
            return TaskOutcome(outputs={"runIf": False})
        found = context.render(properties.properties)
        text = to_text(found)
        if context.masked(text) != text:
            raise TaskFailed(
                "a property gives a secret, which the log may not hold: compare it within the"
                " expression, or use it in a task that a worker runs"
            )
        return TaskOutcome(outputs={"runIf": True, "properties": found})

    def _condition(self, run_if: str, context: TaskContext) -> Any:
        try:
            return context.render(run_if)
        except UserError as error:
            raise TaskFailed(f"runIf: {error}") from None
