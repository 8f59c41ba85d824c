"""Tasks that shape a flow: Sleep waits in a worker, Sequential and Parallel are moved by the
executor."""

from __future__ import annotations

from kestrapy.plugins.properties import Duration, Properties, parse_duration
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class FlowableProperties(Properties):
    """Sequential and Parallel add nothing to the core properties (tasks, errors, finally,
    concurrent)."""


class SleepProperties(Properties):
    """duration: how long, ISO-8601."""

    duration: Duration


class SleepTask:
    """``io.kestra.plugin.core.flow.Sleep``: occupies a worker's slot meanwhile."""

    def run(self, properties: SleepProperties, context: TaskContext) -> TaskOutcome:
        context.log("INFO", f"Sleeping for {properties.duration}")
        if context.wait(parse_duration(properties.duration) / 1000):
            raise TaskFailed("The sleep was ended before its time")
        return TaskOutcome()
