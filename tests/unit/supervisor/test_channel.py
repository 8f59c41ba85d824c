"""Messages and descriptors over a socket pair, whatever pieces they come in."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from kestrapy.supervisor.channel import Channel, encode


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Channel]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = Channel(theirs)
    yield ours, channel
    ours.close()
    channel.close()


def test_byte_by_byte(pair: tuple[socket.socket, Channel]) -> None:
    ours, channel = pair
    got = []
    for byte in encode({"a": "ä\udc80"}) + encode({"b": [1]}):
        ours.send(bytes([byte]))
        got += channel.receive() or []
    assert got == [{"a": "ä\udc80"}, {"b": [1]}]


def test_several_at_once(pair: tuple[socket.socket, Channel]) -> None:
    ours, channel = pair
    ours.send(encode({"n": 1}) + encode({"n": 2}) + encode({"n": 3})[:5])
    assert channel.receive() == [{"n": 1}, {"n": 2}]
    with pytest.raises(BlockingIOError):
        channel.receive()


def test_the_other_end_closed(pair: tuple[socket.socket, Channel]) -> None:
    ours, channel = pair
    ours.close()
    assert channel.receive() is None
    channel.queue({"n": 1})
    assert channel.flush()


def test_descriptors_keep_to_their_message(pair: tuple[socket.socket, Channel]) -> None:
    ours, channel = pair
    pipes = [os.pipe() for _ in range(2)]
    for number, (_, writer) in enumerate(pipes):
        Channel(ours).send({"n": number}, [writer])
        os.close(writer)
    messages: list[object] = []
    while len(messages) < 2:
        messages += channel.receive() or []
    for reader, _ in pipes:
        (writer,) = channel.take_descriptors(1)
        assert not os.get_inheritable(writer)
        os.write(writer, b"x")
        os.close(writer)
        assert os.read(reader, 9) == b"x"
        os.close(reader)


def test_what_does_not_go_out_at_once_waits(pair: tuple[socket.socket, Channel]) -> None:
    ours, channel = pair
    message = {"text": "x" * 3_000_000}
    channel.queue(message)
    assert not channel.flush()
    reader = Channel(ours)
    got: list[object] = []
    while not got:
        channel.flush()
        got = list(reader.receive() or [])
    assert got == [message]
