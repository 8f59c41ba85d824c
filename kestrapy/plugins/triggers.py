"""Types of triggers. Their schedules are followed by the scheduler; here is what may be written."""

from __future__ import annotations

from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from pydantic import Field, field_validator

from kestrapy.plugins.properties import Properties

NICKNAMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


class ScheduleProperties(Properties):
    """cron: five fields (minute, hour, day, month, weekday) or a nickname such as @daily.

    timezone: an IANA name in which cron is read, UTC by default. with_seconds: false; cron with
    seconds is not supported.
    """

    cron: str
    timezone: str = "UTC"
    with_seconds: Literal[False] = False
    conditions: None = Field(default=None, exclude=True)
    recover_missed_schedules: None = Field(default=None, exclude=True)
    late_maximum_delay: None = Field(default=None, exclude=True)
    stop_after: None = Field(default=None, exclude=True)
    backfill: None = Field(default=None, exclude=True)

    @field_validator(
        "conditions",
        "recover_missed_schedules",
        "late_maximum_delay",
        "stop_after",
        "backfill",
        mode="before",
    )
    @classmethod
    def refuse(cls, value: Any) -> None:
        raise ValueError("this property of Schedule is not supported yet: remove it")

    @field_validator("with_seconds", mode="before")
    @classmethod
    def check_with_seconds(cls, value: Any) -> Any:
        if value is not False:
            raise ValueError("cron with seconds is not supported: give five fields")
        return value

    @field_validator("cron")
    @classmethod
    def check_cron(cls, value: str) -> str:
        text = value.strip()
        if text.startswith("@"):
            fits = text in NICKNAMES
        else:
            fits = len(text.split()) == 5 and croniter.is_valid(text)
        if not fits:
            raise ValueError(
                f"{value!r} is no cron expression: give five fields (minute hour day month weekday)"
                f" such as '0 6 * * 1-5', or one of {', '.join(NICKNAMES)}"
            )
        return text

    @field_validator("timezone")
    @classmethod
    def check_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"{value!r} is no time zone: give an IANA name such as Europe/Paris"
            ) from None
        return value
