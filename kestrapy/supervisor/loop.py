"""The supervisor's loop: one thread, nothing blocks, and the lease is looked at before anything
else.

With a worker (``keeper``): it is started again whenever it died, but only after every process below
the supervisor is dead. Without one (``serve``): tasks are launched for the process at the other end
of a socket.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from typing import Any

from kestrapy.supervisor import linux
from kestrapy.supervisor.channel import Channel, Message
from kestrapy.supervisor.deadline import Deadline
from kestrapy.supervisor.keeper import Keeper
from kestrapy.supervisor.tasks import Tasks

_LEASE_CHECK = 0.25
"""Seconds: select counts no time while the machine sleeps, the lease's clock does."""
_CLEARING_CHECK = 0.02
"""Seconds between looks for survivors while everything is being killed."""


class Supervisor:
    """keeper: of the worker, None to serve.

    grace: seconds that a worker told to stop has for it.
    """

    def __init__(self, keeper: Keeper | None, grace: float):
        self._keeper = keeper
        self._grace = grace
        self._selector = selectors.DefaultSelector()
        self._deadline = Deadline()
        self._tasks = Tasks(self._selector, self._say, self._deadline)
        self._channel: Channel | None = None
        self._over = False
        self._clearing = False
        self._stopping: set[int] = set()
        self._stop_at: float | None = None
        self._finished = False
        self._wake = self._catch_signals()

    def serve(self, channel: Channel, parent: int) -> int:
        """Launch tasks for the socket's other end until it closes or parent ends."""
        self._connect(channel)
        with contextlib.suppress(ProcessLookupError):  # else the socket is closed, too
            self._selector.register(os.pidfd_open(parent), selectors.EVENT_READ, self._finish)
        return self._run()

    def keep(self) -> int:
        """Keep the worker alive until it ends well or is told to stop. -> its exit code."""
        return self._run()

    def _run(self) -> int:
        while True:
            now = time.monotonic()
            self._check_lease()
            due = [self._tasks.tick(now), self._clear(), self._advance(now)]
            if self._finished and not self._clearing:
                return self._keeper.exit_code if self._keeper else 0
            left = self._deadline.left()
            if left is not None and not self._over:
                due.append(now + min(_LEASE_CHECK, left / 1000))
            at = min((it for it in due if it is not None), default=None)
            timeout = None if at is None else max(0.0, at - time.monotonic())
            ready = self._selector.select(timeout)
            self._check_lease()  # a renewal that comes after the end must find it ended
            for key, _ in ready:
                key.data()

    # -- the worker -----------------------------------------------------------------------------

    def _advance(self, now: float) -> float | None:
        """Start a worker, or end one that doesn't stop. -> when something is due."""
        keeper = self._keeper
        if keeper is None or self._clearing or self._finished:
            return None
        if self._stop_at is not None and now >= self._stop_at:
            self._finish()
            return now
        if keeper.start_at is None:
            return self._stop_at
        if self._stopping:
            self._finish()
            return now
        if now < keeper.start_at:
            return keeper.start_at
        self._deadline.clear()
        self._over = False
        self._connect(keeper.start(now))
        return None

    def _connect(self, channel: Channel) -> None:
        self._channel = channel
        self._selector.register(channel, selectors.EVENT_READ, self._listen)

    def _disconnect(self) -> None:
        if self._channel is not None:
            self._selector.unregister(self._channel)
            self._channel.close()
            self._channel = None

    def _listen(self) -> None:
        channel = self._channel
        if channel is None:
            return
        if channel.flush():
            self._selector.modify(channel, selectors.EVENT_READ, self._listen)
        try:
            messages = channel.receive()
        except BlockingIOError:
            return
        for message in messages or ():
            self._obey(message, channel)
        if messages is None:
            self._disconnect()
            if self._keeper is None:
                self._finish()

    def _say(self, message: Message) -> None:
        channel = self._channel
        if channel is not None:
            channel.queue(message)
            if not channel.flush():
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                self._selector.modify(channel, both, self._listen)

    def _obey(self, message: dict[str, Any], channel: Channel) -> None:
        match message["do"]:
            case "spawn":
                self._spawn(message, channel.take_descriptors(2))
            case "kill":
                self._tasks.kill(message["id"], message["grace"], time.monotonic())
            case "lease":
                self._deadline.extend(message["until"])
            case "announce" if self._keeper:
                self._keeper.announce(message["worker"])
            case "settle" if self._keeper:
                self._keeper.settle(message["workers"])

    def _spawn(self, request: dict[str, Any], streams: list[int]) -> None:
        if self._over or self._clearing:
            for stream in streams:
                os.close(stream)
            self._tasks.refuse(request["id"], 0, "the lease is over")
        else:
            self._tasks.spawn(request, streams)

    # -- ends -----------------------------------------------------------------------------------

    def _check_lease(self) -> None:
        if not self._over and self._deadline.is_over():
            self._over = self._clearing = True

    def _finish(self) -> None:
        """Kill everything, then return from the loop."""
        self._finished = self._clearing = True

    def _clear(self) -> float | None:
        """While clearing, kill all that is below; while orphans are about, them.

        -> when to look again.
        """
        self._reap()
        if not (self._clearing or self._tasks.orphaned):
            return None
        me = os.getpid()
        tree = linux.children_by_parent()
        spared = set() if self._clearing else {self._worker, *self._tasks.guardians}
        roots = [it for it in tree.get(me, ()) if it not in spared]
        for root in roots:
            for pid in (root, *linux.below(tree, root)):
                linux.kill(pid, signal.SIGKILL)
        self._reap()
        if roots or (self._clearing and (self._worker or self._tasks.guardians)):
            return time.monotonic() + _CLEARING_CHECK
        self._tasks.orphans_ended()
        self._clearing = False
        return None

    @property
    def _worker(self) -> int | None:
        return self._keeper.pid if self._keeper else None

    def _reap(self) -> None:
        """Zombies of guardians, of the worker, and of orphans that came to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._keeper and pid == self._keeper.pid:
                self._keeper.ended(status, time.monotonic())
                self._disconnect()
                self._clearing = True
                self._finished |= status == 0 or bool(self._stopping)
            else:
                self._tasks.reaped(pid)

    # -- signals --------------------------------------------------------------------------------

    def _catch_signals(self) -> int:
        """-> the descriptor on which signals' numbers come in."""
        wake, wake_end = os.pipe()
        for end in (wake, wake_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        linux.adopt_orphans()
        self._selector.register(wake, selectors.EVENT_READ, self._on_signals)
        return wake

    def _on_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._wake, 4096):
                if number in (signal.SIGTERM, signal.SIGINT):
                    self._stop(number)

    def _stop(self, number: int) -> None:
        """Politely; the same signal again, or no worker to ask, ends everything at once.

        (Of another kind it isn't meant twice: a terminal's ^C comes also by way of a parent's
        SIGTERM.)
        """
        if self._worker is None or number in self._stopping:
            self._finish()
        else:
            if not self._stopping:
                self._stop_at = time.monotonic() + self._grace
                linux.kill(self._worker, signal.SIGTERM)
            self._stopping.add(number)
