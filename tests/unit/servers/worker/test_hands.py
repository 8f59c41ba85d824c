"""Hands: each kind of standing is counted and walked by itself."""

from __future__ import annotations

from kestrapy.machine.outputs import Job
from kestrapy.servers.worker.in_hand import Hands, InHand, Stand


def hand(number: int, since: int) -> InHand:
    job = Job(f"e-{number}", 1, "e", "n", "f", 1, "t", "log", "default", 1, "{}", "{}")
    return InHand(job, since)


def test_a_hand_stands_in_one_place() -> None:
    hands = Hands()
    one, other = hand(1, 10), hand(2, 20)
    hands.add(one)
    hands.add(other)
    hands.move(one, Stand.GRANTED, 30)
    assert hands.standing(Stand.CLAIMING, Stand.GRANTED) == [other, one]
    assert (hands.count(Stand.CLAIMING), hands.count(Stand.GRANTED), len(hands)) == (1, 1, 2)
    assert (one.stand, one.since, hands.youngest) == (Stand.GRANTED, 30, 30)
    assert hands.get(("e-1", 1)) is one


def test_the_younger_ones_are_counted() -> None:
    hands = Hands()
    for number in range(5):
        hands.add(hand(number, number * 10))
    assert hands.younger(Stand.CLAIMING, 20) == 2
    assert hands.younger(Stand.CLAIMING, -1) == 5
    assert hands.younger(Stand.RUNNING, -1) == 0


def test_a_hand_is_dropped_once() -> None:
    hands = Hands()
    one = hand(1, 10)
    hands.add(one)
    assert hands.drop(one)
    assert not hands.drop(one)
    assert len(hands) == 0
    assert hands.standing(*Stand) == []
