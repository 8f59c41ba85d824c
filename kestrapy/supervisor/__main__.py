"""``python -m kestrapy.supervisor``: keeps a worker, or serves a socket."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from kestrapy.supervisor.channel import Channel
from kestrapy.supervisor.keeper import Keeper
from kestrapy.supervisor.loop import Supervisor


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kestrapy.supervisor", description=__doc__)
    parser.add_argument("--grace", type=int, default=300_000, help="ms to stop in (300000)")
    parser.add_argument("--serve", type=int, metavar="FD", help="launch tasks for this socket")
    parser.add_argument("worker", nargs="*", help="-- and the worker's command")
    options = parser.parse_args()
    if (options.serve is None) == (not options.worker):
        parser.error("give either --serve FD, or -- and the command of a worker")
    while os.open(os.devnull, os.O_RDWR) <= 2:  # else a task's pipe could get the number 0, 1 or 2
        pass
    if options.serve is None:
        return Supervisor(Keeper(options.worker), options.grace / 1000).keep()
    sock = socket.socket(fileno=options.serve)
    sock.set_inheritable(False)
    sock.setblocking(False)
    return Supervisor(None, 0).serve(Channel(sock), os.getppid())


if __name__ == "__main__":
    sys.exit(main())
