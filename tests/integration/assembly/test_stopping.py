"""How a server's process hears that it is to stop, and what ends one that does not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import threading
from kestrapy.assembly.servers import stopping

with stopping(limit=float({limit!r})) as stop:
    print("up", flush=True)
    {then}
"""
HEARS = "stop.wait()"
STANDS_STILL = "threading.Event().wait()"
LOOKS_AGAIN_AND_AGAIN = "while not stop.wait(0): pass"
MINUTES = "600"


def run(then: str, limit: str) -> subprocess.Popen[str]:
    program = PROGRAM.format(then=then, limit=limit)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("then", [HEARS, LOOKS_AGAIN_AND_AGAIN])
def test_a_signal_sets_the_event(how: signal.Signals, then: str) -> None:
    process = run(then, MINUTES)
    process.send_signal(how)
    assert process.communicate() == ("", "")
    assert process.returncode == 0


def test_a_server_that_stands_still_ends_and_says_where() -> None:
    process = run(STANDS_STILL, "0.1")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "Timeout" in errors
    assert "line 7 in <module>" in errors
