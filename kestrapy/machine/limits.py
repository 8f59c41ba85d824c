"""Concurrency limits of flows, in the fold of ``admission``: who holds a slot, and who waits.

::

    flow ── Limit: limit, how many hold, the line's head and tail
      └── Seat of each execution that asked: it holds a slot, or stands at a place in the line
            └── Standing: who is at a place

An execution asks once it exists, and says so when it is over, whatever became of it: a seat lives
as long as its execution does. What is counted changes only where a seat comes, goes, or is given
its slot; so nothing can leak, and a command that comes twice finds its seat taken or gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from kestrapy.errors import InvariantViolated
from kestrapy.machine.commands import (
    FlowSaveRequested,
    SlotDenied,
    SlotGranted,
    SlotReleased,
    SlotWanted,
)
from kestrapy.machine.entities import Entity, EntityMap
from kestrapy.machine.outputs import Output

GRANTS = 100
"""That one command makes: where a limit was raised by more, those who were granted ask on."""
replace = msgspec.structs.replace


class Limit(Entity, frozen=True):
    """Of a flow. revision: of the flow that said so last. limit: 0 for none. holding, waiting:
    seats. head, tail: places of the line, from head to below tail.
    """

    revision: int = 0
    limit: int = 0
    holding: int = 0
    waiting: int = 0
    head: int = 1
    tail: int = 1


class Seat(Entity, frozen=True):
    """Of an execution. place: in the line, 0: it holds a slot. restarts: of the execution, when it
    asked.
    """

    place: int
    restarts: int = 0


class Standing(Entity, frozen=True):
    """Who is at a place of a line."""

    execution_id: str


ENTITIES = (Limit, Seat, Standing)
E = TypeVar("E", bound=Entity)


def limit_key(flow: str) -> str:
    """flow: ``namespace/id``."""
    return "l:" + flow


def seat_key(flow: str, execution_id: str) -> str:
    return f"h:{flow}/{execution_id}"


def standing_key(flow: str, place: int) -> str:
    return f"p:{flow}/{place}"


class Admittance:
    """One command's work on the limit of one flow. changes, outputs: as those of a step."""

    def __init__(self, state: EntityMap, namespace: str, flow_id: str):
        self.changes: dict[str, Entity | None] = {}
        self.outputs: list[Output] = []
        self._state = state
        self._namespace, self._flow_id = namespace, flow_id
        self._flow = f"{namespace}/{flow_id}"

    def saved(self, command: FlowSaveRequested, revision: int) -> None:
        """A new revision: its limit is in force from here on."""
        if command.limit or self._limit.revision:
            self._keep(self._said(revision, command.limit))
            self._grant()

    def wanted(self, command: SlotWanted) -> None:
        """An execution asks for a slot; one that has a seat gets nothing by asking again. It has
        none of before its restart: its end, which came first, has given that back.
        """
        if command.limit:
            self._keep(self._said(command.revision, command.limit))
        seat, limit = self._seat(command.execution_id), self._limit
        if command.forced:
            self._force(command, seat)
        elif seat is None and self._is_free(limit) and not limit.waiting:
            self._sit(command.execution_id, command.restarts)
        elif seat is None:
            self._deny(command)
        self._grant()

    def released(self, command: SlotReleased) -> None:
        """It is over: its seat goes, and whoever is next gets the slot that it held."""
        seat = self._seat(command.execution_id)
        if seat is None or seat.restarts != command.restarts:
            return
        self.changes[seat_key(self._flow, command.execution_id)] = None
        limit = self._limit
        if seat.place:
            self._leave(seat)
        else:
            self._keep(replace(limit, holding=limit.holding - 1))
        self._grant()

    # Seats

    def _deny(self, command: SlotWanted) -> None:
        limit, place = self._limit, 0
        if command.waits:
            place = limit.tail
            self.changes[seat_key(self._flow, command.execution_id)] = Seat(place, command.restarts)
            self.changes[standing_key(self._flow, place)] = Standing(command.execution_id)
            self._keep(replace(limit, tail=place + 1, waiting=limit.waiting + 1))
        self.outputs.append(
            SlotDenied(
                command.execution_id,
                limit.limit,
                limit.holding,
                limit.waiting,
                command.restarts,
            )
        )

    def _force(self, command: SlotWanted, seat: Seat | None) -> None:
        """It gets a slot beyond the limit: people said so."""
        if seat is None or seat.restarts != command.restarts:  # it is over meanwhile
            return
        if seat.place:
            self._leave(seat)
            self._sit(command.execution_id, seat.restarts)

    def _grant(self) -> None:
        """Slots that are free, to those who wait, in their order."""
        for _ in range(GRANTS):
            limit = self._limit
            if not limit.waiting or not self._is_free(limit):
                return
            place = limit.head
            while (standing := self._get(standing_key(self._flow, place), Standing)) is None:
                place += 1  # those who left have left their places empty; each is passed once
                if place >= limit.tail:
                    raise InvariantViolated(f"nobody is in the line of {self._flow}")
            self._keep(replace(limit, head=place))
            self._leave(Seat(place))
            seat = self._seat(standing.execution_id) or Seat(place)
            self._sit(standing.execution_id, seat.restarts)

    def _sit(self, execution_id: str, restarts: int) -> None:
        limit = self._keep(replace(self._limit, holding=self._limit.holding + 1))
        self.changes[seat_key(self._flow, execution_id)] = Seat(0, restarts)
        more = bool(limit.waiting) and self._is_free(limit)
        flow = (self._namespace, self._flow_id)
        self.outputs.append(SlotGranted(execution_id, *flow, more, restarts))

    def _leave(self, seat: Seat) -> None:
        limit = self._limit
        self.changes[standing_key(self._flow, seat.place)] = None
        self._keep(replace(limit, waiting=limit.waiting - 1))

    # What is known

    def _said(self, revision: int, limit: int) -> Limit:
        known = self._limit
        if revision <= known.revision:
            return known
        return replace(known, revision=revision, limit=limit)

    @staticmethod
    def _is_free(limit: Limit) -> bool:
        return not limit.limit or limit.holding < limit.limit

    @property
    def _limit(self) -> Limit:
        return self._get(limit_key(self._flow), Limit) or Limit()

    def _seat(self, execution_id: str) -> Seat | None:
        return self._get(seat_key(self._flow, execution_id), Seat)

    def _keep(self, limit: Limit) -> Limit:
        self.changes[limit_key(self._flow)] = limit
        return limit

    def _get(self, key: str, kind: type[E]) -> E | None:
        known: Mapping[str, Entity | None] = self.changes if key in self.changes else self._state
        found = known.get(key)
        if found is not None and not isinstance(found, kind):
            raise InvariantViolated(f"{key} is a {type(found).__name__}, not a {kind.__name__}")
        return found
