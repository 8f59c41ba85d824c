"""From what people write of worker groups to declarations, and back."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kestrapy.config import Settings, WorkerGroup
from kestrapy.model.worker_group import DEFAULT_GROUP, Fallback, GroupSettings

FILE: Literal["file"] = "file"
"""The origin of a group that the settings file declares."""


def group_settings(written: WorkerGroup, origin: Literal["", "file"] = "") -> GroupSettings:
    """The declaration of a group, which is not drained."""
    fields = written.model_dump(by_alias=True) | {"origin": origin}
    return msgspec.convert(fields, GroupSettings)


def declared_groups(settings: Settings) -> dict[str, GroupSettings]:
    """The groups of a settings file by key, and the default one, whether it declares it or not."""
    written = {it.key: group_settings(it, FILE) for it in settings.worker_groups}
    return {DEFAULT_GROUP: GroupSettings(DEFAULT_GROUP)} | written


def written_fallback(fallback: Fallback) -> str | dict[str, str]:
    """As people write it: ``FAIL``, or ``{group: other}``."""
    return {"group": fallback.group} if fallback.behavior == "GROUP" else fallback.behavior


def written_group(settings: GroupSettings) -> dict[str, Any]:
    """What is declared of a group, as people write it; all of it, durations in ms.

    Whether it is drained, and where it was declared, are no part of it.
    """
    fields = {it.encode_name: getattr(settings, it.name) for it in msgspec.structs.fields(settings)}
    del fields["drained"], fields["origin"]
    plain: dict[str, Any] = msgspec.to_builtins(fields)
    return plain | {"fallback": written_fallback(settings.fallback)}
