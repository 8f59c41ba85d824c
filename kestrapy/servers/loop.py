"""Runs a server: tick after tick on the real clock, until it is told to stop."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from kestrapy.errors import LogUnavailable
from kestrapy.ports.clock import Clock

log = logging.getLogger(__name__)

PATIENCE = 100
"""ms that a tick may wait for records."""
LOG_AWAY_PAUSE = 0.5
"""Seconds between tries while the log does not answer."""


class Ticking(Protocol):
    """A server: all that it does happens within ``tick``."""

    def tick(self, now: int, patience: int = 0) -> int:
        """now: monotonic ms. patience: ms to wait for records at most. -> next wake-up."""


def run_until(server: Ticking, clock: Clock, stop: threading.Event) -> None:
    """Tick until stop is set. A log that does not answer is waited for; any other error ends the
    server.
    """
    wake = clock.monotonic()
    while not stop.is_set():
        now = clock.monotonic()
        try:
            wake = server.tick(now, max(0, min(wake - now, PATIENCE)))
        except LogUnavailable as error:
            log.warning("the log does not answer: %s", error)
            stop.wait(LOG_AWAY_PAUSE)
