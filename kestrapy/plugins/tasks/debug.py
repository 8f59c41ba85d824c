"""Return gives a rendered text as its output; Echo writes one to the log."""

from __future__ import annotations

from kestrapy.plugins.properties import Properties, Text
from kestrapy.plugins.tasks.log import Level
from kestrapy.ports.tasks import TaskContext, TaskOutcome


class ReturnProperties(Properties):
    """format: the text; without it there is no value. What renders to null is an empty text."""

    format: Text | None = None


class ReturnTask:
    """``io.kestra.plugin.core.debug.Return``: ``outputs.value`` is the rendered format, which it
    also logs, as DEBUG.
    """

    def run(self, properties: ReturnProperties, context: TaskContext) -> TaskOutcome:
        if "format" not in properties.model_fields_set:
            return TaskOutcome(outputs={"value": None})
        value = properties.format or ""
        context.log("DEBUG", value)
        return TaskOutcome(outputs={"value": value})


class EchoProperties(Properties):
    """format: the text; null for none. level: of the log line, INFO by default."""

    format: Text | None = None
    level: Level = "INFO"


class EchoTask:
    """``io.kestra.plugin.core.debug.Echo``, which Log has replaced."""

    def run(self, properties: EchoProperties, context: TaskContext) -> TaskOutcome:
        if properties.format is not None:
            context.log(properties.level, properties.format)
        return TaskOutcome()
