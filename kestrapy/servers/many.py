"""Commands for many executions: in batches, each execution looked at before it is told.

What is stored lags behind the log a little; so a command that is sent may still find that its
execution has moved on, and has no effect then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kestrapy.errors import Conflict, KestrapyError, NotFound, UserError
from kestrapy.machine.commands import (
    Command,
    ExecutionRestored,
    KillRequested,
    PauseRequested,
    ResumeRequested,
)
from kestrapy.machine.outputs import ExecutionPurge
from kestrapy.model.ids import time_of
from kestrapy.model.state import State
from kestrapy.ports.log import Message
from kestrapy.ports.store import ExecutionSearch, Queries, StoredExecution
from kestrapy.servers.router import Router

BATCH = 200
"""Executions that are read, and told, at a time."""
MOST_BYTES = 4_000_000
"""After which those of a batch are sent that there are: a restart has all of an execution."""
REFUSALS_TOLD = 100
"""Of those that were refused, the first so many are named."""

Order = Callable[[StoredExecution], Iterable[Command]]
"""What is to be sent for an execution, without its task runs. Raises KestrapyError, with a message
for people, where it can't be.
"""


def kill(stored: StoredExecution, cascade: bool = True) -> Sequence[Command]:
    if stored.snapshot.state.is_terminal:
        raise Conflict(f"execution {stored.execution_id} has ended: {stored.snapshot.state}")
    return [KillRequested(stored.execution_id, cascade)]


def pause(stored: StoredExecution) -> Sequence[Command]:
    state = stored.snapshot.state
    if state is not State.RUNNING:
        raise Conflict(f"execution {stored.execution_id} is not running: {state}")
    return [PauseRequested(stored.execution_id)]


def resume(stored: StoredExecution) -> Sequence[Command]:
    state = stored.snapshot.state
    if state is not State.PAUSED:
        raise Conflict(f"execution {stored.execution_id} is not paused: {state}")
    return [ResumeRequested(execution_id=stored.execution_id)]


def purge(
    stored: StoredExecution, at: int, *, logs: bool, metrics: bool
) -> Sequence[ExecutionPurge]:
    """stored: without its task runs, whose events have numbers of their own. at: epoch ms."""
    state = stored.snapshot.state
    if not state.is_terminal:
        raise Conflict(f"execution {stored.execution_id} has not ended ({state}): kill it first")
    return [ExecutionPurge(stored.execution_id, stored.number, at, True, logs, metrics)]


@dataclass
class Outcome:
    """count: executions that were told. refused: of those that were not, the first ones, by id,
    with why. refused_count: all of them.
    """

    count: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    refused_count: int = 0

    def refuse(self, execution_id: str, reason: str) -> None:
        self.refused_count += 1
        if len(self.refused) < REFUSALS_TOLD:
            self.refused[execution_id] = reason


class Outgoing:
    """Sends records in batches. send: returns once the log has all of the messages; raises
    LogUnavailable.
    """

    def __init__(self, router: Router, send: Callable[[Sequence[Message]], None]):
        self._router = router
        self._send = send
        self._messages: list[Message] = []
        self._size = 0
        self._holds = False

    def add(self, record: Command) -> None:
        """What waits for a parent is in the log before anything else that follows it."""
        held = isinstance(record, ExecutionRestored) and record.held
        if self._holds and not held:
            self.flush()
        self._holds = held
        self._messages.append(self._router.message(record))
        self._size += len(self._messages[-1].value or b"")
        if self._size > MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._messages:
            self._send(self._messages)
        self._messages, self._size = [], 0


class Many:
    """send: returns once the log has all of the messages. What fails raises StoreUnavailable,
    LogUnavailable; what was sent until then takes effect.
    """

    def __init__(self, queries: Queries, router: Router, send: Callable[[Sequence[Message]], None]):
        self._queries = queries
        self._router = router
        self._send = send

    def by_ids(self, order: Order, ids: Sequence[str]) -> Outcome:
        """Each id counts once."""
        outcome, wanted = Outcome(), list(dict.fromkeys(ids))
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            found = {it.execution_id: it for it in self._queries.heads_of(batch)}
            for missing in (it for it in batch if it not in found):
                outcome.refuse(missing, str(NotFound(f"there is no execution {missing}")))
            self._tell(order, [found[it] for it in batch if it in found], outcome)
        return outcome

    def by_query(
        self, order: Order, search: ExecutionSearch, newest_id: str = ""
    ) -> Iterator[Outcome]:
        """All that a search finds, in the order of their ids; pages and order don't count.
        newest_id: where the order makes executions, none counts whose id is as young as this one,
        so that it does not meet its own. -> after each batch how far it is; the last one says it
        all.
        """
        outcome, above = Outcome(), ""
        while batch := self._queries.heads(search, above, BATCH):
            older = [it for it in batch if not newest_id or _is_older(it.execution_id, newest_id)]
            self._tell(order, older, outcome)
            above = batch[-1].execution_id
            yield outcome
        yield outcome

    def whole(self, order: Order) -> Order:
        """The same, given an execution with its task runs."""

        def of_head(stored: StoredExecution) -> Iterable[Command]:
            found = self._queries.execution(stored.execution_id)
            if found is None:
                raise NotFound(f"there is no execution {stored.execution_id}")
            return order(found)

        return of_head

    def _tell(self, order: Order, batch: Sequence[StoredExecution], outcome: Outcome) -> None:
        outgoing, told = Outgoing(self._router, self._send), 0
        for stored in batch:
            try:
                commands = order(stored)
            except KestrapyError as error:
                outcome.refuse(stored.execution_id, str(error))
                continue
            try:
                for command in commands:
                    outgoing.add(command)
                told += 1
            except UserError as error:  # of its subflows; what was sent for them is forgotten
                outcome.refuse(stored.execution_id, str(error))
        outgoing.flush()
        outcome.count += told


def _is_older(execution_id: str, newest_id: str) -> bool:
    return time_of(execution_id) < time_of(newest_id)
