"""The fold of ``triggers``: when a schedule makes an execution.

    TriggerDefined ──▶ wants a date ── TriggerScheduled ──▶ waits ── TriggerDue ──▶
    ExecutionSubmitted, wants a date …

The execution's id is derived from trigger and date, so a date makes one execution, whoever folds it
how often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kestrapy.machine.commands import (
    Command,
    ExecutionEnded,
    ExecutionSubmitted,
    TriggerDefined,
    TriggerDefinition,
    TriggerDue,
    TriggerFired,
    TriggerScheduled,
    TriggerToggled,
)
from kestrapy.machine.entities import Entity, EntityMap
from kestrapy.machine.execution import Step
from kestrapy.machine.outputs import Output, TriggerEvent
from kestrapy.machine.turn import NUMBERS_PER_COMMAND
from kestrapy.model.ids import derive_execution_id, digest
from kestrapy.model.instants import iso_date

replace = msgspec.structs.replace


class TriggerState(Entity, frozen=True):
    """A trigger. after: the next date is sought after this one. date: the next one, 0 while it is
    sought.

    last: the date of the last execution, 0 for none. execution_id: the one that runs and holds the
    trigger. held_back: ``date`` has come, and waits for that execution to end. disabled: by a task,
    until another one enables it; its definition may be disabled too. Times: epoch ms.
    """

    uid: str
    namespace: str
    flow_id: str
    revision: int
    definition: TriggerDefinition
    after: int
    date: int = 0
    following: int = 0
    last: int = 0
    execution_id: str = ""
    held_back: bool = False
    disabled: bool = False

    @property
    def due(self) -> int:
        """When a TriggerDue is wanted, 0 for never."""
        return 0 if self.is_disabled or self.held_back else self.date

    @property
    def wants_date(self) -> bool:
        return not self.is_disabled and not self.date

    @property
    def is_disabled(self) -> bool:
        return self.disabled or self.definition.disabled


ENTITIES = (TriggerState,)


def trigger_key(uid: str) -> str:
    return "t:" + uid


def step(state: EntityMap, command: Command, at: int, offset: int, shards: int) -> Step:
    """shards: how many partitions ``requests`` has; the new execution's is drawn by trigger and
    date.
    """
    handler = _HANDLERS.get(type(command))
    if handler is None:
        return Step({}, [])
    known = state.get(trigger_key(command.uid))  # type: ignore[union-attr]
    before = known if isinstance(known, TriggerState) else None
    after, outputs = handler(before, command, at, shards)
    if after is before:
        return Step({}, outputs)
    shown = after or before
    if shown is None:
        return Step({}, outputs)
    number = offset * NUMBERS_PER_COMMAND
    outputs.append(_event(shown, number, at, deleted=after is None))
    return Step({trigger_key(shown.uid): after}, outputs)


Handled = tuple[TriggerState | None, list[Output]]


def _defined(known: TriggerState | None, command: TriggerDefined, at: int, _: int) -> Handled:
    if known is not None and command.revision <= known.revision:
        return known, []
    if command.definition is None:
        return None, []
    fresh = TriggerState(
        command.uid,
        command.namespace,
        command.flow_id,
        command.revision,
        command.definition,
        after=at,
    )
    if known is None:
        return fresh, []
    fresh = replace(
        fresh, last=known.last, execution_id=known.execution_id, disabled=known.disabled
    )
    same = known.definition.properties == command.definition.properties
    if same and known.date and not known.definition.disabled:  # what it missed is not made up
        fresh = replace(fresh, after=known.after, date=known.date, following=known.following)
    return fresh, []


def _scheduled(known: TriggerState | None, command: TriggerScheduled, at: int, _: int) -> Handled:
    wanted = known is not None and known.wants_date
    if known is None or not wanted:
        return known, []
    if (known.revision, known.after) != (command.revision, command.after):
        return known, []
    return replace(known, date=command.date, following=command.following), []


def _toggled(known: TriggerState | None, command: TriggerToggled, at: int, _: int) -> Handled:
    """Of the time in which it was disabled no date is made up."""
    if known is None or known.disabled == command.disabled:
        return known, []
    fresh = replace(known, disabled=command.disabled, held_back=False)
    return replace(fresh, after=at, date=0, following=0), []


def _due(known: TriggerState | None, command: TriggerDue, at: int, shards: int) -> Handled:
    if known is None or not known.due or known.due != command.due:
        return known, []
    if known.execution_id and not known.definition.allow_concurrent:
        return replace(known, held_back=True), []
    return _fire(known, shards)


def _ended(known: TriggerState | None, command: ExecutionEnded, at: int, shards: int) -> Handled:
    if known is None or known.execution_id != command.execution_id:
        return known, []
    free = replace(known, execution_id="")
    if not known.held_back:
        return free, []
    return _fire(replace(free, held_back=False), shards)


def _fire(trigger: TriggerState, shards: int) -> Handled:
    """Make the execution of the date. The next date is sought after this one: every date that was
    missed is made up, as Kestra's default has it (recoverMissedSchedules: ALL).
    """
    shard = digest(trigger.uid, trigger.date, bits=32) % shards
    execution_id = derive_execution_id(shard, trigger.date, "trigger", trigger.uid, trigger.date)
    variables = {"date": iso_date(trigger.date), "next": iso_date(trigger.following)}
    if trigger.last:
        variables["previous"] = iso_date(trigger.last)
    fired = TriggerFired(
        trigger.definition.id,
        trigger.definition.type,
        trigger.uid,
        msgspec.json.encode(variables).decode(),
    )
    submitted = ExecutionSubmitted(
        execution_id,
        trigger.namespace,
        trigger.flow_id,
        trigger.revision,
        inputs=trigger.definition.inputs,
        trigger=fired,
    )
    fresh = replace(
        trigger,
        last=trigger.date,
        after=trigger.date,
        date=0,
        following=0,
        execution_id=execution_id,
    )
    return fresh, [submitted]


def _event(trigger: TriggerState, number: int, at: int, deleted: bool) -> TriggerEvent:
    return TriggerEvent(
        uid=trigger.uid,
        number=number,
        at=at,
        namespace=trigger.namespace,
        flow_id=trigger.flow_id,
        flow_revision=trigger.revision,
        trigger_id=trigger.definition.id,
        type=trigger.definition.type,
        disabled=trigger.is_disabled,
        deleted=deleted,
        next_date=trigger.date or None,
        last_date=trigger.last or None,
        execution_id=trigger.execution_id or None,
    )


_HANDLERS: dict[type, Callable[[TriggerState | None, Any, int, int], Handled]] = {
    TriggerDefined: _defined,
    TriggerScheduled: _scheduled,
    TriggerToggled: _toggled,
    TriggerDue: _due,
    ExecutionEnded: _ended,
}
