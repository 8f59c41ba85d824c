"""What a Schedule trigger may say."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pydantic import ValidationError

from kestrapy.plugins.registry import REGISTRY
from kestrapy.plugins.schedule import dates_after

SCHEDULE = REGISTRY.triggers["schedule"]


def test_names() -> None:
    assert REGISTRY.triggers["io.kestra.plugin.core.trigger.Schedule"] is SCHEDULE
    assert REGISTRY.triggers["io.kestra.core.models.triggers.types.Schedule"] is SCHEDULE


@pytest.mark.parametrize("cron", ["*/5 * * * *", "0 6 * * 1-5", "0 0 1 JAN MON", "@hourly"])
def test_cron(cron: str) -> None:
    schedule: Any = SCHEDULE.properties.model_validate({"cron": cron})
    assert (schedule.cron, schedule.timezone) == (cron, "UTC")


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({}, "cron"),
        ({"cron": "* * * *"}, "five fields"),
        ({"cron": "* * * * * *"}, "five fields"),
        ({"cron": "61 * * * *"}, "five fields"),
        ({"cron": "@reboot"}, "@hourly"),
        ({"cron": "@hourly", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"cron": "@hourly", "timezone": "../etc/passwd"}, "no time zone"),
        ({"cron": "0 6 * * *", "withSeconds": True}, "give six fields"),
        ({"cron": "@hourly", "recoverMissedSchedules": "SOME"}, "'ALL', 'LAST' or 'NONE'"),
        ({"cron": "@hourly", "lateMaximumDelay": "5 minutes"}, "no duration"),
        ({"cron": "@hourly", "backfill": 1}, "backfill"),
        ({"cron": "@hourly", "sometimes": 1}, "sometimes"),
    ],
)
def test_refused(properties: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        SCHEDULE.properties.model_validate(properties)


def test_seconds_come_first() -> None:
    schedule: Any = SCHEDULE.properties.model_validate(
        {"cron": "15 0 6 * * *", "withSeconds": True}
    )
    first, second = itertools.islice(dates_after(schedule, 0), 2)
    assert (first, second - first) == ((6 * 3600 + 15) * 1000, 24 * 3_600_000)
