"""Return: gives a rendered text as its output."""

from __future__ import annotations

from kestrapy.plugins.properties import Properties, Text
from kestrapy.ports.tasks import TaskContext, TaskOutcome


class ReturnProperties(Properties):
    """format: the text; null for no value."""

    format: Text | None = None


class ReturnTask:
    """``io.kestra.plugin.core.debug.Return``: ``outputs.value`` is the rendered format."""

    def run(self, properties: ReturnProperties, context: TaskContext) -> TaskOutcome:
        return TaskOutcome(outputs={"value": properties.format})
