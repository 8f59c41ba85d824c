"""Virtual time: a queue of events, and the trace of what happened."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush

Action = Callable[[], None]


class Timeline:
    """now: ms since the world began. tell: is given each line of the trace."""

    def __init__(self, tell: Callable[[str], None] | None = None):
        self.now = 0
        self.events = 0
        self._queue: list[tuple[int, int, Action]] = []
        self._count = itertools.count()
        self._tell = tell
        self._trace = blake2b(digest_size=16)

    def at(self, when: int, action: Action) -> None:
        """Events of one moment happen in the order in which they were asked for."""
        heappush(self._queue, (max(when, self.now), next(self._count), action))

    def after(self, delay: int, action: Action) -> None:
        self.at(self.now + delay, action)

    def step(self) -> bool:
        """Let the next event happen. -> False when there is none."""
        if not self._queue:
            return False
        self.now, _, action = heappop(self._queue)
        self.events += 1
        action()
        return True

    def note(self, who: str, what: str) -> None:
        """A line of the trace."""
        line = f"{self.now:>7} {who}: {what}"
        self._trace.update(line.encode())
        if self._tell is not None:
            self._tell(line)

    @property
    def digest(self) -> str:
        """Of the trace so far: equal where two runs of a seed did the same."""
        return self._trace.hexdigest()
