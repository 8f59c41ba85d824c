"""When a worker is lost: decided once, in the order of one log."""

from __future__ import annotations

import pytest

from kestrapy.machine.commands import (
    Command,
    Heartbeat,
    Held,
    Probe,
    Suspect,
    WorkerGone,
    WorkerLost,
)
from kestrapy.machine.folds import leases_fold
from kestrapy.machine.leases import DEAD_KEPT, Watched, watched_key
from kestrapy.machine.outputs import Output
from kestrapy.machine.stage import Arrival, Position, Stage

LOST: list[Output] = [WorkerLost("w")]


class Leases:
    def __init__(self) -> None:
        self.stage = Stage(leases_fold(), {}, Position())

    def fold(self, *commands: Command, at: int = 1_000) -> list[Output]:
        outputs: list[Output] = []
        for command in commands:
            folded = self.stage.fold(Arrival(command, at, self.stage.position.offset))
            assert folded.poison is None
            outputs += folded.outputs
        return outputs


@pytest.fixture
def leases() -> Leases:
    return Leases()


def test_a_suspicion_after_the_last_heartbeat(leases: Leases) -> None:
    assert leases.fold(Heartbeat("w", 1), Heartbeat("w", 2), Suspect("w", 2)) == LOST


def test_a_suspicion_is_void_after_a_later_heartbeat(leases: Leases) -> None:
    assert leases.fold(Heartbeat("w", 1), Heartbeat("w", 2), Suspect("w", 1)) == []
    assert leases.fold(Suspect("w", 2)) == LOST


def test_heartbeats_do_not_go_back(leases: Leases) -> None:
    leases.fold(Heartbeat("w", 5), Heartbeat("w", 3), Held("w"))
    assert leases.stage.state == {watched_key("w"): Watched(5)}


def test_a_holder_that_was_never_heard_is_watched_too(leases: Leases) -> None:
    assert leases.fold(Suspect("w", 0)) == [], "nobody knows it"
    assert leases.fold(Held("w"), Suspect("w", 0)) == LOST


def test_gone_needs_no_suspicion(leases: Leases) -> None:
    assert leases.fold(WorkerGone("w")) == LOST
    assert leases.fold(WorkerGone("w")) == []


def test_dead_for_good(leases: Leases) -> None:
    assert leases.fold(Heartbeat("w", 1), Suspect("w", 1)) == LOST
    again = (Heartbeat("w", 2), Held("w"), Suspect("w", 2), WorkerGone("w"))
    assert leases.fold(*again) == []
    leases.fold(Probe("owner", 1), at=1_000 + DEAD_KEPT - 1)
    assert len(leases.stage.state) == 1
    leases.fold(Probe("owner", 2), at=1_000 + DEAD_KEPT)
    assert leases.stage.state == {}


def test_workers_only(leases: Leases) -> None:
    assert leases.fold(Heartbeat("e", 1, kind="executor"), Probe("e", 1), Suspect("e", 1)) == []
    assert leases.stage.state == {}


def test_workers_do_not_share_their_fate(leases: Leases) -> None:
    assert leases.fold(Heartbeat("w", 1), Heartbeat("v", 1), Suspect("w", 1)) == LOST
    assert leases.stage.state[watched_key("v")] == Watched(1)
