"""OutputValues: gives a map of values as its output."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from kestrapy.plugins.properties import Properties, Template, from_json
from kestrapy.plugins.rendering import render_texts
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class OutputValuesProperties(Properties):
    """values: by name. An expression in one gives a text; other values stay what they are."""

    late: ClassVar[frozenset[str]] = frozenset({"values"})
    values: dict[str, Any] | Template = Field(default_factory=dict)


class OutputValuesTask:
    """``io.kestra.plugin.core.output.OutputValues``: ``outputs.values`` has them, rendered."""

    def run(self, properties: OutputValuesProperties, context: TaskContext) -> TaskOutcome:
        values = properties.values
        if isinstance(values, str):
            values = from_json(context.render(values))
            if not isinstance(values, dict):
                raise TaskFailed(f"values: expected a map, not {str(values)[:80]!r}")
        else:
            values = render_texts(values, context)
        return TaskOutcome(outputs={"values": values})
