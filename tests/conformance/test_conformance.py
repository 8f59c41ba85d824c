"""Kestra's own test flows: each row comes out as there, or stands among the known differences."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.conformance.corpus import ABSENT, CORE, Row, rows
from tests.conformance.differences import DOCUMENT, by_hand, listed
from tests.conformance.peculiar import PECULIAR
from tests.conformance.suite import failure, summary

ROWS = rows()
SAMPLE = 20

pytestmark = pytest.mark.skipif(not ROWS, reason=ABSENT)

_played: dict[Row, str | None] = {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_row_passes_or_is_a_known_difference(row: Row) -> None:
    why = _played[row] = failure(row)
    reason = listed().get(row.key)
    if reason is None:
        assert why is None, f"{why}\n(where it can't pass, list it in {DOCUMENT.name}, and why)"
    else:
        assert why is not None, f"it passes: take it off {DOCUMENT.name}, where it says: {reason}"


def test_the_summary_counts_every_row_once(capsys: pytest.CaptureFixture[str]) -> None:
    played = {row: _played.get(row, "not played") for row in ROWS}
    table = summary(played)
    with capsys.disabled():
        print(f"\n{table}")
    *kinds, total = [int(line.split()[0]) for line in table.splitlines()[1:]]
    assert sum(kinds) == total == len(ROWS)


def test_each_known_difference_is_a_row_and_has_a_reason() -> None:
    keys = {row.key for row in ROWS}
    assert [key for key in listed() if key not in keys] == []
    assert [key for key, reason in by_hand().items() if len(reason.split()) < 3] == []


def test_keys_are_unique_and_each_peculiar_play_has_its_rows() -> None:
    assert [key for key, count in Counter(row.key for row in ROWS).items() if count > 1] == []
    for stem, part, _ in PECULIAR:
        found = [row for row in ROWS if row.path.stem == stem and part in row.source_test]
        assert len(found) == 1, f"{stem} {part} plays {[row.key for row in found]}"


def test_a_sample_goes_the_same_way_under_another_hash_seed() -> None:
    passing = [row for row in ROWS if row.kind == CORE and row.key not in listed()]
    sample = [row.key for row in passing[:: max(1, len(passing) // SAMPLE)]]
    assert sample
    first, second = (traces(sample, seed) for seed in ("1", "2"))
    assert first == second
    assert len(first.splitlines()) >= len(sample)


def traces(keys: list[str], hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.conformance", "--trace", *keys]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    cwd = DOCUMENT.parents[1]
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, check=True
    ).stdout
