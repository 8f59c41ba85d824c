"""Only a gap-free prefix of a partition's offsets is ever committed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kestrapy.ports.log import Partition
from kestrapy.servers.worker.deliveries import Deliveries

P = Partition("jobs.default", 0)


def test_an_open_offset_holds_back_those_after_it() -> None:
    deliveries = Deliveries()
    for offset in (4, 5, 7):
        deliveries.add((P, offset))
    deliveries.done((P, 7))
    assert deliveries.take_committable() == {}
    deliveries.done((P, 4))
    assert deliveries.take_committable() == {P: 5}
    assert deliveries.take_committable() == {}
    deliveries.done((P, 5))
    assert deliveries.take_committable() == {P: 8}


def test_a_revoked_partition_is_forgotten() -> None:
    deliveries = Deliveries()
    deliveries.add((P, 1))
    deliveries.forget([P])
    deliveries.done((P, 1))
    assert deliveries.take_committable() == {}
    assert deliveries.open == 0


@given(st.permutations(range(12)), st.integers(0, 12))
def test_what_is_committed_is_done(order: list[int], count: int) -> None:
    deliveries = Deliveries()
    for offset in range(12):
        deliveries.add((P, offset))
    done = set(order[:count])
    for offset in order[:count]:
        deliveries.done((P, offset))
    gap_free = next((it for it in range(12) if it not in done), 12)
    assert deliveries.take_committable() == ({P: gap_free} if gap_free else {})
