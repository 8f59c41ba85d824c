"""What Kafka's errors mean here."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from kestrapy.errors import LogUnavailable
from kestrapy.ports.log import SendError, SendFailure

MISSING = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - so librdkafka names what it found itself
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
"""There is no such topic, or no such partition of it."""

MOVING = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
"""The partition is being made, or its leader changes: it will be there in a moment."""

FATAL = frozenset({KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID})  # noqa: SLF001
"""The client can do nothing any more. ``KafkaError.fatal`` does not say so of these events."""

PARTITION_END: int = KafkaError._PARTITION_EOF  # noqa: SLF001
POSITION_GONE: int = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001
POLLED_LATE: int = KafkaError._MAX_POLL_EXCEEDED  # noqa: SLF001

_FAILURES = {
    **dict.fromkeys(MISSING, SendFailure.MISSING_TOPIC),
    **dict.fromkeys(FATAL, SendFailure.DEAD),
    KafkaError.MSG_SIZE_TOO_LARGE: SendFailure.TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: SendFailure.TOO_LARGE,
    KafkaError.REQUEST_TIMED_OUT: SendFailure.TIMED_OUT,
    KafkaError._MSG_TIMED_OUT: SendFailure.TIMED_OUT,  # noqa: SLF001
    KafkaError._TIMED_OUT: SendFailure.TIMED_OUT,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE: SendFailure.TIMED_OUT,  # noqa: SLF001
    # A closing producer lets go of what is under way: it may have arrived.
    KafkaError._PURGE_INFLIGHT: SendFailure.TIMED_OUT,  # noqa: SLF001
}


def send_error(error: KafkaError) -> SendError:
    """Why a message was not acked."""
    return SendError(_FAILURES.get(error.code(), SendFailure.OTHER), error.str())


def unavailable(what: str, error: KafkaException) -> LogUnavailable:
    """what: what was tried, and on what."""
    return LogUnavailable(f"{what}: {error.args[0].str()}")
