"""Errors as a person reads them: what is wrong, where, and what to do; no traceback."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from kestrapy.errors import FlowRefused, KestrapyError, Problem, UserError

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def place(name: str, problem: Problem) -> str:
    """``file:line:column: path: message``, as editors and compilers know it."""
    where = f"{name}:{problem.line}:{problem.column}" if problem.line else name
    return f"{where}: {problem}"


def show_problems(name: str, refusal: FlowRefused) -> None:
    """Each problem of a flow on a line of its own, on standard error."""
    for problem in refusal.problems:
        stderr.print(Text(place(name, problem), style="red" if sys.stderr.isatty() else ""))


def show_warning(name: str, doubt: Problem) -> None:
    """What is allowed, and looks like a mistake."""
    told = Problem(f"warning: {doubt.message}", doubt.path, doubt.line, doubt.column)
    stderr.print(Text(place(name, told), style="yellow" if sys.stderr.isatty() else ""))


def show_error(error: KestrapyError) -> None:
    stderr.print(Text("error: ", style="bold red") + Text(str(error)))


def exit_code_of(error: KestrapyError) -> int:
    return 2 if isinstance(error, UserError) else 1
