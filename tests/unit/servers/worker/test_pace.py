"""Claims ahead: only while runs are short, and one of those that run is about to end."""

from __future__ import annotations

import pytest

from kestrapy.servers.worker.pace import Pace


def pace(*runs: int) -> Pace:
    made = Pace()
    for run in runs:
        made.note(run)
    return made


@pytest.mark.parametrize(
    ("runs", "ages", "ahead"),
    [
        ((), (5,), 0),
        ((100, 100, 5_000), (50,), 1),
        ((100, 100), (200, 5_000), 1),
        ((100, 100), (201, 5_000), 0),
        ((100,), (), 0),
        ((999,), (1,), 1),
        ((1_000,), (1,), 0),
    ],
)
def test_one_is_claimed_ahead_while_a_slot_is_expected_to_be_free_soon(
    runs: tuple[int, ...], ages: tuple[int, ...], ahead: int
) -> None:
    assert pace(*runs).ahead(ages) == ahead


def test_only_the_last_runs_count() -> None:
    assert pace(*[5_000] * 30, *[10] * 15).median == 10


@pytest.mark.parametrize(
    ("runs", "patience"), [((), 1_000), ((100,), 300), ((1,), 100), ((9_000,), 2_000)]
)
def test_a_surplus_grant_waits_for_about_three_runs_and_two_seconds_at_most(
    runs: tuple[int, ...], patience: int
) -> None:
    assert pace(*runs).surplus_patience == patience
