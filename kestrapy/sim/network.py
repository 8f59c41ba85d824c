"""The way between processes and brokers: who reaches whom, and how long it takes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple
from zlib import crc32

from kestrapy.adapters.memory.journal import CommitFault
from kestrapy.ports.log import Partition, SendError, SendFailure
from kestrapy.sim.clock import SimClock
from kestrapy.sim.timeline import Timeline

BROKERS = 3
NETWORK_FAULTS = (
    "late delivery",
    "duplicate delivery",
    "produce timed out",
    "appended but timed out",
    "stalled fetch",
    "commit aborted",
    "commit unknown",
)
"""Those that are counted here."""
DELIVERY_TIMEOUT = 6_000
"""ms after which a message that could not be delivered has failed."""
TRY_AGAIN = 150
UNREACHABLE = SendError(SendFailure.TIMED_OUT, "no broker answered in time")
ANSWER_LOST = SendError(SendFailure.TIMED_OUT, "no answer came in time")

Deliver = Callable[[], SendError | None]
Answer = Callable[[int, SendError | None], None]
"""Given the world's time at which it arrives, and the error."""


@dataclass
class Rates:
    """How probable each fault is, for each thing that it may befall. All 0: a calm network."""

    late: float = 0.0
    duplicate: float = 0.0
    answer_lost: float = 0.0
    stalled_fetch: float = 0.0
    commit_aborted: float = 0.0
    commit_unknown: float = 0.0


class Parcel(NamedTuple):
    """A message on its way. arrives, gives_up: the world's time, ms; None: it never gives up."""

    deliver: Deliver
    answer: Answer
    arrives: int
    gives_up: int | None
    again: bool


def _unwatched(partition: Partition, offset: int) -> None:
    """Nobody looks."""


@dataclass
class Network:
    """Shared by all links. away: until when each broker is away. committed: told of each offset
    that a group's member commits.
    """

    timeline: Timeline
    random: Random
    counts: Counter[str]
    rates: Rates = field(default_factory=Rates)
    away: list[int] = field(default_factory=lambda: [0] * BROKERS)
    committed: Callable[[Partition, int], None] = _unwatched

    def draw(self, probability: float, fault: str) -> bool:
        """Whether the fault happens; it is counted."""
        if probability and self.random.random() < probability:
            self.counts[fault] += 1
            return True
        return False

    def latency(self) -> int:
        """ms for one way."""
        if self.draw(self.rates.late, "late delivery"):
            return self.random.randint(50, 3_000)
        return self.random.randint(1, 6)

    def calm(self) -> None:
        self.rates = Rates()
        self.away = [0] * BROKERS


def broker_of(place: str) -> int:
    """The broker that looks after a partition, a group or a transactional id."""
    return crc32(place.encode()) % BROKERS


class Link:
    """One process's way to the brokers, from its start to its end.

    cut: until when it reaches which broker no more. held: until when the process is stopped, and
    its clients' threads with it. dead: its producers can send nothing any more.
    """

    def __init__(self, network: Network, clock: SimClock):
        self.network = network
        self.clock = clock
        self.cut = [0] * BROKERS
        self.held = 0
        self.closed = False
        self.dead = False
        self._lanes: dict[tuple[int, str], Lane] = {}

    def reaches(self, place: str) -> bool:
        broker, now = broker_of(place), self.network.timeline.now
        return now >= self.cut[broker] and now >= self.network.away[broker]

    def spend(self, seconds: float) -> None:
        """The process waits so long for something that does not come."""
        self.clock.ahead += round(seconds * 1000)

    def wait(self, seconds: float, ready: Callable[[], bool]) -> bool:
        """Wait until ready(), at most so long. -> whether to look again; the world stands still
        within a tick, so that nothing can have come.
        """
        self.spend(seconds)
        return False

    def carry(
        self, way: tuple[int, str], deliver: Deliver, answer: Answer, timeout: int | None
    ) -> None:
        """Bring a message to a partition, in order with all others of the producer.

        way: producer and partition. timeout: ms after which the message has failed, None for never.
        """
        lane = self._lanes.get(way)
        if lane is None:
            lane = self._lanes[way] = Lane(self, way[1])
        lane.add(deliver, answer, timeout)

    def press(self, producer: int) -> bool:
        """Wait for all that is on its way. -> whether all of it has arrived."""
        lanes = [lane for (sender, _), lane in self._lanes.items() if sender == producer]
        return [lane.press() for lane in lanes].count(False) == 0

    def stalls(self) -> bool:
        """Whether a fetch gives nothing although there is something."""
        return self.network.draw(self.network.rates.stalled_fetch, "stalled fetch")

    def commit_fault(self, place: str) -> CommitFault | None:
        """What goes wrong with a transaction's commit."""
        rates, random = self.network.rates, self.network.random
        if not self.reaches(place) or self.network.draw(rates.commit_unknown, "commit unknown"):
            return random.choice([CommitFault.LOSE, CommitFault.LOSE_ANSWER])
        if self.network.draw(rates.commit_aborted, "commit aborted"):
            return CommitFault.ABORT
        return None

    def close(self) -> None:
        """The process is gone. Of what was on its way, some arrives."""
        self.closed = True
        for lane in self._lanes.values():
            lane.abandon()


class Lane:
    """Messages of one producer to one partition: they arrive in the order of sending."""

    def __init__(self, link: Link, place: str):
        self._link = link
        self._place = place
        self._parcels: deque[Parcel] = deque()
        self._last = 0
        self._scheduled = False

    def add(self, deliver: Deliver, answer: Answer, timeout: int | None) -> None:
        network, sent = self._link.network, self._link.clock.true()
        arrives = max(self._last, sent + network.latency())
        self._last = arrives
        again = network.draw(network.rates.duplicate, "duplicate delivery")
        gives_up = None if timeout is None else sent + timeout
        self._parcels.append(Parcel(deliver, answer, arrives, gives_up, again))
        self._schedule(arrives)

    def press(self) -> bool:
        while self._parcels and self._link.reaches(self._place):
            self._arrive(self._parcels.popleft())
        return not self._parcels

    def abandon(self) -> None:
        """The sender died: a part of it had left already."""
        for _ in range(self._link.network.random.randint(0, len(self._parcels))):
            if self._link.reaches(self._place):
                self._parcels.popleft().deliver()
        self._parcels.clear()

    def _schedule(self, when: int) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._link.network.timeline.at(when, self._go)

    def _go(self) -> None:
        self._scheduled = False
        if self._link.closed or not self._parcels:
            return
        now = self._link.network.timeline.now
        if now < self._link.held:
            return self._schedule(self._link.held + 1)
        if not self._link.reaches(self._place):
            self._give_up(now)
            if self._parcels:
                self._schedule(now + TRY_AGAIN)
            return
        while self._parcels and self._parcels[0].arrives <= now:
            self._arrive(self._parcels.popleft())
        if self._parcels:
            self._schedule(self._parcels[0].arrives)

    def _give_up(self, now: int) -> None:
        while self._parcels:
            gives_up = self._parcels[0].gives_up
            if gives_up is None or gives_up > now:
                return
            self._link.network.counts["produce timed out"] += 1
            self._parcels.popleft().answer(now, UNREACHABLE)

    def _arrive(self, parcel: Parcel) -> None:
        network = self._link.network
        now = network.timeline.now
        error = parcel.deliver()
        if parcel.again and error is None:
            network.timeline.after(network.random.randint(1, 8_000), lambda: _once_more(parcel))
        if error is None and network.draw(network.rates.answer_lost, "appended but timed out"):
            lost = None if parcel.gives_up is None else ANSWER_LOST
            parcel.answer(now + network.random.randint(100, DELIVERY_TIMEOUT), lost)
        else:
            parcel.answer(now + network.latency(), error)


def _once_more(parcel: Parcel) -> None:
    parcel.deliver()
