"""The suite: what became of each row, and the table that sums it up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.conformance.corpus import CORE, KINDS, Row
from tests.conformance.peculiar import peculiar
from tests.conformance.play import play


def failure(row: Row) -> str | None:
    """Why a row does not come out as it should; None: it passes."""
    try:
        (peculiar(row) or play)(row)
    except Exception as error:  # whatever shows it
        return f"{type(error).__name__}: {error}"
    return None


def summary(failures: Mapping[Row, str | None]) -> str:
    """failures: of all rows that were played."""
    lines = [f"{'rows':>5} {'passed':>7} {'':>7}  what they are"]
    for kind, words in KINDS.items():
        of_kind = [it for it in failures if it.kind == kind]
        lines.append(_line(of_kind, failures, words))
    lines.append(_line(failures, failures, "all"))
    return "\n".join(lines)


def _line(rows: Iterable[Row], failures: Mapping[Row, str | None], words: str) -> str:
    counted = list(rows)
    passed = sum(1 for it in counted if failures[it] is None)
    share = f"{passed / len(counted):.1%}" if counted else "-"
    return f"{len(counted):>5} {passed:>7} {share:>7}  {words}"


def core_share(failures: Mapping[Row, str | None]) -> float:
    """Of the core rows that assert something and fire no trigger: how many pass, 0 to 1."""
    core = [it for it in failures if it.kind == CORE]
    return sum(1 for it in core if failures[it] is None) / len(core)
