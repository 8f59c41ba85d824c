"""``cli.md``: every command with its arguments and options, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from typer.main import get_command

from kestrapy.cli.app import app
from kestrapy.reference.markdown import page, table

_INTRODUCTION = """
Exit codes: 0 where all is well; 1 where the execution ended otherwise than SUCCESS or WARNING, or
where whoever runs the servers has to act; 2 for input that is refused: a flow, inputs, options.
Errors are one line on standard error each, without a traceback. `-h` and `--help` are known
everywhere.
"""
_SHELL_ONLY = {"install_completion", "show_completion"}


def commands_reference() -> str:
    """The reference of the command line, as Markdown."""
    sections = [_section(name, command) for name, command in walk(get_command(app), "kestrapy")]
    return page("Command line", _INTRODUCTION, sections)


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The command and all below it, with their full names. A command is one of click's."""
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
        yield from walk(below, f"{name} {word}")


def _section(name: str, command: Any) -> str:
    parts = [f"## `{_usage(name, command)}`", _flowing(command.help or "")]
    rows = [_row(it) for it in command.params if it.name not in _SHELL_ONLY]
    parts.append(table(("argument or option", "meaning", "default"), rows))
    return "\n\n".join(part for part in parts if part)


def _usage(name: str, command: Any) -> str:
    arguments = [_argument(it) for it in command.params if not _is_option(it)]
    below = ["COMMAND"] if getattr(command, "commands", None) else []
    return " ".join([name, *below, *arguments])


def _row(parameter: Any) -> tuple[str, str, str]:
    if _is_option(parameter):
        name = ", ".join(f"`{it}`" for it in (*parameter.opts, *parameter.secondary_opts))
    else:
        name = f"`{_argument(parameter)}`"
    meaning = parameter.help or ""
    if parameter.multiple:
        meaning += " May be repeated."
    if parameter.envvar:
        meaning += f" Variable: `{parameter.envvar}`."
    return name, meaning, _default(parameter)


def _default(parameter: Any) -> str:
    value = parameter.default
    if value is None or value is False or getattr(parameter, "required", False):
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _is_option(parameter: Any) -> bool:
    return str(parameter.opts[0]).startswith("-")


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _flowing(text: str) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(" ".join(it.split()) for it in text.split("\n\n"))
