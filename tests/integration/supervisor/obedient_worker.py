"""A worker for tests: says on stdout what happens, does what stdin says, a JSON line each."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from kestrapy.adapters.process.launcher import connect_to_supervisor, gone_workers
from kestrapy.adapters.system import SystemClock
from kestrapy.ports.processes import LeaseOver


def say(**event: Any) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def read_line() -> str:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(9)
        line += byte
    return line.decode()


def terminated(*_: object) -> None:
    say(terminated=os.getpid())


def main() -> None:
    signal.signal(signal.SIGTERM, terminated)
    launcher = connect_to_supervisor()
    say(worker=os.getpid(), gone=gone_workers())
    while True:
        order = json.loads(read_line())
        match order:
            case {"announce": name}:
                launcher.announce(name)
            case {"settle": names}:
                launcher.settle(names)
            case {"lease": ms}:
                launcher.renew(SystemClock().boottime() + ms)
            case {"stop_with_lease": ms}:
                launcher.renew(SystemClock().boottime() + ms)
                os.kill(os.getpid(), signal.SIGSTOP)
            case {"spawn": argv, "env": env}:
                try:
                    process = launcher.spawn(argv, env=env, cwd=Path("/"), name="test")
                except (OSError, LeaseOver) as error:
                    say(refused=type(error).__name__)
                else:
                    say(said=process.stdout.readline().decode().strip())
            case {"await": True}:
                say(code=process.wait(None))
            case {"exit": code}:
                sys.exit(code)
        say(done=True)


if __name__ == "__main__":
    main()
