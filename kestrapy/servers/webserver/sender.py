"""Requests of many threads to the log, each acknowledged before it is answered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer

from kestrapy.errors import LogUnavailable, TopicUnfit, UserError
from kestrapy.ports.log import Log, Message, SendError, SendFailure

_FLUSH_TIMEOUT = 0.5


class Sender:
    """One producer, and a thread that collects its acknowledgements."""

    def __init__(self, log: Log):
        self._log = log
        self._producer = log.producer()
        self._sent = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="web-sender", daemon=True)
        self._thread.start()

    def send(self, message: Message, timeout: float = 10.0) -> None:
        """Returns once the message is in the log; any thread may call it.

        Raises LogUnavailable when that is not known after timeout seconds, UserError for a message
        that is too large, TopicUnfit where its topic is missing.
        """
        self.send_all([message], timeout)

    def send_all(self, messages: Sequence[Message], timeout: float = 10.0) -> None:
        """The same for several, in their order."""
        answers: list[Future[SendError | None]] = []
        for message in messages:
            answers.append(Future())
            self._producer.send(message, answers[-1].set_result)
        self._sent.set()
        for message, answer in zip(messages, answers, strict=True):
            self._check(message, answer, timeout)

    def _check(self, message: Message, answer: Future[SendError | None], timeout: float) -> None:
        try:
            error = answer.result(timeout)
        except NoAnswer:
            raise LogUnavailable(
                f"no answer from the log in {timeout:g} s; it may still take effect"
            ) from None
        if error is not None and error.failure is SendFailure.DEAD:
            self._producer = self._log.producer()
        if error is not None:
            raise _explained(message, error)

    def close(self) -> None:
        self._closing = True
        self._sent.set()
        self._thread.join()
        self._producer.close()

    def _run(self) -> None:
        while not self._closing:
            self._sent.wait()
            # Cleared before the flush: what is sent during it is either served by it or sets again.
            self._sent.clear()
            while self._producer.flush(_FLUSH_TIMEOUT) and not self._closing:
                pass


def _explained(message: Message, error: SendError) -> Exception:
    match error.failure:
        case SendFailure.TOO_LARGE:
            size = len(message.value or b"")
            return UserError(f"the request is too large ({size} bytes): pass large values as files")
        case SendFailure.MISSING_TOPIC:
            return TopicUnfit(f"topic {message.topic} is missing: {error.detail}")
        case _:
            return LogUnavailable(f"the log did not take it: {error.detail}")
