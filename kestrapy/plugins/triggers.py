"""Types of triggers, as they may be written. The scheduler follows schedules; others don't make
executions yet.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from kestrapy.model.state import State
from kestrapy.plugins.conditions import Date, PreconditionsProperties
from kestrapy.plugins.properties import Duration, Expression, Properties, Text
from kestrapy.plugins.tasks.http_exchange import HttpProperties

NICKNAMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
Recovery = Literal["ALL", "LAST", "NONE"]


def _check_timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{value!r} is no time zone: give an IANA name such as Europe/Paris"
        ) from None
    return value


Timezone = Annotated[str, AfterValidator(_check_timezone)]


class ScheduleProperties(Properties):
    """Makes an execution at each date of a cron expression.

    withSeconds: false; cron has a sixth field, the second, before the others. cron: five fields
    (minute, hour, day, month, weekday) or a nickname such as @daily. timezone: an IANA name in
    which cron is read, UTC by default. recoverMissedSchedules: which of the dates are made up that
    passed while no scheduler ran. lateMaximumDelay: a date that is later than this is left out.
    backfill: older; backfills are asked for when they are wanted.
    """

    with_seconds: bool = False
    cron: str
    timezone: Timezone = "UTC"
    recover_missed_schedules: Recovery = "ALL"
    late_maximum_delay: Duration | None = None
    backfill: dict[str, Any] | None = None

    @field_validator("cron")
    @classmethod
    def check_cron(cls, value: str, info: ValidationInfo) -> str:
        text = value.strip()
        seconds = bool(info.data.get("with_seconds"))
        if text.startswith("@"):
            fits = text in NICKNAMES
        else:
            fits = len(text.split()) == (6 if seconds else 5) and croniter.is_valid(
                text, second_at_beginning=seconds
            )
        if not fits:
            fields = "minute hour day month weekday"
            wanted = f"six fields (second {fields})" if seconds else f"five fields ({fields})"
            example = "0 0 6 * * 1-5" if seconds else "0 6 * * 1-5"
            raise ValueError(
                f"{value!r} is no cron expression: give {wanted} such as {example!r}, or one of"
                f" {', '.join(NICKNAMES)}"
            )
        return text


class ScheduleOnDatesProperties(Properties):
    """Makes an execution at each of some dates. dates: these. timezone: in which those are read
    that name none. recoverMissedSchedules: as of a Schedule.
    """

    dates: list[Date] | Expression
    timezone: Timezone = "UTC"
    recover_missed_schedules: Recovery = "ALL"


class FlowProperties(Properties):
    """Makes an execution when others come to a state. states: which; all terminal ones and PAUSED
    by default. preconditions: what has to hold of several executions.
    """

    states: list[State] | None = None
    preconditions: PreconditionsProperties | None = None


class WebhookProperties(Properties):
    """Makes an execution for each request to its address. key: the last part of the address, that
    others should not know. wait: false; the answer waits for the execution's end. returnOutputs:
    false; the answer is the flow's outputs. responseContentType, responseCode: of the answer.
    """

    key: Annotated[Text, Field(min_length=1, max_length=256)]
    wait: bool | Expression = False
    return_outputs: bool | Expression = False
    response_content_type: Literal["application/json", "text/plain"] | Expression | None = None
    response_code: int | Expression | None = None


class HttpTriggerProperties(HttpProperties):
    __doc__ = (
        "Asks a server again and again, and makes an execution when its answer fits. interval: from"
        " one request to the next. responseCondition: a template that is true for an answer that"
        f" fits. encryptBody: false; keep the answer's body encrypted. {HttpProperties.__doc__}"
    )

    interval: Duration = "PT1M"
    response_condition: Text = "{{ response.statusCode < 400 }}"
    encrypt_body: bool | Expression = False
