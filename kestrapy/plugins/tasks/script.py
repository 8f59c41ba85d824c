"""Script and Commands tasks: a shell runs lines of text in a working directory of the run's own."""

from __future__ import annotations

import shlex
import shutil
import sys
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from kestrapy.plugins.properties import Expression, Properties, Text, TextList, TextMap
from kestrapy.plugins.rendering import as_list, as_map
from kestrapy.plugins.runners.output_lines import OutputLines
from kestrapy.plugins.runners.process import TaskRunner, base_environment, run_process
from kestrapy.plugins.tasks.namespace_files import NamespaceFiles
from kestrapy.plugins.tasks.script_files import (
    Fetched,
    folder_variables,
    store_output_files,
    write_input_files,
)
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

_MAX_ARGUMENT = 128 * 1024 - 1
"""Bytes of one argument that Linux accepts (MAX_ARG_STRLEN)."""


class _Common(Properties):
    """What all script tasks share.

    beforeCommands: lines run first. interpreter: what is given the lines, ["/bin/sh", "-c"] by
    default. env: further variables of the process. failFast: stop at the first line that fails (set
    -e), true by default. inputFiles: text or kestra:/// URI by name. outputFiles: globs of what to
    keep. namespaceFiles: which of a namespace's files are put into the working directory; none by
    default. containerImage: of no effect with the Process runner. taskRunner: what runs the
    process. runner: an older way to say PROCESS. targetOS: AUTO or LINUX. warningOnStdErr: false,
    or left out: what it writes to stderr changes no state. outputDirectory: asks for outputDir,
    which is always there.
    """

    before_commands: TextList = Field(default_factory=list)
    interpreter: TextList = Field(default_factory=lambda: ["/bin/sh", "-c"])
    env: TextMap = Field(default_factory=dict)
    fail_fast: bool | Expression = True
    input_files: TextMap = Field(default_factory=dict)
    output_files: TextList = Field(default_factory=list)
    task_runner: TaskRunner = TaskRunner()
    container_image: Text | None = None
    warning_on_std_err: bool | None = None
    output_directory: bool | None = None
    namespace_files: NamespaceFiles | None = None
    runner: Literal["PROCESS"] | None = None
    docker: None = Field(default=None, exclude=True)
    target_os: Annotated[Literal["AUTO", "LINUX"], Field(alias="targetOS")] = "AUTO"

    @field_validator("runner", "docker", mode="before")
    @classmethod
    def refuse_docker(cls, value: Any) -> Any:
        if value not in (None, "PROCESS"):
            raise ValueError(
                "it asks for Docker, which is not supported: leave it out, and the lines run as a"
                " process on the worker"
            )
        return value

    @field_validator("warning_on_std_err", mode="after")
    @classmethod
    def check_warning_on_std_err(cls, value: bool | None) -> bool | None:
        if value:
            raise ValueError(
                "true is not supported: lines of stderr are logged at WARN and change no state"
            )
        return value


class ScriptProperties(_Common):
    """script: the text of the program."""

    script: Text


class CommandsProperties(_Common):
    """commands: lines for the shell."""

    commands: TextList


class CommandsTask:
    """``io.kestra.plugin.scripts.{shell,python}.Commands``."""

    def run(self, properties: CommandsProperties, context: TaskContext) -> TaskOutcome:
        return _run(properties, as_list(properties.commands), Fetched(context))


class ShellScriptTask:
    """``io.kestra.plugin.scripts.shell.Script``: the script runs in the shell of beforeCommands."""

    def run(self, properties: ScriptProperties, context: TaskContext) -> TaskOutcome:
        return _run(properties, [properties.script], Fetched(context))


class PythonScriptTask:
    """``io.kestra.plugin.scripts.python.Script``: python3 of PATH, else the worker's own Python."""

    def run(self, properties: ScriptProperties, context: TaskContext) -> TaskOutcome:
        script = context.working_dir / ".script.py"
        fetched = Fetched(context)
        script.write_text(fetched.localize(properties.script), encoding="utf-8")
        python = shutil.which("python3", path=_environment(properties, fetched)["PATH"])
        return _run(properties, [shlex.join([python or sys.executable, str(script)])], fetched)


def _run(properties: _Common, lines: list[str], fetched: Fetched) -> TaskOutcome:
    context = fetched.context
    if properties.container_image is not None:
        context.log("WARN", "containerImage has no effect with the Process task runner")
    if properties.namespace_files is not None:
        properties.namespace_files.load(context)
    write_input_files(as_map(properties.input_files), context)
    output = OutputLines(context)
    code = run_process(
        _argv(properties, lines, fetched),
        env=_environment(properties, fetched),
        cwd=context.working_dir,
        context=context,
        output=output,
    )
    outputs: dict[str, Any] = {"exitCode": code, "vars": output.vars}
    if code:
        raise TaskFailed(f"Command failed with exit code {code}", outputs)
    outputs["outputFiles"] = store_output_files(as_list(properties.output_files), context)
    return TaskOutcome(outputs=outputs)


def _argv(properties: _Common, lines: list[str], fetched: Fetched) -> list[str]:
    first = ["set -e"] if properties.fail_fast else []
    text = fetched.localize("\n".join([*first, *as_list(properties.before_commands), *lines]))
    size = len(text.encode())
    if size > _MAX_ARGUMENT:
        raise TaskFailed(
            f"The commands have {size} bytes, at most {_MAX_ARGUMENT} fit on a command line:"
            " put them into a file of inputFiles and call it"
        )
    return [*as_list(properties.interpreter), text]


def _environment(properties: _Common, fetched: Fetched) -> dict[str, str]:
    context = fetched.context
    folders = folder_variables(context.working_dir)
    own = {name: fetched.localize(value) for name, value in as_map(properties.env).items()}
    return {
        **base_environment(),
        "PYTHONUNBUFFERED": "1",
        **own,
        "WORKING_DIR": folders["workingDir"],
        "OUTPUT_DIR": folders["outputDir"],
        "KESTRAPY_TASK_RUN_ID": context.task_run_id,
        "KESTRAPY_ATTEMPT": str(context.attempt),
        "KESTRAPY_EPOCH": str(context.epoch),
    }
