"""What a shard has sent and not yet seen acknowledged.

Messages belong to the generation in which they were sent. A checkpoint closes the generation and
may commit once no message of it, or of an earlier one, is open: nobody would send them again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kestrapy.ports.log import Message, Producer, SendError

Refused = Callable[[SendError], bool]
"""What to do about a message that the log refuses: True when that settles it, False to give the
shard up.
"""


class Generation:
    """Messages sent between two checkpoints. open: those without an answer."""

    __slots__ = ("failed", "open")

    def __init__(self) -> None:
        self.open = 0
        self.failed: SendError | None = None

    def answered(self, error: SendError | None) -> None:
        self.open -= 1
        if error is not None:
            self.failed = error


class Outbox:
    """Sends a shard's messages through the process's producer."""

    def __init__(self, producer: Producer):
        self._producer = producer
        self._current = Generation()
        self._earlier: deque[Generation] = deque()

    def send(self, message: Message, refused: Refused | None = None) -> None:
        generation = self._current
        generation.open += 1
        if refused is None:
            self._producer.send(message, generation.answered)
            return

        def answered(error: SendError | None) -> None:
            settled = error is not None and refused(error)
            generation.answered(None if settled else error)

        self._producer.send(message, answered)

    def close_generation(self) -> None:
        """What is sent from now on belongs to the next checkpoint."""
        self._earlier.append(self._current)
        self._current = Generation()

    def is_settled(self) -> bool:
        """Whether all messages of closed generations were acknowledged."""
        while self._earlier and self._earlier[0].open == 0 and self._earlier[0].failed is None:
            self._earlier.popleft()
        return not self._earlier

    @property
    def failure(self) -> SendError | None:
        """Why a message can't be acknowledged: the shard has to be restored and folded again."""
        for generation in (*self._earlier, self._current):
            if generation.failed is not None:
                return generation.failed
        return None
