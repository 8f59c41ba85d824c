"""What a flow says of worker groups: read, and judged by what is declared of them.

The judging functions serve at save and when a job is routed. Each gives a message with value and
remedy, or an empty text where all is well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kestrapy.errors import DeclarationRefused, ExpressionError, FlowRefused, Problem
from kestrapy.language.expression import has_expression, names_of
from kestrapy.language.expression.template import value_needs_world
from kestrapy.language.fields import Fields, plain
from kestrapy.language.problems import Problems, near, shown
from kestrapy.language.yaml_source import Path, parse
from kestrapy.model.worker_group import (
    DEFAULT_GROUP,
    DEFAULT_LANE,
    Fallback,
    GroupSettings,
    NamespaceSettings,
    WorkerGroupRef,
)

NAME = re.compile(r"[a-zA-Z0-9_-]{1,100}")
"""Of a group's key, and of a lane."""
TAG_LIMIT = 20
FALLBACKS = ("WAIT", "FAIL", "CANCEL")
ROOTS = {"execution", "flow", "inputs", "labels", "outputs", "task", "taskrun", "trigger", "vars"}
"""Variables that a template of a key or tag may read: it is rendered before a worker has the job,
by the fold, which reads no secrets and no storage.
"""


@dataclass(frozen=True)
class Declared:
    """What references are judged by. groups: declared ones, None where nothing is known of them.

    namespace: the flow's, empty where it has none. flow: what the flow says itself, for its tasks.
    """

    groups: Mapping[str, GroupSettings] | None
    namespace: str = ""
    flow: WorkerGroupRef | None = None


# Reading


def read_worker_group(fields: Fields, declared: Declared) -> WorkerGroupRef | None:
    """``workerGroup`` or ``workerSelector`` of a flow or task; None where they say nothing."""
    if fields.has("workerGroup") and fields.has("workerSelector"):
        fields.add(
            "workerSelector",
            "`workerGroup` names a group, `workerSelector` finds one by tags: keep one of them",
        )
    for name in ("workerGroup", "workerSelector"):
        fields.take(name)
    if fields.has("workerSelector"):
        selector = fields.fields("workerSelector")
        ref = WorkerGroupRef(
            tags=_read_tags(selector),
            match="ANY" if selector.choice("match", ("ALL", "ANY"), "ALL") == "ANY" else "ALL",
            **_read_rest(selector),
        )
        found = selector
    elif fields.has("workerGroup"):
        found = fields.fields("workerGroup")
        ref = WorkerGroupRef(key=_read_key(found), **_read_rest(found))
    else:
        return None
    found.close()
    if declared.groups is not None:
        _judge(found, ref, known_groups(declared.groups), declared)
    return None if ref == WorkerGroupRef() else ref


def _read_key(fields: Fields) -> str:
    key = fields.text("key").strip()
    if has_expression(key):
        _check_template(fields.problems, (*fields.path, "key"), key)
    elif key and not NAME.fullmatch(key):
        fields.add("key", f"{shown(key)} must match `{NAME.pattern}`")
        return ""
    return key


def _read_tags(fields: Fields) -> tuple[str, ...]:
    if fields.take("tags") in (None, []):
        fields.problems.add(fields.path, "`tags` must name a tag: a group is found by them")
    tags = []
    for index, tag in enumerate(fields.items("tags")):
        path = (*fields.path, "tags", index)
        text = tag if isinstance(tag, str) else plain(tag) if isinstance(tag, bool | int) else ""
        if not text.strip():
            fields.problems.add(path, f"expected text that is not blank, got {shown(tag)}")
            continue
        if has_expression(text):
            _check_template(fields.problems, path, text)
        tags.append(text.strip())
    if len(tags) > TAG_LIMIT:
        fields.add("tags", f"{len(tags)} tags are too many: expected {TAG_LIMIT} at most")
    return tuple(dict.fromkeys(tags))


def _check_template(problems: Problems, path: Path, text: str) -> None:
    try:
        needs_world = value_needs_world(text)
        odd = sorted({path[0] for path in names_of(text)} - ROOTS)
    except ExpressionError as error:
        problems.add(path, str(error))
        return
    if needs_world:
        problems.add(
            path, "a worker group is chosen before there is a worker: read variables alone"
        )
    elif odd:
        problems.add(
            path,
            f"a worker group can't be chosen by `{odd[0]}`{near(odd[0], ROOTS)}"
            f" (there are: {', '.join(sorted(ROOTS))})",
        )


def _read_rest(fields: Fields) -> dict[str, Any]:
    """What a key and tags have in common."""
    lane = fields.text("lane").strip()
    if lane and not NAME.fullmatch(lane):
        fields.add("lane", f"{shown(lane)} must match `{NAME.pattern}`")
        lane = ""
    return {
        "lane": lane,
        "fallback": _read_fallback(fields),
        "fallback_after": fields.duration("fallbackAfter"),
    }


def _read_fallback(fields: Fields) -> Fallback | None:
    value = fields.take("fallback")
    if isinstance(value, dict):
        other = fields.fields("fallback")
        key = other.required("group").strip()
        other.close()
        if key and not NAME.fullmatch(key):
            other.add("group", f"{shown(key)} must be the key of a worker group, as it stands")
        return Fallback("GROUP", key)
    match value:
        case None:
            return None
        case "WAIT" | "FAIL" | "CANCEL":
            return Fallback(value)
        case "IGNORE":
            message = (
                "IGNORE is not supported: a task runs nowhere but where it was sent; name the"
                " group that may run it too, `fallback: {group: other}`"
            )
        case _:
            message = f"{shown(value)} is unknown: expected {', '.join(FALLBACKS)} or {{group: …}}"
    fields.add("fallback", message)
    return None


def parse_defaults(
    source: str, namespace: str, groups: Mapping[str, GroupSettings]
) -> NamespaceSettings:
    """A namespace's settings in YAML or JSON: ``workerGroup`` or ``workerSelector``. namespace
    empty: the tenant's.

    Raises FlowRefused for what is no YAML, DeclarationRefused with every problem found.
    """
    document = parse(source)
    if not isinstance(document.data, dict):
        message = f"expected a map with workerGroup or workerSelector, got {shown(document.data)}"
        raise DeclarationRefused([Problem(message, "", *document.place(()))])
    problems = Problems(document)
    fields = Fields(document.data, (), problems)
    ref = read_worker_group(fields, Declared(groups, namespace))
    fields.close()
    try:
        problems.check()
    except FlowRefused as refused:
        raise DeclarationRefused(refused.problems) from None
    return NamespaceSettings(namespace, ref)


# Judging


def _judge(
    fields: Fields, ref: WorkerGroupRef, groups: Mapping[str, GroupSettings], declared: Declared
) -> None:
    """Problems of what stands there without an expression."""
    own = bool(ref.key or ref.tags)
    chosen = ref if own or declared.flow is None else declared.flow
    namespace, key = declared.namespace, chosen.key
    if ref.tags:
        if not any(map(has_expression, ref.tags)):
            _, problem = fitting(ref.tags, ref.match, namespace, ref.lane or DEFAULT_LANE, groups)
            if problem:
                fields.add("tags", problem)
    elif key and not has_expression(key):
        if own and (problem := undeclared(key, groups) or closed_to(groups[key], namespace)):
            fields.add("key", problem)
        elif key in groups and ref.lane and (problem := lacks_lane(groups[key], ref.lane)):
            fields.add("lane", problem)
    other = ref.fallback.group if ref.fallback else ""
    if other and (problem := unfit_fallback(other, key, namespace, groups)):
        fields.problems.add((*fields.path, "fallback", "group"), problem)


def known_groups(groups: Mapping[str, GroupSettings]) -> dict[str, GroupSettings]:
    """Declared groups by key, sorted; the default one is always among them."""
    every = {DEFAULT_GROUP: GroupSettings(DEFAULT_GROUP), **groups}
    return {key: every[key] for key in sorted(every)}


def undeclared(key: str, groups: Iterable[str]) -> str:
    """Of a key that isn't among those of all known groups."""
    keys = sorted({*groups})
    if key in keys:
        return ""
    return (
        f"unknown worker group `{key}`{near(key, keys)} (declared: {', '.join(keys)}); to declare"
        f" it, run `kestrapy worker-group create {key}` or add it to `workerGroups` of the settings"
    )


def closed_to(settings: GroupSettings, namespace: str) -> str:
    """Of a group that flows of this namespace may not use; an empty namespace may use all."""
    if not namespace or settings.allows(namespace):
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


def unfit_fallback(
    other: str, key: str, namespace: str, groups: Mapping[str, GroupSettings]
) -> str:
    """Of a group that is to run what the group ``key`` has no live worker for."""
    if other == key:
        return f"the fallback of `{key}` is `{key}` itself: name another group, or WAIT"
    return undeclared(other, groups) or closed_to(groups[other], namespace)


def fitting(
    tags: Sequence[str],
    match: str,
    namespace: str,
    lane: str,
    groups: Mapping[str, GroupSettings],
) -> tuple[list[str], str]:
    """-> groups with these tags that this namespace may use and that have the lane, by key; and
    the problem where there are none.
    """
    served = [it for _, it in sorted(groups.items()) if it.serves(tags, match)]
    if not served:
        return [], _unserved(tags, match, groups)
    allowed = [it for it in served if not closed_to(it, namespace)]
    if not allowed:
        return [], closed_to(served[0], namespace)
    found = [it.key for it in allowed if it.has_lane(lane)]
    return found, "" if found else lacks_lane(allowed[0], lane)


def _unserved(tags: Sequence[str], match: str, groups: Mapping[str, GroupSettings]) -> str:
    offered = sorted({tag for settings in groups.values() for tag in settings.tags})
    alike = "".join(near(tag, offered) for tag in tags if tag not in offered)
    there = f"tags of declared groups: {', '.join(offered)}" if offered else "none has any tags"
    which = "all of the tags" if match == "ALL" else "any of the tags"
    return f"no worker group has {which} [{', '.join(tags)}]{alike} ({there})"
