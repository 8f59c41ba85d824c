"""What the supervisor needs of Linux beyond the ``os`` module."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

_SET_PDEATHSIG, _SET_NAME, _SET_CHILD_SUBREAPER = 1, 15, 36
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int | bytes) -> None:
    if isinstance(argument, int):
        argument_value = ctypes.c_ulong(argument)
        result = _libc.prctl(option, argument_value, 0, 0, 0)
    else:
        result = _libc.prctl(option, ctypes.c_char_p(argument), 0, 0, 0)
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def die_with_parent(parent: int, how: signal.Signals) -> None:
    """This process gets the signal when parent ends; at once, when it has ended already."""
    _prctl(_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os.kill(os.getpid(), how)


def adopt_orphans() -> None:
    """Descendants whose parent ends become children of this process, not of init."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """The name of this process in ps; 15 bytes of it are kept."""
    _prctl(_SET_NAME, name.encode()[:15] + b"\0")


def boottime() -> int:
    """CLOCK_BOOTTIME in ms: it counts while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def restore_signals() -> None:
    """What Python and this program ignore or block, an executed program would inherit."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def children_by_parent() -> dict[int, list[int]]:
    """All processes of the machine that this one may see, zombies left out."""
    tree: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - Path.iterdir costs more than the scan
        if entry.isdigit():
            state, parent = _state_and_parent(entry)
            if state not in ("Z", "X", ""):
                tree.setdefault(parent, []).append(int(entry))
    return tree


def below(tree: dict[int, list[int]], root: int) -> list[int]:
    """The descendants of root, parents first."""
    found = list(tree.get(root, ()))
    for pid in found:  # grows while it is walked
        found += tree.get(pid, ())
    return found


def descendants(root: int) -> list[int]:
    """Living descendants of a process now."""
    return below(children_by_parent(), root)


def _state_and_parent(pid: str) -> tuple[str, int]:
    """("", 0) for a process that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "", 0
    state, parent = stat[stat.rindex(b")") + 2 :].split(b" ", 2)[:2]
    return state.decode(), int(parent)


def kill(pid: int, how: signal.Signals) -> None:
    """Send a signal; a process that is gone, or not ours any more, is none of our business."""
    try:
        os.kill(pid, how)
    except (ProcessLookupError, PermissionError):
        pass
