"""When a schedule is due: cron in its time zone. Never asked by a fold, for libraries and zones
change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter

from kestrapy.plugins.triggers import ScheduleProperties


def dates_after(properties: ScheduleProperties, after: int) -> Iterator[int]:
    """The dates after ``after``, in order; epoch ms. Ends where the expression has no more (30
    February).
    """
    zone = ZoneInfo(properties.timezone)
    start = datetime.fromtimestamp(after / 1000, UTC).astimezone(zone)
    seconds = properties.with_seconds
    for date in croniter(properties.cron, start, second_at_beginning=seconds).all_next(datetime):
        at = int(date.timestamp()) * 1000
        if at > after:
            yield at
