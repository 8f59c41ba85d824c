"""``ports.log.Producer`` on Kafka."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from kestrapy.adapters.kafka.configs import GAPLESS, Cluster, logger
from kestrapy.adapters.kafka.failures import send_error
from kestrapy.ports.log import Message, OnAck, SendError, SendFailure

_QUEUE_FULL_MS = 5000
"""How long a send waits for room in the queue before it fails."""
_CLOSE_SECONDS = 5.0
"""How long closing waits for acks."""


class KafkaProducer:
    """Once Kafka declared it dead, each send fails with OTHER: close it and make another."""

    def __init__(self, cluster: Cluster, gapless: bool = False):
        self._clock = cluster.clock
        self._gapless = gapless
        self._ended: SendError | None = None
        own = GAPLESS if gapless else {}
        self._client = cluster.client(confluent_kafka.Producer, "producer", own)
        self._refused: deque[tuple[OnAck, SendError]] = deque()

    def send(self, message: Message, on_ack: OnAck | None = None) -> None:
        """A queue that stays full for 5 s fails the message with TIMED_OUT; with DEAD, and all that
        follow, where the producer is gapless.
        """
        on_ack = on_ack or _log_failure
        if self._ended is not None:
            self._refused.append((on_ack, self._ended))
            return
        try:
            try:
                produce(self._client, message, partial(_answer, on_ack))
            except BufferError:
                self._send_when_there_is_room(message, on_ack)
        except KafkaException as error:
            self._refused.append((on_ack, send_error(error.args[0])))

    def poll(self) -> None:
        self._serve(lambda: self._client.poll(0))
        self._tell_refused()

    def flush(self, timeout: float) -> int:
        self._tell_refused()
        self._serve(lambda: self._client.flush(timeout))
        return len(self._client)

    def close(self) -> None:
        """Waits for acks, for at most 5 s; what is open then fails with TIMED_OUT or OTHER."""
        if self.flush(_CLOSE_SECONDS):
            self._client.purge()
        self._client.close()

    def _send_when_there_is_room(self, message: Message, on_ack: OnAck) -> None:
        deadline = self._clock.monotonic() + _QUEUE_FULL_MS
        while self._clock.monotonic() < deadline:
            self._serve(lambda: self._client.poll(0.05))
            try:
                return produce(self._client, message, partial(_answer, on_ack))
            except BufferError:
                continue
        failure = SendFailure.DEAD if self._gapless else SendFailure.TIMED_OUT
        full = SendError(failure, "the producer's queue is full: is Kafka reachable?")
        if self._gapless:
            self._ended = full
        self._refused.append((on_ack, full))

    def _serve(self, call: Callable[[], object]) -> None:
        """Only a fatal error is raised by such calls; what is still under way fails by itself."""
        try:
            call()
        except (KafkaException, SystemError) as error:
            # SystemError: so a fatal error looks when it is met while an ack is served.
            logger.error("the producer is dead, close it and make another: %s", error)

    def _tell_refused(self) -> None:
        for _ in range(len(self._refused)):
            on_ack, error = self._refused.popleft()
            on_ack(error)


def produce(
    client: confluent_kafka.Producer,
    message: Message,
    on_delivery: partial[None],
) -> None:
    """Queue a message. Raises BufferError when the queue is full, KafkaException when refused."""
    topic, value, key, partition, headers = message
    client.produce(
        topic,
        value,
        key,
        -1 if partition is None else partition,
        on_delivery,
        headers=list(headers) if headers else None,
    )


def _answer(on_ack: OnAck, error: KafkaError | None, _: object) -> None:
    on_ack(None if error is None else send_error(error))


def _log_failure(error: SendError | None) -> None:
    if error is not None:
        logger.warning("a record was not acked: %s: %s", error.failure.value, error.detail)
