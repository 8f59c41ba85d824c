"""What a task's process prints: bytes cut into lines, and the lines that speak to kestrapy.

A line ``::{"outputs": {…}, "metrics": […], "logs": […]}::`` is no log line: its outputs go into the
task's ``vars``, its metrics and logs where such go. Everything is bounded, for a task may print
without end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from kestrapy.plugins.tasks.log import LEVELS
from kestrapy.ports.tasks import TaskContext, TaskFailed

MAX_LINE = 256 * 1024
"""Bytes; a longer line is logged in pieces."""
MAX_OUTPUTS = 512 * 1024
"""Bytes of all output lines of a run together."""

_SPEAKING = re.compile(r"::(\{.*\})::\s*")


class LineSplitter:
    """Bytes in, lines out, holding back at most MAX_LINE bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that data ends, without their ends; no data: the last, unended line."""
        *lines, self._rest = (self._rest + data).split(b"\n") if data else (self._rest, b"")
        if not data and lines == [b""]:
            return
        while len(self._rest) > MAX_LINE:
            lines.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        for line in lines:
            yield line.rstrip(b"\r").decode("utf-8", "replace")


class OutputLines:
    """Takes a run's lines: logs them, or does what they say. vars: the outputs so far."""

    def __init__(self, context: TaskContext):
        self._context = context
        self._size = 0
        self.vars: dict[str, Any] = {}

    def take(self, line: str, level: str) -> None:
        """Raises TaskFailed when outputs grow beyond MAX_OUTPUTS."""
        found = _SPEAKING.fullmatch(line) if line.startswith("::{") else None
        if found is None:
            if line.startswith("::{") and len(line) >= MAX_LINE:
                self._warn(f"it is longer than {MAX_LINE} bytes; use outputFiles for large values")
            self._context.log(level, line)
            return
        self._size += len(line)
        if self._size > MAX_OUTPUTS:
            raise TaskFailed(
                f"The outputs are larger than {MAX_OUTPUTS} bytes:"
                " write them to a file and name it in outputFiles"
            )
        try:
            self._obey(json.loads(found[1]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._warn(f"{type(error).__name__}: {error}")
            self._context.log(level, line)

    def _obey(self, spoken: dict[str, Any]) -> None:
        unknown = spoken.keys() - {"outputs", "metrics", "logs"}
        if unknown:
            raise ValueError(f"unknown {', '.join(sorted(unknown))}; known: outputs, metrics, logs")
        self.vars.update(spoken.get("outputs") or {})
        for metric in spoken.get("metrics") or []:
            if metric["type"] not in ("counter", "timer"):
                raise ValueError(f"a metric's type is counter or timer, not {metric['type']!r}")
            tags = {str(key): str(value) for key, value in (metric.get("tags") or {}).items()}
            self._context.metric(str(metric["name"]), metric["type"], float(metric["value"]), tags)
        for entry in spoken.get("logs") or []:
            level = str(entry.get("level", "INFO")).upper()
            self._context.log(level if level in LEVELS else "INFO", str(entry["message"]))

    def _warn(self, why: str) -> None:
        self._context.log("WARN", f"The following line of outputs was not understood: {why}")
