"""What a checkpoint waits for."""

from __future__ import annotations

from kestrapy.ports.log import Message, OnAck, SendError, SendFailure
from kestrapy.servers.outbox import Outbox

REFUSED = SendError(SendFailure.MISSING_TOPIC, "no such topic")


class Wire:
    """A producer whose acks the test gives."""

    def __init__(self) -> None:
        self.open: list[OnAck] = []

    def send(self, message: Message, on_ack: OnAck | None = None) -> None:
        assert on_ack is not None
        self.open.append(on_ack)

    def poll(self) -> None: ...

    def flush(self, timeout: float) -> int:
        return len(self.open)

    def close(self) -> None: ...


def test_a_generation_is_settled_once_all_of_it_was_acked() -> None:
    wire = Wire()
    outbox = Outbox(wire)
    outbox.send(Message("t", b"1"))
    outbox.send(Message("t", b"2"))
    outbox.close_generation()
    outbox.send(Message("t", b"of the next checkpoint"))
    assert not outbox.is_settled()
    wire.open[1](None)
    assert not outbox.is_settled()
    wire.open[0](None)
    assert outbox.is_settled()
    assert outbox.failure is None


def test_later_acks_do_not_settle_an_earlier_generation() -> None:
    wire = Wire()
    outbox = Outbox(wire)
    outbox.send(Message("t", b"1"))
    outbox.close_generation()
    outbox.send(Message("t", b"2"))
    outbox.close_generation()
    wire.open[1](None)
    assert not outbox.is_settled()


def test_a_failure_is_never_settled() -> None:
    wire = Wire()
    outbox = Outbox(wire)
    outbox.send(Message("t", b"1"))
    outbox.close_generation()
    wire.open[0](REFUSED)
    assert not outbox.is_settled()
    assert outbox.failure == REFUSED


def test_a_refusal_that_was_seen_to_is_settled() -> None:
    wire = Wire()
    outbox = Outbox(wire)
    seen: list[SendError] = []

    def settle(error: SendError) -> bool:
        seen.append(error)
        return True

    outbox.send(Message("t", b"1"), settle)
    outbox.send(Message("t", b"2"), lambda _: False)
    outbox.close_generation()
    wire.open[0](REFUSED)
    assert seen == [REFUSED]
    assert outbox.failure is None
    wire.open[1](REFUSED)
    assert outbox.failure == REFUSED
