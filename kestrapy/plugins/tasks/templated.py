"""TemplatedTask: a task whose type and properties are known once its text is rendered."""

from __future__ import annotations

from kestrapy.plugins.properties import Properties, Text
from kestrapy.ports.tasks import TaskContext, TaskOutcome


class TemplatedProperties(Properties):
    """spec: YAML of a task that workers run: its type and properties."""

    spec: Text


class TemplatedTask:
    """``io.kestra.plugin.core.templating.TemplatedTask``: its outputs are those of the task."""

    def run(self, properties: TemplatedProperties, context: TaskContext) -> TaskOutcome:
        return context.run_task(properties.spec)
