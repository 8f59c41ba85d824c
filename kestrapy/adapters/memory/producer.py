"""``ports.log.Producer`` in memory: appends at once, and says so when asked."""

from __future__ import annotations

from collections import deque

from kestrapy.adapters.memory.journal import Journal
from kestrapy.ports.log import Message, OnAck, SendError


class MemoryProducer:
    def __init__(self, journal: Journal):
        self._journal = journal
        self._acks: deque[tuple[OnAck, SendError | None]] = deque()

    def send(self, message: Message, on_ack: OnAck | None = None) -> None:
        with self._journal.lock:
            error = self._journal.append(message)
            if on_ack is not None:
                self._acks.append((on_ack, error))

    def poll(self) -> None:
        # Only what is there now: an ack that sends again would keep this from ever returning.
        for _ in range(len(self._acks)):
            on_ack, error = self._acks.popleft()
            on_ack(error)

    def flush(self, timeout: float) -> int:
        """Never waits: everything was appended when it was sent."""
        self.poll()
        return len(self._acks)

    def close(self) -> None:
        self.poll()
