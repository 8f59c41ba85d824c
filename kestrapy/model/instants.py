"""Instants are epoch milliseconds inside; people and other programs read ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def iso_date(at: int) -> str:
    """Epoch ms in UTC, such as 1767225600000 → 2026-01-01T00:00:00.000Z."""
    seconds, milliseconds = divmod(at, 1000)
    return f"{_date_of(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=256)
def _date_of(seconds: int) -> str:
    """Commands of one moment read the same second over and over."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def iso_micros(at: int) -> str:
    """The same with six digits, as expressions read dates in Kestra."""
    return f"{iso_date(at)[:-1]}000Z"
