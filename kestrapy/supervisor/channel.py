"""Messages over a connected unix stream socket: a length (4 bytes, big-endian), then JSON;
descriptors beside.

Worker → supervisor, ``do``:
    spawn {id, argv, env, cwd, name} with two descriptors: stdout, stderr
    kill {id, grace}                 SIGTERM to the task's group, all of it SIGKILLed after grace ms
    lease {until}                    tasks and worker end at this boot time (ms); only ever grows
    announce {worker}                the id under which the worker holds jobs
    settle {workers}                 these gone workers were reported; don't name them again
Supervisor → worker, ``say``:
    started {id, pid}
    failed {id, errno, error}        not started; errno 0: the lease is over
    ended {id, code}                 exit code, or minus the signal; nothing of the task is alive

A message's descriptors travel with its first byte, so they have come when the message is complete,
in order.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

FD_VARIABLE = "KESTRAPY_SUPERVISOR_FD"
"""Environment variable: the number of the worker's end of the socket."""
GONE_VARIABLE = "KESTRAPY_GONE_WORKER"
"""Environment variable: ids of workers that died before and weren't settled, separated by
commas."""

_CHUNK = 64 * 1024
_MAX_DESCRIPTORS = 64
Message = dict[str, Any]


def encode(message: Message) -> bytes:
    text = json.dumps(message, separators=(",", ":")).encode()
    return len(text).to_bytes(4, "big") + text


class Channel:
    """One end of the socket. Not thread-safe, but sending and receiving may be two threads."""

    def __init__(self, sock: socket.socket):
        self._socket = sock
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._descriptors: deque[int] = deque()

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> list[Message] | None:
        """Messages completed by one read; None when the other end is closed.

        May raise BlockingIOError.
        """
        try:
            data, ancillary, _, _ = self._socket.recvmsg(
                _CHUNK,
                socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize),
                socket.MSG_CMSG_CLOEXEC,  # else a worker started later would hold tasks' pipes open
            )
        except BlockingIOError:
            raise
        except OSError:
            return None
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors.extend(numbers)
        if not data:
            return None
        self._incoming += data
        return self._complete()

    def _complete(self) -> list[Message]:
        messages = []
        while len(self._incoming) >= 4:
            end = 4 + int.from_bytes(self._incoming[:4], "big")
            if len(self._incoming) < end:
                break
            messages.append(json.loads(self._incoming[4:end]))
            del self._incoming[:end]
        return messages

    def take_descriptors(self, count: int) -> list[int]:
        """The next descriptors that came; the caller closes them."""
        return [self._descriptors.popleft() for _ in range(count)]

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Blocking send of one message. Raises OSError when the other end is gone."""
        data = encode(message)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        sent = self._socket.sendmsg([data], rights if descriptors else [])
        self._socket.sendall(data[sent:])

    def queue(self, message: Message) -> None:
        """Non-blocking: what doesn't go out at once waits for ``flush``."""
        self._outgoing += encode(message)
        self.flush()

    def flush(self) -> bool:
        """Send what waits.

        -> whether nothing waits any more. A closed other end takes everything.
        """
        while self._outgoing:
            try:
                del self._outgoing[: self._socket.send(self._outgoing)]
            except BlockingIOError:
                return False
            except OSError:
                self._outgoing.clear()
        return True

    def shutdown(self) -> None:
        """Wake up and end a ``receive`` of either end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
