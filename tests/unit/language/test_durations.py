"""ISO-8601 durations to milliseconds."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.language.durations import to_ms


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("PT5S", 5_000),
        ("PT0.1S", 100),
        ("PT0S", 0),
        ("PT0.0001S", 1),
        ("PT1H30M", 5_400_000),
        ("P1D", 86_400_000),
        ("P1DT2H3M4.005S", 93_784_005),
        ("pt1m", 60_000),
        (5, 5_000),
        (0.25, 250),
    ],
)
def test_durations(value: Any, milliseconds: int) -> None:
    assert to_ms(value) == milliseconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "5S",
        "PT5",
        "P1W",
        "P1M",
        "P1Y",
        "PT-5S",
        "-PT5S",
        "PT1S\n",
        "1h",
        None,
        True,
        [],
        -1,
        float("nan"),
        1e300,
        "P999999999D",
        "PT١S",
    ],
)
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        to_ms(value)
