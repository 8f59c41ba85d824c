"""The Process task runner: a child process on the worker's own machine."""

from __future__ import annotations

import os
import selectors
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from kestrapy.plugins.properties import Properties
from kestrapy.plugins.runners.output_lines import LineSplitter, OutputLines
from kestrapy.ports.processes import LeaseOver, Process
from kestrapy.ports.tasks import TaskContext, TaskFailed

PROCESS: Literal["io.kestra.plugin.core.runner.Process"] = "io.kestra.plugin.core.runner.Process"
_CHUNK = 64 * 1024
_INHERITED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


class TaskRunner(Properties):
    """type: which runner; Process is the only one of this build."""

    type: Literal["io.kestra.plugin.core.runner.Process"] = Field(default=PROCESS)

    @field_validator("type", mode="before")
    @classmethod
    def check_type(cls, value: object) -> object:
        if value not in (PROCESS, "process"):
            raise ValueError(f"the task runner {value!r} is not supported; supported: {PROCESS}")
        return PROCESS


def base_environment() -> dict[str, str]:
    """What of the worker's own environment a task may see: no secrets, just where and how it
    runs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith("LC_")
    }
    return {"PATH": _DEFAULT_PATH} | kept


def run_process(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    context: TaskContext,
    output: OutputLines,
) -> int:
    """Run to the end, handing each line to output. -> exit code, negative for a signal.

    Raises TaskFailed when it can't be started, or when output refuses a line (it is then killed).
    """
    try:
        process = context.launcher.spawn(argv, env=env, cwd=cwd, name=context.task_id)
    except LeaseOver:
        raise TaskFailed("The worker lost its lease before the task could start") from None
    except OSError as error:
        raise TaskFailed(f"{argv[0]} can't be started: {error.strerror or error}") from None
    try:
        _pump(process, output)
    except BaseException:
        process.kill(0)
        raise
    finally:
        process.stdout.close()
        process.stderr.close()
        code = process.wait(None)
    if code is None:
        raise AssertionError("wait without a timeout gives an exit code")
    return code


def _pump(process: Process, output: OutputLines) -> None:
    """Lines of both streams as they come, until both are closed."""
    with selectors.DefaultSelector() as selector:
        for stream, level in ((process.stdout, "INFO"), (process.stderr, "WARN")):
            selector.register(stream, selectors.EVENT_READ, (LineSplitter(), level))
        while selector.get_map():
            for key, _ in selector.select():
                splitter, level = key.data
                data = os.read(key.fd, _CHUNK)
                for line in splitter.feed(data):
                    output.take(line, level)
                if not data:
                    selector.unregister(key.fileobj)
