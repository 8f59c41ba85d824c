"""A tethered child ends with its parent, even when the parent has no chance to act."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kestrapy.adapters import tether

PARENT = """
import sys, threading
from pathlib import Path
from kestrapy.adapters import tether
print(tether.spawn(["/bin/sleep", "600"], log=Path(sys.argv[1])).pid, flush=True)
threading.Event().wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such request")
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        child_end = os.pidfd_open(child)
        try:
            parent.kill()
            assert ended(child_end), f"process {child} outlived its parent"
        finally:
            os.close(child_end)


def test_a_child_writes_into_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    child = tether.spawn(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], log=log)
    assert child.wait(10) == 3
    assert log.read_text() == "before\nout\nerr\n"


def test_a_program_that_is_not_there_is_told_in_the_log(tmp_path: Path) -> None:
    child = tether.spawn(["/nonexistent"], log=tmp_path / "log")
    assert child.wait(10) != 0
    assert (
        "/nonexistent" in (tmp_path / "log").read_text()
        or "FileNotFound" in (tmp_path / "log").read_text()
    )


def test_a_child_can_be_ended(tmp_path: Path) -> None:
    child = tether.spawn(["/bin/sleep", "600"], log=tmp_path / "log")
    child.terminate()
    assert child.wait(10) == -signal.SIGTERM


def ended(process: int) -> bool:
    """Wait for the end of the process behind the descriptor."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(10_000))
