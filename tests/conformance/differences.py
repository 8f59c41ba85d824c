"""``docs/known-differences.md``: the rows that don't come out as in Kestra, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.corpus import Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "known-differences.md"
NOT_BUILT = "## Not built yet"
HEAD = "| fixture | source test | reason |\n| --- | --- | --- |\n"
LONGEST = 160


def listed() -> dict[str, str]:
    """Reasons by the rows' keys, of all tables of the document."""
    return _rows(DOCUMENT.read_text(encoding="utf-8"))


def by_hand() -> dict[str, str]:
    """Those that stand above the generated table."""
    return _rows(DOCUMENT.read_text(encoding="utf-8").partition(NOT_BUILT)[0])


def _rows(text: str) -> dict[str, str]:
    found = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (.+) \|$", text, re.MULTILINE)
    return {f"{fixture} {source}": reason for fixture, source, reason in found}


def rewrite(failures: Mapping[Row, str]) -> None:
    """Replace the generated table. failures: reasons, by rows that don't stand above it."""
    above, heading, below = DOCUMENT.read_text(encoding="utf-8").partition(NOT_BUILT)
    words = below.partition(HEAD)[0]
    lines = [
        f"| `{row.fixture}` | `{row.source_test}` | {cell(why)} |" for row, why in failures.items()
    ]
    table = HEAD + "".join(f"{line}\n" for line in lines) if lines else HEAD
    DOCUMENT.write_text(above + heading + words + table, encoding="utf-8")


def cell(reason: str) -> str:
    """A reason on one line, as a cell of a table."""
    line = " ".join(reason.split())
    line = re.sub(r"\d{3}[0-9a-z]{18}", "…", line)  # ids of executions differ from run to run
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
    return line.replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
