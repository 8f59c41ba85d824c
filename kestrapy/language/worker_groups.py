"""What is wrong with the naming of a worker group, in words: at save, and when a job is routed.

Each function gives a message with value and remedy, or an empty text where all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kestrapy.language.problems import near, shown
from kestrapy.model.worker_group import DEFAULT_GROUP, DEFAULT_LANE, GroupSettings


def known_groups(groups: Mapping[str, GroupSettings]) -> dict[str, GroupSettings]:
    """Declared groups by key, sorted; the default one is always among them."""
    every = {DEFAULT_GROUP: GroupSettings(DEFAULT_GROUP), **groups}
    return {key: every[key] for key in sorted(every)}


def undeclared(key: str, groups: Iterable[str]) -> str:
    """Of a key that isn't among those of all known groups."""
    keys = sorted(groups)
    if key in keys:
        return ""
    return (
        f"unknown worker group `{key}`{near(key, keys)} (declared: {', '.join(keys)}); to declare"
        f" it, run `kestrapy worker-group create {key}` or add it to `workerGroups` of the settings"
    )


def closed_to(settings: GroupSettings, namespace: str) -> str:
    """Of a group that flows of this namespace may not use."""
    if settings.allows(namespace):
        return ""
    return (
        f"the worker group `{settings.key}` is not for the namespace `{namespace}`"
        f" (it is for: {', '.join(settings.namespaces)}): use another one, or let its declaration"
        " allow the namespace"
    )


def lacks_lane(settings: GroupSettings, lane: str) -> str:
    """Of a lane that the group doesn't have."""
    if settings.has_lane(lane):
        return ""
    lanes = sorted({DEFAULT_LANE, *settings.lanes})
    return (
        f"the worker group `{settings.key}` has no lane {shown(lane)}{near(lane, lanes)}"
        f" (it has: {', '.join(lanes)})"
    )


def unserved(tags: Sequence[str], match: str, groups: Mapping[str, GroupSettings]) -> str:
    """Of tags that none of these groups serves."""
    if any(settings.serves(tags, match) for settings in groups.values()):
        return ""
    offered = sorted({tag for settings in groups.values() for tag in settings.tags})
    alike = "".join(near(tag, offered) for tag in tags if tag not in offered)
    there = f"tags of declared groups: {', '.join(offered)}" if offered else "none has any tags"
    which = "all of the tags" if match == "ALL" else "any of the tags"
    return f"no worker group has {which} [{', '.join(tags)}]{alike} ({there})"
