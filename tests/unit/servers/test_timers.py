"""Timers: what the state no longer wants is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kestrapy.servers.timers import Timers


def test_due_ones_come_in_order_and_come_again() -> None:
    timers = Timers()
    timers.set("b", 20)
    timers.set("a", 10)
    assert timers.next_due() == 10
    assert list(timers.take(9, 5)) == []
    assert list(timers.take(20, 5)) == [("a", 10), ("b", 20)]
    assert list(timers.take(24, 5)) == []
    assert list(timers.take(25, 5)) == [("a", 10), ("b", 20)]


def test_a_timer_that_moved_comes_at_its_new_time_only() -> None:
    timers = Timers()
    timers.set("a", 10)
    timers.set("a", 30)
    assert list(timers.take(29, 5)) == []
    assert list(timers.take(30, 5)) == [("a", 30)]
    timers.set("a", 0)
    assert list(timers.take(100, 5)) == []
    assert len(timers) == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 50)), max_size=60))
def test_like_a_table_of_due_times(changes: list[tuple[str, int]]) -> None:
    timers, table = Timers(), dict[str, int]()
    for key, due in changes:
        timers.set(key, due)
        table[key] = due
    expected = {key: due for key, due in table.items() if 0 < due <= 25}
    assert dict(timers.take(25, 1000)) == expected


def test_its_size_follows_what_is_set() -> None:
    timers = Timers()
    for number in range(50_000):
        timers.set("a", number + 1)
    assert len(timers) == 1
    assert len(timers._heap) < 2_000
