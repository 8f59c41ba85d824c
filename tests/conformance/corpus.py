"""The corpus: Kestra's own test flows, and the rows that say what must come out of them."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

FLOWS = Path(__file__).parents[3] / "shared" / "flows"
TABLE = FLOWS / "expectations.csv"
ABSENT = f"the corpus is not there: {TABLE}"

PARSE_ONLY, TRIGGER, CORE, OTHER = "parse-only", "trigger", "core", "other"
KINDS = {
    CORE: "core rows that assert something and fire no trigger",
    TRIGGER: "core rows that fire triggers",
    OTHER: "rows with test-only types, or that need the network",
    PARSE_ONLY: "rows that assert nothing: the flow has to be accepted",
}
_FIRED = ("trigger-flow", "flow-trigger")


@dataclass(frozen=True)
class Row:
    """A row of the table. key: fixture and source test, numbered where these are not unique."""

    key: str
    fixture: str
    extras: tuple[str, ...]
    inputs: str
    steps: str
    terminal_state: str
    task_runs: str
    facts: str
    source_test: str
    category: str

    @property
    def kind(self) -> str:
        if not self.steps:
            return PARSE_ONLY
        if Path(self.fixture).name.startswith(_FIRED):
            return TRIGGER
        return CORE if self.category.startswith("core") else OTHER

    @property
    def path(self) -> Path:
        return FLOWS / self.fixture

    @property
    def paths(self) -> list[Path]:
        """Of all flows that have to be there, the one that is run first."""
        return [self.path, *(FLOWS / it for it in self.extras)]


def rows() -> list[Row]:
    """All of them, in the table's order; none where the corpus is absent."""
    if not TABLE.exists():
        return []
    seen: Counter[str] = Counter()
    found = []
    with TABLE.open(encoding="utf-8", newline="") as table:
        for line in csv.DictReader(table):
            source = line["source_test"] or "(none)"
            key = f"{line['fixture']} {source}"
            seen[key] += 1
            if seen[key] > 1:
                source = f"{source} #{seen[key]}"
            found.append(
                Row(
                    key=f"{line['fixture']} {source}",
                    fixture=line["fixture"],
                    extras=tuple(it for it in line["extra_fixtures"].split(";") if it),
                    inputs=line["inputs"],
                    steps=line["steps"],
                    terminal_state=line["terminal_state"],
                    task_runs=line["task_runs"],
                    facts=line["facts"],
                    source_test=source,
                    category=line["category"],
                )
            )
    return found
