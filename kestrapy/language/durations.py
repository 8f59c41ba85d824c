"""ISO-8601 durations, as ``java.time.Duration`` reads them: no weeks, months, years."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

_DURATION = re.compile(
    r"P(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,12}(?:\.\d{1,9})?)S)?)?",
    re.ASCII | re.IGNORECASE,
)
_SECONDS = (86_400, 3_600, 60, 1)
LONGEST = 10**14
"""ms, some three thousand years: sums with a date stay exact and within 64 bits."""


def to_ms(value: Any) -> int:
    """A duration in ms: ``PT5S``, ``PT0.1S``, ``P1DT2H``; a number is seconds. Rounded up.

    Raises ValueError, with what is expected.
    """
    milliseconds = math.ceil(seconds_of(value) * 1000)
    if not 0 <= milliseconds <= LONGEST:
        raise ValueError(
            f"{value!r} is no duration that can be waited for: expected 0 to P1000000D"
        )
    return milliseconds


def seconds_of(value: Any) -> Fraction:
    """The same without rounding; raises ValueError as it does."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return Fraction(str(value))
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        raise ValueError(
            f"{value!r} is no duration: expected ISO-8601 with days and smaller units,"
            " such as PT5S, PT0.1S, PT1H30M or P1D"
        )
    parts = zip(found.groups("0"), _SECONDS, strict=True)
    return sum((Fraction(amount) * unit for amount, unit in parts), Fraction(0))
