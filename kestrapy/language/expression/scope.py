"""What an expression is evaluated in: its variables, and a bounded budget of work and output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kestrapy.errors import ExpressionError

STEP_LIMIT = 100_000
"""Nodes that one rendering may evaluate."""
OUTPUT_LIMIT = 1_000_000
"""Characters that one rendering may put together."""
SHOWN = 200
"""Characters of an expression that an error quotes."""


class Undefined(ExpressionError):
    """A variable or an attribute is not there; ``??`` catches this."""


class Scope:
    """The state of one rendering; its counts go through all expressions of a value."""

    def __init__(self, variables: Mapping[str, Any]):
        self.variables = variables
        self._steps = 0
        self._size = 0
        self._place = ""

    def enter(self, source: str, line: int) -> None:
        """Errors from here on are about this expression, which stands on this line (1-based)."""
        self._place = f"in the expression `{quote(source)}` at line {line}"

    def step(self, count: int = 1) -> None:
        self._steps += count
        if self._steps > STEP_LIMIT:
            raise self.error(f"more than {STEP_LIMIT:,} steps: make it smaller,")

    def grow(self, text: str) -> str:
        """Count text as output, and give it back."""
        self._size += len(text)
        if self._size > OUTPUT_LIMIT:
            raise self.error(f"more than {OUTPUT_LIMIT:,} characters of output,")
        return text

    def text(self, value: Any) -> str:
        """A value as it is written into text; counted as output."""
        return self.grow(self._plain_text(value))

    def _plain_text(self, value: Any) -> str:
        match value:
            case str():
                return value
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case int() | float():
                return repr(value)
        try:
            return msgspec.json.encode(value).decode()
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self.error(f"a {type(value).__name__} can't be written: {error},") from error

    def error(self, message: str) -> ExpressionError:
        return ExpressionError(f"{message} {self._place}")

    def undefined(self, name: str) -> Undefined:
        return Undefined(f"Unable to find `{quote(name)}` used {self._place}")


def quote(text: str) -> str:
    """Text for an error: cut where it is long."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
