"""When a worker starts again, and what it is told of those before."""

from __future__ import annotations

from kestrapy.supervisor.keeper import Keeper

KILLED = 9
EXITED_3 = 3 << 8


def test_a_worker_that_lived_starts_again_at_once() -> None:
    keeper = Keeper(["worker"])
    keeper.ended(KILLED, 100.0)
    assert (keeper.start_at, keeper.exit_code, keeper.pid) == (100.0, 137, None)


def test_pauses_grow_while_workers_die_at_once() -> None:
    keeper = Keeper(["worker"])
    pauses = []
    for _ in range(8):
        keeper.ended(EXITED_3, 0.5)
        pauses.append((keeper.start_at or 0) - 0.5)
    assert keeper.exit_code == 3
    assert pauses == sorted(pauses)
    assert (round(pauses[0], 3), pauses[-1]) == (0.1, 5.0)
    keeper.ended(EXITED_3, 50.0)
    assert keeper.start_at == 50.0
