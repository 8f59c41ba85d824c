"""Fail: ends its branch of the execution as failed."""

from __future__ import annotations

from typing import Any

from kestrapy.plugins.properties import Properties, Text, is_true
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class FailProperties(Properties):
    """condition: fails only when this is true; not given: always.

    errorMessage: what the failure says.
    """

    condition: Any = None
    error_message: Text = "Task failure"


class FailTask:
    """``io.kestra.plugin.core.execution.Fail``."""

    def run(self, properties: FailProperties, context: TaskContext) -> TaskOutcome:
        if "condition" in properties.model_fields_set and not is_true(properties.condition):
            return TaskOutcome()
        raise TaskFailed(properties.error_message)
