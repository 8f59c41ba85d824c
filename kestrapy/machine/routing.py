"""Which worker group runs a task: the nearest word about it counts, then what lives and waits.

    task (with its pluginDefaults) > flow > nearest namespace > tenant > the default group

A level that leaves key and tags blank, or whose templates render to nothing, leaves the choice to
the next one; what it says of lane and fallback holds all the same, unless a nearer level said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from kestrapy.errors import ExpressionError, RoutingProblem
from kestrapy.language.expression import has_expression
from kestrapy.language.fields import plain
from kestrapy.language.problems import shown
from kestrapy.language.worker_groups import closed_to, fitting, lacks_lane, undeclared
from kestrapy.model.worker_group import (
    DEFAULT_GROUP,
    DEFAULT_LANE,
    Fallback,
    GroupSettings,
    WorkerGroupRef,
    lineage,
)

AT_ONCE = ("FAIL", "CANCEL")
"""Fallbacks that don't wait where their author states no time."""

Level = tuple[str, WorkerGroupRef]
"""Who says it, such as ``the flow's workerGroup``, and what."""


class GroupView(Protocol):
    """What is known of a group. workers, slots: live ones. waiting: jobs without a worker."""

    @property
    def settings(self) -> GroupSettings: ...
    @property
    def workers(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def waiting(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Route:
    """Where a job goes. fallback_after: ms without a live worker. reason: why there, for people."""

    group: str
    lane: str
    fallback: Fallback
    fallback_after: int
    reason: str


def route(
    task: WorkerGroupRef | None,
    flow: WorkerGroupRef | None,
    namespace: str,
    groups: Mapping[str, GroupView],
    defaults: Callable[[str], WorkerGroupRef | None],
    render: Callable[[str], Any],
) -> Route:
    """Decide by what the task and its flow say, and by the defaults of namespaces.

    groups: the declared ones by key; the default group is there even if it isn't among them.
    defaults: of one namespace, of the tenant where its name is empty. render: a template → its
    value; raises ExpressionError. Raises RoutingProblem where nothing may run the task.
    """
    said: list[WorkerGroupRef] = []
    for who, ref in _levels(task, flow, namespace, defaults):
        said.append(ref)
        if ref.tags:
            if tags := _tags(ref, who, render):
                lane = _lane(said)
                return _routed(said, *_by_tags(tags, ref.match, namespace, lane, groups, who))
        elif key := _text(_rendered(ref.key, who, render), ref.key, who):
            _check(undeclared(key, (DEFAULT_GROUP, *groups)), who)
            settings = _settings(key, groups)
            _check(closed_to(settings, namespace), who)
            return _routed(said, settings, who)
    return _routed(said, _settings(DEFAULT_GROUP, groups), "nobody names a group")


def _levels(
    task: WorkerGroupRef | None,
    flow: WorkerGroupRef | None,
    namespace: str,
    defaults: Callable[[str], WorkerGroupRef | None],
) -> Iterator[Level]:
    """The nearest first."""
    for ref, whose in ((task, "the task's"), (flow, "the flow's")):
        if ref is not None:
            yield f"{whose} {'workerSelector' if ref.tags else 'workerGroup'}", ref
    for name in (*lineage(namespace), ""):
        found = defaults(name)
        if found is not None:
            yield f"namespace {name}'s default" if name else "the tenant's default", found


def _rendered(template: str, who: str, render: Callable[[str], Any]) -> Any:
    if not has_expression(template):
        return template
    try:
        return render(template)
    except ExpressionError as error:
        raise RoutingProblem(f"{who} can't be rendered: {error}") from error


def _text(value: Any, template: str, who: str) -> str:
    """A rendered key or tag; empty where it is null or blank."""
    if isinstance(value, bool | int):
        return plain(value)
    if value is not None and not isinstance(value, str):
        raise RoutingProblem(f"{who}: {shown(template)} gives {shown(value)}, expected text")
    return (value or "").strip()


def _tags(ref: WorkerGroupRef, who: str, render: Callable[[str], Any]) -> list[str]:
    """Each once, without those that are blank; a template may give a list of them."""
    found: list[str] = []
    for template in ref.tags:
        value = _rendered(template, who, render)
        found += (
            _text(item, template, who) for item in (value if isinstance(value, list) else [value])
        )
    return [tag for tag in dict.fromkeys(found) if tag]


def _by_tags(
    tags: Sequence[str],
    match: str,
    namespace: str,
    lane: str,
    groups: Mapping[str, GroupView],
    who: str,
) -> tuple[GroupSettings, str]:
    """-> the best group that has the tags, and why; live ones first, then the least busy."""
    settings = {key: view.settings for key, view in groups.items()}
    keys, problem = fitting(tags, match, namespace, lane, settings)
    _check(problem, who)
    ranked = sorted((groups[key] for key in keys), key=_rank)
    return ranked[0].settings, f"{who}: tags [{', '.join(tags)}] match {_why(ranked)}"


def _is_live(view: GroupView) -> bool:
    return view.workers > 0 and not view.settings.drained


def _load(view: GroupView) -> Fraction:
    """Waiting jobs per slot, exactly: every fold has to find the same order."""
    return Fraction(view.waiting, max(view.slots, 1))


def _rank(view: GroupView) -> tuple[bool, Fraction, str]:
    return not _is_live(view), _load(view), view.settings.key


def _why(ranked: Sequence[GroupView]) -> str:
    """Which groups match, and what put the first before the second."""
    first = ranked[0].settings.key
    if len(ranked) == 1:
        return first
    keys = ", ".join(sorted(view.settings.key for view in ranked))
    if _is_live(ranked[0]) and not _is_live(ranked[1]):
        return f"{keys}; only {first} has live workers"
    if _load(ranked[0]) != _load(ranked[1]):
        return f"{keys}; {first} has fewer waiting per slot"
    return f"{keys}; {first} is the first by name of those that are alike"


def _settings(key: str, groups: Mapping[str, GroupView]) -> GroupSettings:
    view = groups.get(key)
    return GroupSettings(key) if view is None else view.settings


def _lane(said: Sequence[WorkerGroupRef]) -> str:
    """The nearest level's that names one."""
    return next((ref.lane for ref in said if ref.lane), DEFAULT_LANE)


def _routed(said: Sequence[WorkerGroupRef], settings: GroupSettings, reason: str) -> Route:
    lane = _lane(said)
    _check(lacks_lane(settings, lane), reason)
    fallback, after = _fallback(said, settings)
    if fallback.group == settings.key:
        # A computed key may give the very group that was to stand in for it: there is no other.
        fallback = Fallback()
    return Route(settings.key, lane, fallback, after, reason)


def _fallback(said: Sequence[WorkerGroupRef], settings: GroupSettings) -> tuple[Fallback, int]:
    """The nearest level's that names one, with the time stated there or nearer."""
    after: int | None = None
    for ref in said:
        after = ref.fallback_after if after is None else after
        if ref.fallback is not None:
            at_once = ref.fallback.behavior in AT_ONCE
            late = 0 if at_once else settings.fallback_after
            return ref.fallback, late if after is None else after
    return settings.fallback, settings.fallback_after if after is None else after


def _check(problem: str, who: str) -> None:
    if problem:
        raise RoutingProblem(f"{who}: {problem}")
