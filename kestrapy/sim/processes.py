"""Simulated processes: real servers that tick on virtual time until they are crashed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from random import Random
from typing import Any, Protocol

from kestrapy.errors import LogUnavailable, ProducerDead, TopicUnfit
from kestrapy.ports.log import Log
from kestrapy.servers.worker.worker import LeaseLapsed, Worker
from kestrapy.sim.clock import SimClock, SimEntropy, Skew
from kestrapy.sim.log import SimLog
from kestrapy.sim.network import Link
from kestrapy.sim.tasks import NOTICED_AFTER, SimSupervisor
from kestrapy.sim.timeline import Timeline

LOG_AWAY_PAUSE = 500
RESTART_AFTER = 300


class Server(Protocol):
    """What ticks, and can be closed."""

    def tick(self, now: int, patience: int = 0) -> int: ...

    def close(self) -> None: ...


class Place(Protocol):
    """The world, as a process sees it."""

    timeline: Timeline
    random: Random

    def connect(self, clock: SimClock) -> tuple[SimLog, Link]: ...

    def ticked(self, process: Process) -> None:
        """Called after each tick."""

    def broke(self, process: Process, error: Exception) -> None:
        """A server raised what none may raise."""


Build = Callable[["Process", Log, Executor], Any]


class Process:
    """A process that its parent starts anew whenever it died, unless it is kept down.

    pace: ms between two ticks at least. server: None while it is down.
    """

    def __init__(self, place: Place, name: str, skew: Skew, build: Build, pace: int):
        self.name = name
        self.pace = pace
        self.skew = skew
        self.server: Any = None
        self.starts = 0
        self.held = 0
        self.keep_down_until = 0
        self.clock = SimClock(place.timeline, skew)
        self.entropy = SimEntropy(place.random)
        self.link: Link | None = None
        self._place = place
        self._build = build
        self._log: SimLog | None = None

    @property
    def is_up(self) -> bool:
        return self.server is not None

    def start(self) -> None:
        """A new process under the same name."""
        place = self._place
        if self.server is not None:
            return
        if place.timeline.now < self.keep_down_until:
            place.timeline.at(self.keep_down_until, self.start)
            return
        self.starts += 1
        self.held = 0
        place.timeline.note(self.name, "starts")
        self._log, self.link = place.connect(self.clock)
        try:
            self.server = self._build(self, self._log, Threads(self))
        except LogUnavailable:
            self._vanish()
            place.timeline.after(LOG_AWAY_PAUSE, self.start)
            return
        self._schedule(self.starts, self.clock.ahead + place.random.randint(0, self.pace))

    def crash(self) -> None:
        """As by SIGKILL."""
        if self.server is not None:
            self._place.timeline.note(self.name, "crashes")
            self._vanish()
            self._died()

    def pause(self, duration: int) -> None:
        """As by SIGSTOP, and SIGCONT after duration ms."""
        if self.server is not None and self.link is not None:
            self._place.timeline.note(self.name, f"is stopped for {duration}")
            self.held = max(self.held, self._place.timeline.now + duration)
            self.link.held = self.held

    def resume(self) -> None:
        self.held = 0
        if self.link is not None:
            self.link.held = 0

    def draw_delay(self) -> int:
        """ms until a thread of this process has done what it was given."""
        return self._place.random.randint(1, 40)

    def later(self, delay: int, action: Callable[[], None]) -> None:
        """Something that a thread of this process does, if it lives until then."""
        start = self.starts

        def act() -> None:
            if self.starts != start or self.server is None:
                return
            if self._place.timeline.now < self.held:
                self._place.timeline.at(self.held + 1, act)
                return
            action()

        self._place.timeline.after(delay, act)

    def _vanish(self) -> None:
        self.server = None
        self.clock.ahead = 0
        if self._log is not None:
            self._log.abandon()
        self._log = self.link = None

    def _died(self) -> None:
        self._place.timeline.after(RESTART_AFTER, self.start)

    def _schedule(self, start: int, delay: int) -> None:
        self._place.timeline.after(delay, lambda: self._tick(start))

    def _tick(self, start: int) -> None:
        place = self._place
        if start != self.starts or self.server is None:
            return
        if place.timeline.now < self.held:
            self._schedule(start, self.held - place.timeline.now)
            return
        self.clock.ahead = 0
        now = self.clock.monotonic()
        try:
            wait = self.server.tick(now) - now
        except LogUnavailable:
            wait = LOG_AWAY_PAUSE
        except (ProducerDead, LeaseLapsed, TopicUnfit) as error:
            place.timeline.note(self.name, f"ends: {type(error).__name__}")
            self._vanish()
            self._died()
            return
        except Exception as error:
            place.broke(self, error)
            return
        place.ticked(self)
        if self._is_done():
            return
        spacing = place.random.randint(self.pace // 2, self.pace + self.pace // 2)
        self._schedule(start, self.clock.ahead + max(wait, spacing))

    def _is_done(self) -> bool:
        return False

    def close(self) -> None:
        """A polite end: it closes what it has."""
        if self.server is None:
            return
        self._place.timeline.note(self.name, "is closed")
        try:
            self.server.close()
        except LogUnavailable:
            pass
        except Exception as error:
            self._place.broke(self, error)
        self._vanish()
        self._died()


class WorkerProcess(Process):
    """A worker under its supervisor."""

    def __init__(self, place: Place, name: str, skew: Skew, build: Build, pace: int):
        super().__init__(place, name, skew, build, pace)
        self.supervisor: SimSupervisor | None = None

    def lease_over(self) -> None:
        """The supervisor ends worker and tasks, even where the worker is stopped."""
        if self.server is None:
            return
        self._place.timeline.note(self.name, "its lease is over")
        self._vanish()
        self._died()

    def _died(self) -> None:
        supervisor = self.supervisor
        if supervisor is None:
            self._place.timeline.after(RESTART_AFTER, self.start)
            return
        supervisor.after(NOTICED_AFTER, lambda: supervisor.clear(self._start_next))

    def _start_next(self) -> None:
        self._place.timeline.after(RESTART_AFTER, self.start)

    def machine_down(self) -> None:
        """Worker, supervisor and tasks at once: nobody can say that they are gone."""
        self._place.timeline.note(self.name, "its machine goes down")
        supervisor, self.supervisor = self.supervisor, None
        if supervisor is not None:
            supervisor.die()
        self._vanish()
        self._place.timeline.after(RESTART_AFTER, self.start)

    def sleep(self, duration: int) -> None:
        """The whole machine: worker, supervisor and tasks stand still; only boot time goes on."""
        if self.supervisor is None or self.server is None:
            return
        until = self._place.timeline.now + duration
        self.pause(duration)
        self.supervisor.asleep_until = max(self.supervisor.asleep_until, until)
        self.skew.slept += duration

    def stop(self) -> None:
        """As by SIGTERM."""
        if isinstance(self.server, Worker):
            self._place.timeline.note(self.name, "is told to stop")
            self.server.stop(self.clock.monotonic())

    def _is_done(self) -> bool:
        if isinstance(self.server, Worker) and self.server.is_done:
            self._place.timeline.note(self.name, "is done")
            self.server.close()
            self._vanish()
            if self.supervisor is not None:
                self.supervisor.worker_id = ""
            self._died()
            return True
        return False


class Threads(Executor):
    """What a process does off its main thread: a little later, while it lives."""

    def __init__(self, process: Process):
        self._process = process

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = Later(lambda: fn(*args, **kwargs))
        self._process.later(self._process.draw_delay(), future.run)
        return future


class Later(Future[Any]):
    """Done when the virtual clock says so, or when somebody waits for it."""

    def __init__(self, work: Callable[[], Any]):
        super().__init__()
        self._work = work

    def run(self) -> None:
        if self.done():
            return
        try:
            self.set_result(self._work())
        except BaseException as error:
            self.set_exception(error)

    def result(self, timeout: float | None = None) -> Any:
        self.run()
        return super().result(timeout)
