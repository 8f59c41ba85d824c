"""What a campaign says, and when it fails."""

from __future__ import annotations

import io
from collections import Counter

from rich.console import Console

from kestrapy.sim.campaign import Ran
from kestrapy.sim.report import EXPECTED, MANY, Report
from kestrapy.sim.scenarios import GENERAL


def report_of(seeds: int, counts: Counter[str]) -> tuple[bool, str]:
    out = io.StringIO()
    report = Report(GENERAL, Console(file=out, width=200))
    for seed in range(seeds):
        report.ran(Ran(seed, [], counts, "digest", 1))
    return report.summary(), out.getvalue()


def test_after_many_seeds_nothing_may_never_have_happened() -> None:
    every = Counter(dict.fromkeys(EXPECTED, 1))
    assert not report_of(MANY, every)[0]
    for name in EXPECTED:
        failed, text = report_of(MANY, Counter({**every, name: 0}))
        assert failed
        assert f"never happened: {name}" in text


def test_a_few_seeds_need_not_meet_everything() -> None:
    assert not report_of(MANY - 1, Counter())[0]


def test_a_failure_is_told_with_the_line_that_repeats_it() -> None:
    out = io.StringIO()
    Report("losses", Console(file=out)).ran(Ran(7, ["it broke"], Counter(), "digest", 1))
    assert "seed 7: it broke" in out.getvalue()
    assert "python -m kestrapy.sim --seed 7 --scenario losses" in out.getvalue()
