"""What an execution has to keep to (``sla``): how long it takes, and what is true of it.

A duration counts from the beginning of the execution, time in a queue included. An assertion is
asked whenever something of the execution goes on. Each is violated once: then the execution gets
the labels, says so in its log, and ends if the behavior says so.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine import conditions, flowables
from kestrapy.machine.entities import Kept, content_key, kept_key
from kestrapy.machine.log_lines import say
from kestrapy.machine.turn import Turn
from kestrapy.model.flow import Sla
from kestrapy.model.state import State

ENDS = {"FAIL": State.FAILED, "CANCEL": State.CANCELLED}
FIRST_LINE = 1_000
"""The sequence of the first one's line in the execution's log: others come before."""
replace = msgspec.structs.replace


def start(turn: Turn, execution_id: str) -> None:
    """From here on durations count."""
    execution = turn.execution(execution_id)
    if turn.plan(execution).flow.sla:
        turn.put(kept_key(execution_id), Kept(turn.at))
        _set_timer(turn, execution_id)


def _set_timer(turn: Turn, execution_id: str) -> None:
    """For the next of the durations that are still kept."""
    execution, kept = turn.execution(execution_id), turn.need(kept_key(execution_id), Kept)
    left = [
        it.duration
        for number, it in enumerate(turn.plan(execution).flow.sla)
        if it.type == "MAX_DURATION" and number not in kept.violated
    ]
    # Another time than that of the command at hand, which may be a timer of the execution too.
    following = max(kept.began + min(left), turn.at + 1) if left else 0
    turn.put_execution(replace(execution, due=following))


def forget(turn: Turn, execution_id: str) -> None:
    """The execution is over."""
    if turn.get(kept_key(execution_id), Kept) is not None:
        turn.drop(kept_key(execution_id))


def due(turn: Turn, execution_id: str) -> State | None:
    """The time of one or more of them is over. -> the state in which the execution is to end."""
    kept = turn.get(kept_key(execution_id), Kept)
    if kept is None:  # it has not begun
        return None
    ended = None
    for number, sla in enumerate(turn.plan(turn.execution(execution_id)).flow.sla):
        late = sla.type == "MAX_DURATION" and sla.duration <= turn.at - kept.began
        if late and number not in kept.violated:
            state = _violate(turn, execution_id, number, f"it takes longer than {sla.duration} ms")
            ended = ended or state
    _set_timer(turn, execution_id)
    turn.touch(execution_id)
    return ended


def judge(turn: Turn, execution_id: str) -> None:
    """Ask the assertions of an execution that runs; it stops where one says so."""
    execution = turn.execution(execution_id)
    kept = turn.get(kept_key(execution_id), Kept)
    if kept is None or execution.killing or execution.history.current.is_terminal:
        return
    for number, sla in enumerate(turn.plan(execution).flow.sla):
        if sla.type != "EXECUTION_ASSERTION" or number in kept.violated:
            continue
        held = conditions.is_met(turn, execution, sla.condition)
        if held is not False:  # one that can't be evaluated is not violated: what it reads may come
            continue
        state = _violate(turn, execution_id, number, f"`{sla.condition}` gives false")
        if state is not None:
            return flowables.stop(turn, execution_id, state)


def _violate(turn: Turn, execution_id: str, number: int, reason: str) -> State | None:
    """-> the state in which the execution is to end, None: it goes on."""
    execution, content = turn.execution(execution_id), turn.content(execution_id)
    sla: Sla = turn.plan(execution).flow.sla[number]
    message = f"SLA {sla.id} is violated: {reason}"
    state = ENDS.get(sla.behavior)
    turn.put(content_key(execution_id), replace(content, labels={**content.labels, **sla.labels}))
    kept = turn.need(kept_key(execution_id), Kept)
    turn.put(kept_key(execution_id), replace(kept, violated=(*kept.violated, number)))
    if state is not None:
        turn.put_execution(replace(execution, error=message))
    say(turn, execution, FIRST_LINE + number, "WARN" if state is None else "ERROR", message)
    return state
