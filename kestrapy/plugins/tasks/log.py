"""Log: writes messages to the execution's log."""

from __future__ import annotations

from typing import Literal

from kestrapy.plugins.properties import Expression, Properties, Text
from kestrapy.ports.tasks import TaskContext, TaskOutcome

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
"""From the least to the most important."""

Level = Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR"] | Expression
"""A level, or a template of one."""


class LogProperties(Properties):
    """message: one, or a list of them. level: TRACE, DEBUG, INFO (the default), WARN or ERROR."""

    message: list[Text] | Text
    level: Level = "INFO"


class LogTask:
    """``io.kestra.plugin.core.log.Log``."""

    def run(self, properties: LogProperties, context: TaskContext) -> TaskOutcome:
        message = properties.message
        for line in message if isinstance(message, list) else [message]:
            context.log(properties.level, line)
        return TaskOutcome()
