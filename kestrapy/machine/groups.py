"""Worker groups as a shard knows them: what is declared, who lives, and how much is published.

Of a group's jobs few stand in its topic unclaimed, twice as many as its live workers have slots:
those that are published can't be put in another order any more. Each claim lets the next one out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from kestrapy.machine import lines
from kestrapy.machine.commands import GroupLive, SettingChanged
from kestrapy.machine.entities import (
    GROUP_KEYS,
    Group,
    GroupKeys,
    Namespace,
    TaskRun,
    group_key,
    namespace_key,
    run_key,
)
from kestrapy.machine.transitions import TASK_RUN, enter
from kestrapy.machine.turn import Turn
from kestrapy.model.state import State
from kestrapy.model.worker_group import (
    DEFAULT_GROUP,
    GROUP,
    GroupSettings,
    NamespaceSettings,
    WorkerGroupRef,
    decode,
)

LEAST_PUBLISHED = 4
"""Of a shard, however few slots there are: a claim takes a moment to let the next job out."""

replace = msgspec.structs.replace


def window(group: Group, shards: int) -> int:
    """How many jobs of a group a shard may have published and unclaimed."""
    if group.settings.drained:
        return 0
    return max(LEAST_PUBLISHED, 2 * group.slots // shards)


def publish_waiting(turn: Turn, publish: Callable[[TaskRun], None]) -> None:
    """Let out what there is room for, of each group that this turn made room in."""
    for key, epoch in turn.ready:
        run = turn.get(key, TaskRun)
        if run is not None and run.is_waiting and run.epoch == epoch:
            publish(run)
    while turn.groups:
        key = next(iter(turn.groups))
        del turn.groups[key]
        while (group := turn.group(key)).waiting and _has_room(group, turn.rules.shards):
            publish(_let_out(turn, lines.take(turn, group)))


def _has_room(group: Group, shards: int) -> bool:
    return group.published < window(group, shards)


def _let_out(turn: Turn, run: TaskRun) -> TaskRun:
    group = turn.group(run.group)
    turn.put_group(replace(group, published=group.published + 1))
    if run.state is State.CREATED:
        history = enter(TASK_RUN, run.history, State.SUBMITTED, turn.at)
        run = replace(run, history=history)
    return turn.put_run(run)


def wait(turn: Turn, run: TaskRun, *, first: bool) -> None:
    """Let a task run wait for its group. first: at the head of its line."""
    group = turn.group(run.group)
    if not group.waiting and _has_room(group, turn.rules.shards):
        run = _let_out(turn, run)
        turn.ready.insert(0 if first else len(turn.ready), (run_key(run.id), run.epoch))
    else:
        lines.enter(turn, run, first=first)


def stop_waiting(turn: Turn, run: TaskRun) -> TaskRun:
    """It is claimed, or wanted here no more. -> it, without its place."""
    turn.groups[run.group] = None
    if run.place:
        return lines.leave(turn, run)
    group = turn.group(run.group)
    turn.put_group(replace(group, published=group.published - 1))
    return run


# What is said of groups


def live(turn: Turn, command: GroupLive) -> None:
    group = turn.group(command.worker_group)
    said = replace(
        group,
        workers=command.workers,
        slots=command.slots,
        topic=command.topic or group.topic,
    )
    if said != group:
        turn.put_group(said)
        turn.groups[command.worker_group] = None


def changed(turn: Turn, command: SettingChanged) -> None:
    if command.kind == GROUP:
        _group_changed(turn, command)
    elif not command.content:
        turn.drop(namespace_key(command.name))
    else:
        settings = decode(command.kind, command.content)
        if isinstance(settings, NamespaceSettings):
            turn.put(namespace_key(command.name), Namespace(settings))


def _group_changed(turn: Turn, command: SettingChanged) -> None:
    """One that was deleted stays known: jobs may wait for it still."""
    group, deleted = turn.group(command.name), not command.content
    if command.revision <= group.revision:
        return
    settings = group.settings if deleted else decode(GROUP, command.content)
    if isinstance(settings, GroupSettings):
        after = replace(group, settings=settings, revision=command.revision, deleted=deleted)
        turn.put_group(after)
    keys = [it for it in _keys(turn) if it != command.name]
    if not deleted:
        keys = sorted([*keys, command.name])
    turn.put(GROUP_KEYS, GroupKeys(tuple(keys)))
    turn.groups[command.name] = None


def _keys(turn: Turn) -> tuple[str, ...]:
    known = turn.get(GROUP_KEYS, GroupKeys)
    return known.keys if known is not None else ()


class View(NamedTuple):
    """A group as routing sees it (``routing.GroupView``)."""

    settings: GroupSettings
    workers: int
    slots: int
    waiting: int


class KnownGroups(Mapping[str, View]):
    """The declared groups, for routing. assumed: keys that were found declared when the flow was
    saved: their declaration may still be on its way to this shard.
    """

    def __init__(self, turn: Turn, assumed: tuple[str, ...] = ()):
        self._turn = turn
        self._assumed = (DEFAULT_GROUP, *assumed)

    def __getitem__(self, key: str) -> View:
        group = self._turn.get(group_key(key), Group)
        known = group is not None and group.revision and not group.deleted
        if not known and key not in self._assumed:
            raise KeyError(key)
        group = group or self._turn.group(key)
        waiting = group.waiting + group.published
        return View(group.settings, group.workers, group.slots, waiting)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*_keys(self._turn), *self._assumed)))

    def __len__(self) -> int:
        return len(set(_keys(self._turn)) | set(self._assumed))


def default_of(turn: Turn, namespace: str) -> WorkerGroupRef | None:
    """Where tasks of a namespace run whose flow says nothing; of the tenant for the empty name."""
    found = turn.get(namespace_key(namespace), Namespace)
    return found.settings.worker_group if found is not None else None
