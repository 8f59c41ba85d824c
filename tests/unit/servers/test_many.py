"""What is sent for stored executions: in which batches, and what of it comes first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kestrapy.errors import Conflict
from kestrapy.machine.commands import Command, ExecutionRestored, KillRequested
from kestrapy.model.ids import derive_execution_id
from kestrapy.ports.log import Message
from kestrapy.ports.store import StoredExecution
from kestrapy.servers import many
from kestrapy.servers.many import Many, Outcome, Outgoing
from kestrapy.servers.router import Router
from kestrapy.wire.codec import Codec
from kestrapy.wire.topics import Catalogue
from tests.machine_driver import EXECUTION_ID, Driver, flow, task

CODEC = Codec()
ROUTER = Router(CODEC, Catalogue("t.", shards=1))
CHILD = derive_execution_id(0, 5, "child")


def part(execution_id: str, number: int, *, held: bool = False) -> ExecutionRestored:
    return ExecutionRestored(execution_id, "r", number, False, runs=(bytes(1_000),), held=held)


class Batches(list[int]):
    """How many messages each batch had."""

    def send(self, messages: list[Message]) -> None:
        self.append(len(messages))


def test_what_waits_for_a_parent_is_in_the_log_before_the_parent_is() -> None:
    batches = Batches()
    outgoing = Outgoing(ROUTER, batches.send)  # type: ignore[arg-type]
    for number in range(3):
        outgoing.add(part(CHILD, number, held=True))
    for number in range(2):
        outgoing.add(part(EXECUTION_ID, number))
    outgoing.add(part(CHILD, 0, held=True))
    assert batches == [3]
    outgoing.add(KillRequested(EXECUTION_ID))
    outgoing.flush()
    outgoing.flush()
    assert batches == [3, 3, 1]


def test_a_batch_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "MOST_BYTES", 2_500)
    batches = Batches()
    outgoing = Outgoing(ROUTER, batches.send)  # type: ignore[arg-type]
    for number in range(7):
        outgoing.add(part(EXECUTION_ID, number))
    outgoing.flush()
    assert batches == [3, 3, 1]


class Heads:
    """Storage with one execution."""

    def heads_of(self, ids: list[str]) -> list[StoredExecution]:
        return [Driver(flow(task("a"))).create().run().stored()] if EXECUTION_ID in ids else []


def test_one_whose_subflows_can_not_be_restarted_now_is_refused() -> None:
    def order(stored: StoredExecution) -> Iterator[Command]:
        yield part(CHILD, 0, held=True)
        raise Conflict("try again in a moment")

    batches = Batches()
    told = Many(Heads(), ROUTER, batches.send)  # type: ignore[arg-type]
    outcome = told.by_ids(order, [EXECUTION_ID, CHILD])
    assert outcome == Outcome(
        0,
        {EXECUTION_ID: "try again in a moment", CHILD: f"there is no execution {CHILD}"},
        2,
    )
    assert batches == [1]
