"""Kestra's test-only task types, as far as rows need them. They are known to this suite only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kestrapy.adapters.aes import AesCipher
from kestrapy.model.inputs import ENCRYPTED
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


def read(properties: dict[str, Any]) -> Mapping[str, Any]:
    """The text of a file of the working directory."""
    path = Path(properties["workingDir"], properties["path"].lstrip("/"))
    try:
        return {"value": path.read_text(encoding="utf-8")}
    except OSError as error:
        raise TaskFailed(f"{properties['path']} can't be read: {error.strerror}") from error


def encrypted(properties: dict[str, Any]) -> Mapping[str, Any]:
    """With the key of flow tests."""
    return {
        "value": {"type": ENCRYPTED, "value": AesCipher(bytes(32)).encrypt(properties["format"])}
    }


def dynamic(properties: dict[str, Any]) -> Mapping[str, Any]:
    """What it does beside the task runs that it makes: it may fail."""
    if properties.get("fail"):
        raise TaskFailed("Task failed")
    return {}


STAND_INS = (
    StandIn("io.kestra.core.tasks.test.NullOutputTask", null_output),
    StandIn("io.kestra.core.tasks.test.Read", read, reads_files=True),
    StandIn("io.kestra.core.tasks.test.DynamicTask", dynamic),
    StandIn("io.kestra.core.tasks.test.Encrypted", encrypted),
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
