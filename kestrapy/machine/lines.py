"""Where ready jobs of a group wait, and whose turn it is.

::

    group ── turns ──▶ lane ── turns ──▶ namespace: a line of places

Both turns are shares by weight (stride scheduling: Waldspurger and Weihl, 1995): each turn moves
who has it on by STRIDE ÷ weight, and the one who is furthest behind is the next. So each gets as
much as its weight says, nobody starves, and who comes in later does not get the turns that it
missed. A step costs what it moves: a line is two numbers, and each place is an entity of its own.
"""

from __future__ import annotations

from bisect import insort

import msgspec

from kestrapy.errors import InvariantViolated
from kestrapy.machine.entities import (
    Group,
    Lane,
    Line,
    Place,
    TaskRun,
    Turns,
    lane_key,
    line_key,
    place_key,
    run_key,
)
from kestrapy.machine.turn import Turn

STRIDE = 1 << 20
MIDDLE = 1 << 40
"""The first place of a line: there is room on both sides, and 0 means none."""

Entries = tuple[tuple[int, str], ...]
replace = msgspec.structs.replace


def enter(turn: Turn, run: TaskRun, *, first: bool) -> TaskRun:
    """Put a task run at the end of its line, or at the head. -> it, with its place."""
    group, namespace = turn.group(run.group), turn.execution(run.execution_id).namespace
    lane = turn.get(lane_key(run.group, run.lane), Lane) or Lane()
    key = line_key(run.group, run.lane, namespace)
    line = turn.get(key, Line) or Line(MIDDLE, MIDDLE)
    if not lane.namespaces.entries:
        group = replace(group, lanes=join(group.lanes, run.lane))
    if not line.count:
        lane = replace(lane, namespaces=join(lane.namespaces, namespace))
        turn.put(lane_key(run.group, run.lane), lane)
    place = line.head - 1 if first else line.tail
    moved = {"head": place} if first else {"tail": place + 1}
    turn.put(key, replace(line, count=line.count + 1, **moved))
    turn.put(place_key(run.group, run.lane, namespace, place), Place(run.id))
    turn.put_group(replace(group, waiting=group.waiting + 1))
    return turn.put_run(replace(run, place=place))


def leave(turn: Turn, run: TaskRun) -> TaskRun:
    """Take a task run out of its line, wherever it stands. -> it, without a place."""
    namespace = turn.execution(run.execution_id).namespace
    turn.drop(place_key(run.group, run.lane, namespace, run.place))
    line = turn.need(line_key(run.group, run.lane, namespace), Line)
    _close_up(turn, run.group, run.lane, namespace, replace(line, count=line.count - 1))
    return turn.put_run(replace(run, place=0))


def take(turn: Turn, group: Group) -> TaskRun:
    """The next task run of a group in which some wait, without its place."""
    key, settings = group.settings.key, group.settings
    lane_name = group.lanes.entries[0][1]
    lane = turn.need(lane_key(key, lane_name), Lane)
    namespace = lane.namespaces.entries[0][1]
    line = turn.need(line_key(key, lane_name, namespace), Line)
    head, place = line.head, None
    while place is None:  # those who left have left their places empty; each is passed once
        if head >= line.tail:
            raise InvariantViolated(f"nobody is in the line {key}/{lane_name}/{namespace}")
        place = turn.get(place_key(key, lane_name, namespace, head), Place)
        head += 1
    turn.drop(place_key(key, lane_name, namespace, head - 1))
    lane = replace(lane, namespaces=serve(lane.namespaces, settings.weight(namespace)))
    turn.put(lane_key(key, lane_name), lane)
    turn.put_group(replace(group, lanes=serve(group.lanes, settings.lanes.get(lane_name, 1))))
    line = replace(line, head=head, count=line.count - 1)
    _close_up(turn, key, lane_name, namespace, line)
    return turn.put_run(replace(turn.need(run_key(place.task_run_id), TaskRun), place=0))


def _close_up(turn: Turn, group_key: str, lane_name: str, namespace: str, line: Line) -> None:
    """One has left the line: forget what nobody waits in any more."""
    group = turn.group(group_key)
    group = replace(group, waiting=group.waiting - 1)
    if line.count:
        turn.put(line_key(group_key, lane_name, namespace), line)
    else:
        turn.drop(line_key(group_key, lane_name, namespace))
        lane = turn.need(lane_key(group_key, lane_name), Lane)
        lane = replace(lane, namespaces=quit_turns(lane.namespaces, namespace))
        turn.put(lane_key(group_key, lane_name), lane)
        if not lane.namespaces.entries:
            turn.drop(lane_key(group_key, lane_name))
            group = replace(group, lanes=quit_turns(group.lanes, lane_name))
    turn.put_group(group)


# Turns


def join(turns: Turns, name: str) -> Turns:
    return replace(turns, entries=_with(turns.entries, (turns.clock, name)))


def serve(turns: Turns, weight: int) -> Turns:
    """The first has had its turn."""
    (passed, name), *others = turns.entries
    return Turns(passed, _with(tuple(others), (passed + STRIDE // weight, name)))


def quit_turns(turns: Turns, name: str) -> Turns:
    return replace(turns, entries=tuple(it for it in turns.entries if it[1] != name))


def _with(entries: Entries, entry: tuple[int, str]) -> Entries:
    ordered = list(entries)
    insort(ordered, entry)
    return tuple(ordered)
