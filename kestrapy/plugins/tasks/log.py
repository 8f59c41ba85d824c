"""Log writes messages to the execution's log; Fetch reads them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import msgspec

from kestrapy.plugins.properties import Expression, Properties, Text, TextList
from kestrapy.plugins.rendering import as_list, render_text
from kestrapy.plugins.tasks.streams import store
from kestrapy.ports.tasks import TaskContext, TaskOutcome
from kestrapy.wire.kestra_json import log_json

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
"""From the least to the most important."""

Level = Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR"] | Expression
"""A level, or a template of one."""


class LogProperties(Properties):
    """message: one, or a list of them. level: TRACE, DEBUG, INFO (the default), WARN or ERROR."""

    late: ClassVar[frozenset[str]] = frozenset({"message"})
    message: list[Text] | Text
    level: Level = "INFO"


class LogTask:
    """``io.kestra.plugin.core.log.Log``; a template of a list is one message."""

    def run(self, properties: LogProperties, context: TaskContext) -> TaskOutcome:
        message = properties.message
        for line in message if isinstance(message, list) else [message]:
            context.log(properties.level, render_text(line, context))
        return TaskOutcome()


class FetchProperties(Properties):
    """executionId: whose lines, the own execution's by default. namespace, flowId: its flow, the
    own by default. tasksId: of these tasks only. level: the lowest, INFO by default.
    """

    execution_id: Text | None = None
    namespace: Text | None = None
    flow_id: Text | None = None
    tasks_id: TextList | None = None
    level: Level = "INFO"


class FetchTask:
    """``io.kestra.plugin.core.log.Fetch``: lines as JSON, one on each line of a file.

    ``outputs.uri`` and ``outputs.size``, the number of lines. Of the last moment some may lack.
    """

    def run(self, properties: FetchProperties, context: TaskContext) -> TaskOutcome:
        flow = (properties.namespace or context.namespace, properties.flow_id or context.flow_id)
        tasks = None if properties.tasks_id is None else as_list(properties.tasks_id)
        levels = LEVELS[LEVELS.index(properties.level) :]
        size = 0

        def chosen() -> Iterator[bytes]:
            nonlocal size
            for entry in context.log_lines(properties.execution_id or context.execution_id):
                if (entry.namespace, entry.flow_id) != flow or entry.level not in levels:
                    continue
                if tasks is None or entry.task_id in tasks:
                    size += 1
                    yield msgspec.json.encode(log_json(entry)) + b"\n"

        uri = store("logs.jsonl", chosen(), context)
        return TaskOutcome(outputs={"uri": uri, "size": size})
