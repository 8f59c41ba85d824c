"""The command ``kestrapy`` as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

TIMEOUT = 120


class Ended(NamedTuple):
    """code: exit code."""

    code: int
    out: str
    error: str


def kestrapy(*arguments: str | Path, config: Path | None = None) -> Ended:
    """Run it to its end, on a wide terminal. config: as KESTRAPY_CONFIG."""
    env = {**os.environ, "COLUMNS": "400", **({"KESTRAPY_CONFIG": str(config)} if config else {})}
    ended = subprocess.run(
        [sys.executable, "-m", "kestrapy", *map(str, arguments)],
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)
