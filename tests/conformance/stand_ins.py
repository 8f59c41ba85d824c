"""Kestra's test-only task types, as far as rows need them. They are known to this suite only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kestrapy.ports.tasks import TaskFailed
from kestrapy.testing import StandIn, StandInTrigger

TOO_LARGE = 1_100_000
_PLUGINS = "io.kestra.core.plugins.AdditionalPluginTest$AdditionalPluginTest"


def null_output(properties: dict[str, Any]) -> Mapping[str, Any]:
    return {"value": None}


def task_that_fails(properties: dict[str, Any]) -> Mapping[str, Any]:
    raise TaskFailed("Oh no!", {"message": properties["message"]})


def with_alias(properties: dict[str, Any]) -> Mapping[str, Any]:
    return {"message": properties["message"]}


def too_large(properties: dict[str, Any]) -> Mapping[str, Any]:
    return {"value": "a" * TOO_LARGE}


def additional_plugin(properties: dict[str, Any]) -> Mapping[str, Any]:
    plugin = properties["additionalPlugin"]
    said = {f"{_PLUGINS}1": f"1 -> {plugin.get('baseMessage')}", f"{_PLUGINS}2": "Hello World!"}
    return {"value": said[plugin["type"]]}


STAND_INS = (
    StandIn("io.kestra.core.tasks.test.NullOutputTask", null_output),
    StandIn("io.kestra.core.runners.test.TaskThatFail", task_that_fails),
    StandIn(
        "io.kestra.core.runners.test.TaskWithAlias",
        with_alias,
        aliases=("io.kestra.core.runners.test.task.Alias",),
    ),
    StandIn("io.kestra.core.runners.test.WorkerTaskResultTooLarge", too_large),
    StandIn(f"{_PLUGINS}Task", additional_plugin),
)
TRIGGERS = (
    StandInTrigger(
        "io.kestra.core.runners.test.TriggerWithAlias",
        aliases=("io.kestra.core.runners.test.trigger.Alias",),
    ),
)
