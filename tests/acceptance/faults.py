"""What is done to servers and brokers, and when: drawn from a seed before anything runs.

kill: SIGKILL, and started again at once. away: the same, but started again only after more than the
session of its consumer group, so that others take over. stop: SIGSTOP, and SIGCONT as long after.
restart: SIGTERM to one server after the other, the next one when the last one is ready again.
Of a worker, a fault meets the child, its supervisor, or both; its tasks' guardians always go on.
"""

from __future__ import annotations

import math
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.acceptance.brokers import COUNT, Brokers
from tests.acceptance.cluster import Cluster, Slot, send

PARTS = ("child", "supervisor", "both")
LOOK_EVERY = 0.1
RESTART_TIMEOUT = 180.0
ENDED_BY_SUPERVISOR = 128 + signal.SIGKILL
"""Exit code of a worker that did not end in its grace period: its group's broker may be away."""
KEEP_PAUSE = 1.0
"""Seconds before a server that ended by itself is started again."""


@dataclass(frozen=True)
class Timing:
    """Of the faults, s. pause: between two moments of harm. at_once: how many servers are harmed,
    drawn each time. acts: weights of kill, away and stop. away: longer than the session of a
    consumer group. past_lease: longer than a worker's lease. broker_pause: between two faults of
    brokers, which also wait until all brokers are in sync again. broker_away: how long one is.
    rolling: how many restarts of all servers, one after the other."""

    seconds: float
    pause: tuple[float, float] = (1.0, 4.0)
    at_once: tuple[int, ...] = (1, 1, 1, 2, 3)
    acts: tuple[int, ...] = (8, 1, 1)
    away: float = 8.0
    past_lease: float = 12.0
    broker_pause: tuple[float, float] = (8.0, 20.0)
    broker_away: tuple[float, float] = (2.0, 12.0)
    rolling: int = 1


class Fault(NamedTuple):
    """at: s after the beginning. act: kill, away, stop. part: of a worker. lasts: s."""

    at: float
    act: str
    name: str
    part: str = ""
    lasts: float = 0.0


def drawn(seed: int, servers: Sequence[str], timing: Timing) -> list[Fault]:
    """Faults of servers, in order; who is not there at its time is spared."""
    chosen = random.Random(seed)
    found: list[Fault] = []
    at = chosen.uniform(*timing.pause)
    while at < timing.seconds:
        for name in chosen.sample(servers, chosen.choice(timing.at_once)):
            act = chosen.choices(("kill", "away", "stop"), timing.acts)[0]
            worker = name.startswith("worker:")
            past_lease = worker and act == "stop" and chosen.random() < 0.5
            lasts = 0.0 if act == "kill" else timing.past_lease if past_lease else timing.away
            found.append(Fault(at, act, name, chosen.choice(PARTS) if worker else "", lasts))
        at += chosen.uniform(*timing.pause)
    return found


def drawn_of_brokers(seed: int, timing: Timing) -> list[Fault]:
    """One broker at a time, in order."""
    chosen = random.Random(f"brokers {seed}")
    found: list[Fault] = []
    at = chosen.uniform(*timing.broker_pause)
    while at < timing.seconds:
        lasts = chosen.uniform(*timing.broker_away)
        act = chosen.choice(("kill", "stop"))
        found.append(Fault(at, act, f"broker#{chosen.randrange(COUNT)}", "", lasts))
        at += lasts + chosen.uniform(*timing.broker_pause)
    return found


@dataclass
class Harm:
    """done: how often what was done to which kind of server. spared: faults whose server was not
    there. problems: of servers that were told to end, and did not do it well. over: no more is to
    come."""

    done: Counter[str] = field(default_factory=Counter)
    spared: int = 0
    problems: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


class Faults:
    """Commits the faults of a seed while something else goes on. brokers: None to spare them."""

    def __init__(
        self,
        cluster: Cluster,
        brokers: Brokers | None,
        seed: int,
        servers: Sequence[str],
        timing: Timing,
    ):
        self.harm = Harm()
        self._cluster = cluster
        self._brokers = brokers
        self._timing = timing
        self._brokers_due = 0.0
        self._due = drawn(seed, servers, timing)
        self._due_of_brokers = drawn_of_brokers(seed, timing) if brokers is not None else []
        self._away: dict[str, tuple[float, Callable[[], None]]] = {}
        self._restarts = [
            (timing.seconds * (turn + 0.5) / timing.rolling, name)
            for turn in range(timing.rolling)
            for name in servers
        ]
        self._restarting: Restart | None = None

    def run(self, is_over: Callable[[], bool]) -> None:
        """Harm for the timing's seconds; then until is_over only keep alive, as a parent does, who
        starts again what ended. In a thread that goes on, as what it starts ends with it."""
        begin = time.monotonic()
        while not is_over():
            now = time.monotonic() - begin
            self._mend(now if now < self._timing.seconds else math.inf)
            if now < self._timing.seconds:
                self._harm_servers(now)
                self._harm_a_broker(now)
            else:
                self._restarts.clear()
                if self._restarting is None:
                    self.harm.over.set()
            self._restart(now)
            self._keep(now)
            time.sleep(LOOK_EVERY)

    def _keep(self, now: float) -> None:
        """Servers end by themselves where the log does not answer them while they start."""
        for name, slot in self._cluster.slots.items():
            busy = name in self._away or self._is_restarting(name)
            if not busy and slot.exit_code() is not None:
                self.harm.done[f"ended by itself {slot.kind}"] += 1
                self._away[name] = now + KEEP_PAUSE, lambda it=name: self._cluster.start(it)  # type: ignore[misc]

    def _harm_servers(self, now: float) -> None:
        while self._due and self._due[0].at <= now:
            fault = self._due.pop(0)
            if fault.name in self._away or self._is_restarting(fault.name):
                self.harm.spared += 1
            else:
                self._harm(self._cluster.slots[fault.name], fault, now)

    def _harm(self, slot: Slot, fault: Fault, now: float) -> None:
        stopped = fault.act == "stop"
        pids = reached(slot, fault.part)
        for pid in pids:
            send(pid, signal.SIGSTOP if stopped else signal.SIGKILL)
        if stopped:
            self._away[fault.name] = now + fault.lasts, lambda: _go_on(pids)
        elif fault.part != "child":
            slot.wait()
            self._away[fault.name] = now + fault.lasts, lambda: self._cluster.start(fault.name)
        self._count(fault, slot.kind)
        self._mend(now)

    def _harm_a_broker(self, now: float) -> None:
        if not self._due_of_brokers or self._due_of_brokers[0].at > now or self._brokers is None:
            return
        fault = self._due_of_brokers[0]
        others = any(name.startswith("broker") for name in self._away)
        if others or now < self._brokers_due or not self._brokers.are_in_sync():
            return
        del self._due_of_brokers[0]
        commit = self._brokers.pause if fault.act == "stop" else self._brokers.kill
        mend = commit(int(fault.name.removeprefix("broker#")))
        self._away[fault.name] = now + fault.lasts, mend
        self._brokers_due = now + fault.lasts + self._timing.broker_pause[0]
        self._count(fault, "broker")

    def _count(self, fault: Fault, kind: str) -> None:
        self.harm.done[" ".join(filter(None, (fault.act, kind, fault.part)))] += 1

    def _mend(self, now: float) -> None:
        for name, (due, mend) in list(self._away.items()):
            if due <= now:
                del self._away[name]
                mend()

    # Restarts of all servers, one after the other

    def _is_restarting(self, name: str) -> bool:
        return self._restarting is not None and self._restarting.name == name

    def _restart(self, now: float) -> None:
        if self._restarting is not None and self._restarting.is_done(now):
            self._restarting = None
        while self._restarting is None and self._restarts and self._restarts[0][0] <= now:
            name = self._restarts[0][1]
            if name in self._away or not self._cluster.slots[name].is_ready():
                return
            del self._restarts[0]
            self._restarting = Restart(self._cluster, name, now, self.harm)


class Restart:
    """One server is told to end, started when it has, and ready again."""

    def __init__(self, cluster: Cluster, name: str, now: float, harm: Harm):
        self.name = name
        self._cluster = cluster
        self._slot = cluster.slots[name]
        self._harm = harm
        self._until = now + RESTART_TIMEOUT
        self._ended = False
        self._slot.send(signal.SIGTERM)
        harm.done[f"restart {self._slot.kind}"] += 1

    def is_done(self, now: float) -> bool:
        if not self._ended:
            code = self._slot.exit_code()
            if code is not None:
                self._ended = True
                if code == ENDED_BY_SUPERVISOR and self._slot.kind == "worker":
                    self._harm.done["restart worker, ended by its supervisor"] += 1
                elif code:
                    self._harm.problems.append(f"{self.name}, told to end, ended with {code}")
                self._cluster.start(self.name)
        elif self._slot.is_ready():
            return True
        if now < self._until:
            return False
        what = "ready" if self._ended else "over"
        self._harm.problems.append(f"{self.name} was not {what} {RESTART_TIMEOUT} s after SIGTERM")
        if not self._ended:
            self._cluster.kill(self.name)
            self._cluster.start(self.name)
        return True


def reached(slot: Slot, part: str) -> list[int]:
    """The processes of a server, or of a worker's part."""
    found = slot.worker_pids() if part in ("child", "both") else []
    return found if part == "child" else [*found, slot.pid]


def _go_on(pids: Sequence[int]) -> None:
    for pid in pids:
        send(pid, signal.SIGCONT)
