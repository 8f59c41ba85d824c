"""Executions that stand still: paused by request, or left alone by a declaration. What runs goes on
and counts, and kills work; nothing starts.

What would have gone on is noted, one small entity for each, so that nothing has to be searched for
when the execution goes on. Runs that a Pause holds are noted in the same place.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine.commands import SettingChanged
from kestrapy.machine.entities import (
    Execution,
    Halt,
    HeldBack,
    Ignored,
    Sweep,
    TaskRun,
    halt_key,
    held_back_key,
    ignored_key,
    run_key,
    sweep_key,
)
from kestrapy.machine.turn import Turn
from kestrapy.model.flow import TENANT

GO_ON = "go on"
"""The kind of walk that lets go on what was held back."""
LOOK_AGAIN, LOOK_AT_LEAST = 2_000, 60_000
"""ms after which it is looked whether an execution is still to be left alone; each time twice as
long, up to the second.
"""
STALE_PER_NOTE = 2
replace = msgspec.structs.replace


def stands_still(turn: Turn, execution: Execution) -> bool:
    if execution.killing:
        return False
    return is_paused(turn, execution.id) or is_ignored(turn, execution)


def is_paused(turn: Turn, execution_id: str) -> bool:
    """Whether somebody asked for it; a Pause that holds a run of it is another matter."""
    halt = turn.get(halt_key(execution_id), Halt)
    return halt is not None and halt.asked


# What is held back


def hold_back(turn: Turn, execution: Execution, ordinal: int) -> None:
    """Note what goes on later: the list of this owner, or a task run."""
    halt = _without_stale(turn, execution.id, turn.get(halt_key(execution.id), Halt) or Halt())
    turn.put(held_back_key(execution.id, halt.tail), HeldBack(ordinal))
    turn.put(halt_key(execution.id), replace(halt, tail=halt.tail + 1))
    if is_ignored(turn, execution):
        look_again(turn, execution.id)


def _without_stale(turn: Turn, execution_id: str, halt: Halt) -> Halt:
    """So that the notes of pauses that are over do not pile up."""
    head = halt.head
    while head < min(halt.tail, halt.head + STALE_PER_NOTE):
        ordinal = turn.need(held_back_key(execution_id, head), HeldBack).ordinal
        run = turn.get(run_key(f"{execution_id}-{ordinal}"), TaskRun)
        if ordinal < 0 or run is None or not run.state.is_terminal:
            break
        turn.drop(held_back_key(execution_id, head))
        head += 1
    return replace(halt, head=head)


def take(turn: Turn, execution_id: str, below: int) -> int | None:
    """The next one that was held back, among those before ``below``."""
    halt = turn.get(halt_key(execution_id), Halt)
    if halt is None or halt.head >= min(below, halt.tail):
        return None
    key = held_back_key(execution_id, halt.head)
    ordinal = turn.need(key, HeldBack).ordinal
    turn.drop(key)
    turn.put(halt_key(execution_id), replace(halt, head=halt.head + 1))
    return ordinal


def settle(turn: Turn, execution_id: str) -> None:
    """Forget the notes where there are none, and nothing is asked for."""
    halt = turn.get(halt_key(execution_id), Halt)
    if halt is not None and not halt.asked and halt.head == halt.tail:
        turn.drop(halt_key(execution_id))


def lift(turn: Turn, execution_id: str) -> None:
    """Its execution ends: what follows the end is not held back."""
    halt = turn.get(halt_key(execution_id), Halt)
    if halt is not None and halt.asked:
        turn.put(halt_key(execution_id), replace(halt, asked=False))


def forget(turn: Turn, execution_id: str, most: int) -> bool:
    """Drop so many notes of an execution that has ended. -> whether some are left."""
    halt = turn.get(halt_key(execution_id), Halt)
    if halt is None:
        return False
    upto = min(halt.tail, halt.head + most)
    for place in range(halt.head, upto):
        turn.drop(held_back_key(execution_id, place))
    if upto == halt.tail:
        turn.drop(halt_key(execution_id))
    else:
        turn.put(halt_key(execution_id), replace(halt, head=upto))
    return upto < halt.tail


# What is left alone


def is_ignored(turn: Turn, execution: Execution) -> bool:
    names = (
        f"execution/{execution.id}",
        f"flow/{execution.namespace}/{execution.flow_id}",
        f"namespace/{execution.namespace}",
        f"tenant/{TENANT}",
    )
    return any(turn.get(ignored_key(name), Ignored) is not None for name in names)


def changed(turn: Turn, command: SettingChanged) -> None:
    """Something is to be left alone, or no more. Executions notice it by themselves."""
    if command.content:
        turn.put(ignored_key(command.name), Ignored())
    elif turn.get(ignored_key(command.name), Ignored) is not None:
        turn.drop(ignored_key(command.name))


def look_again(turn: Turn, execution_id: str) -> None:
    """Look later whether it is still to be left alone, unless that is noted already."""
    key = sweep_key(execution_id)
    if turn.get(key, Sweep) is None:
        turn.put(key, Sweep(GO_ON, execution_id, due=turn.at + LOOK_AGAIN, waits=LOOK_AGAIN))


def look_later(turn: Turn, sweep: Sweep) -> None:
    waits = min(max(2 * sweep.waits, LOOK_AGAIN), LOOK_AT_LEAST)
    following = replace(sweep, due=turn.at + waits, waits=waits)
    turn.put(sweep_key(sweep.execution_id), following)
