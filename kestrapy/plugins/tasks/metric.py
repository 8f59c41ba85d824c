"""Publish: tells metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from kestrapy.plugins.properties import (
    Duration,
    Expression,
    Properties,
    Text,
    TextMap,
    from_json,
    parse_duration,
)
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome


class Metric(Properties):
    """name. value: a number; of a timer a duration (ISO-8601) or seconds.

    type: counter, gauge or timer. description: for who reads the flow. tags: texts by key.
    """

    name: Text
    type: Literal["counter", "gauge", "timer"] | Expression
    value: float | Duration
    description: Text | None = None
    tags: TextMap = Field(default_factory=dict)


class PublishProperties(Properties):
    """metrics: a list of them, or a template of one."""

    metrics: Annotated[list[Metric] | Expression, BeforeValidator(from_json)]


class PublishTask:
    """``io.kestra.plugin.core.metric.Publish``."""

    def run(self, properties: PublishProperties, context: TaskContext) -> TaskOutcome:
        for metric in properties.metrics:
            if isinstance(metric, str) or isinstance(metric.tags, str):
                raise TaskFailed("metrics: expected a list of maps, and a map of tags in each")
            context.metric(metric.name, metric.type, _number(metric), metric.tags)
        return TaskOutcome()


def _number(metric: Metric) -> float:
    if not isinstance(metric.value, str):
        return metric.value
    if metric.type != "timer":
        raise TaskFailed(f"metric {metric.name}: a {metric.type}'s value is a number")
    return parse_duration(metric.value) / 1000
