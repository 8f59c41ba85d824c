"""Types of conditions of triggers, as they may be written; nothing evaluates them yet."""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from kestrapy.language.expression import has_expression
from kestrapy.model.state import State
from kestrapy.plugins.properties import Duration, Expression, Properties, Text

Day = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
_LOCAL_TIME = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:\d\d)?)?")


def _check_date(text: str) -> str:
    try:
        if not has_expression(text):
            datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no date: write it as ISO-8601 does, such as 2025-12-31T23:59:59Z"
        ) from None
    return text


def _check_time(text: str) -> str:
    if not has_expression(text):
        try:
            if not _LOCAL_TIME.fullmatch(text):
                raise ValueError
            time.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"{text!r} is no time: write it as ISO-8601 does, such as 06:30:00 or 06:30:00Z"
            ) from None
    return text


_TEXT: dict[str, Any] = {"type": "string"}
Date = Annotated[str, AfterValidator(_check_date), WithJsonSchema({**_TEXT, "$comment": "date"})]
Time = Annotated[str, AfterValidator(_check_time), WithJsonSchema({**_TEXT, "$comment": "time"})]
DATE = "{{ trigger.date }}"


class _Dated(Properties):
    """date: that is judged; the trigger's by default."""

    date: Text = DATE


def _need_one(values: Any, *names: str) -> None:
    if all(getattr(values, name) is None for name in names):
        raise ValueError(f"one of {', '.join(f'`{it}`' for it in names)} is required")


class DateTimeBetweenProperties(_Dated):
    """Whether a date lies between two others. after, before: these; at least one of them."""

    after: Date | None = None
    before: Date | None = None

    @model_validator(mode="after")
    def need_one(self) -> DateTimeBetweenProperties:
        _need_one(self, "after", "before")
        return self


class TimeBetweenProperties(_Dated):
    """Whether a date's time of day lies between two others. after, before: these; at least one of
    them.
    """

    after: Time | None = None
    before: Time | None = None

    @model_validator(mode="after")
    def need_one(self) -> TimeBetweenProperties:
        _need_one(self, "after", "before")
        return self


class DayWeekProperties(_Dated):
    """Whether a date is on a day of the week. dayOfWeek: which."""

    day_of_week: Day | Expression


class DayWeekInMonthProperties(DayWeekProperties):
    """Whether a date is the first, second, … such day of its month. dayInMonth: which of them."""

    day_in_month: Literal["FIRST", "SECOND", "THIRD", "FOURTH", "LAST"] | Expression


class WeekendProperties(_Dated):
    """Whether a date is a Saturday or a Sunday."""


class PublicHolidayProperties(_Dated):
    """Whether a date is a public holiday. country: by its two letters. subDivision: within it, such
    as a state, by its code.
    """

    country: Text | None = None
    sub_division: Text | None = None


class HoldingProperties(Properties):
    """conditions: those that it judges by."""


class ExpressionProperties(Properties):
    """expression: a template; the condition holds where it gives true."""

    expression: Text


class ExecutionFlowProperties(Properties):
    """Whose execution it is. namespace, flowId: the flow's."""

    namespace: Text
    flow_id: Text


class NamespaceProperties(Properties):
    """In which namespace. namespace: which, or a part of its name. comparison: EQUALS, PREFIX or
    SUFFIX. prefix: the older way to say PREFIX.
    """

    namespace: Text
    comparison: Literal["EQUALS", "PREFIX", "SUFFIX"] | Expression | None = None
    prefix: bool | Expression = False


class ExecutionStatusProperties(Properties):
    """In which state the execution is. in: one of these. notIn: none of these."""

    in_: list[State] | None = Field(default=None, alias="in")
    not_in: list[State] | None = None


class HasRetryAttemptProperties(ExecutionStatusProperties):
    """Whether a task run was tried again. in: an attempt is in one of these states. notIn: in none
    of these.
    """


class ExecutionLabelsProperties(Properties):
    """labels: all of them are the execution's; a map, or a list of maps with key and value."""

    labels: dict[str, Text] | list[dict[str, Text]]


class WindowProperties(Properties):
    """type: of the window. window: how long it is. windowAdvance: by how much it is moved.
    deadline: by which time of day all have to hold. startTime, endTime: between which times.
    """

    type: Literal[
        "DURATION_WINDOW", "DAILY_TIME_DEADLINE", "DAILY_TIME_WINDOW", "SLIDING_WINDOW"
    ] = "DURATION_WINDOW"
    window: Duration | None = None
    window_advance: Duration | None = None
    deadline: Time | None = None
    start_time: Time | None = None
    end_time: Time | None = None

    @model_validator(mode="after")
    def fit_type(self) -> WindowProperties:
        wanted = {
            "DURATION_WINDOW": ("window", "window_advance"),
            "DAILY_TIME_DEADLINE": ("deadline",),
            "DAILY_TIME_WINDOW": ("start_time", "end_time"),
            "SLIDING_WINDOW": ("window",),
        }[self.type]
        spelled = {name: it.alias or name for name, it in type(self).model_fields.items()}
        for name in spelled:
            if name != "type" and name not in wanted and getattr(self, name) is not None:
                raise ValueError(f"`{spelled[name]}` does not go with {self.type}")
        if self.type != "DURATION_WINDOW":
            for name in wanted:
                if getattr(self, name) is None:
                    raise ValueError(f"`{spelled[name]}` is required for {self.type}")
        return self


class MultipleProperties(Properties):
    """Several conditions, each of which may hold for another execution. id: under which it is kept
    what held so far. timeWindow: in which all have to hold. window, windowAdvance: the older way to
    say so. resetOnSuccess: true; begin anew once all held.
    """

    id: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$")
    time_window: WindowProperties | None = None
    window: Duration | None = None
    window_advance: Duration | None = None
    reset_on_success: bool | Expression = True


class UpstreamFlow(Properties):
    """namespace, flowId: the flow's, or all of the namespace. states: that its execution may be in.
    labels: that it must have.
    """

    namespace: Text
    flow_id: Text | None = None
    states: list[State] | None = None
    labels: dict[str, Text] | list[dict[str, Text]] | None = None


class ExecutionFilter(Properties):
    """field: what is compared. type: how. value, values: with what."""

    field: Literal["FLOW_ID", "NAMESPACE", "STATE", "EXPRESSION"]
    type: Literal[
        "EQUAL_TO",
        "NOT_EQUAL_TO",
        "IN",
        "NOT_IN",
        "IS_TRUE",
        "IS_FALSE",
        "IS_NULL",
        "IS_NOT_NULL",
        "STARTS_WITH",
        "ENDS_WITH",
        "REGEX",
        "CONTAINS",
    ]
    value: Text | None = None
    values: list[Text] | None = None

    @model_validator(mode="after")
    def fit_type(self, info: ValidationInfo) -> ExecutionFilter:
        if self.type in ("IN", "NOT_IN"):
            if not self.values or self.value is not None:
                raise ValueError(f"`values` is required for {self.type}, and no `value`")
        elif self.values is not None:
            raise ValueError(f"`values` goes with IN and NOT_IN, not with {self.type}")
        elif self.value is None and not (
            self.type.startswith("IS_") and self.field != "EXPRESSION"
        ):
            raise ValueError("`value` is required")
        return self


class ExecutionFilters(Properties):
    """id. operand: whether one of the filters has to fit, or all of them. filters: these."""

    id: Text
    operand: Literal["AND", "OR"] = "AND"
    filters: list[ExecutionFilter] = Field(min_length=1)


class PreconditionsProperties(Properties):
    """id: under which it is kept what held so far. flows: whose executions have to end, and how.
    where: what else has to fit. timeWindow: in which all have to hold. resetOnSuccess: true; begin
    anew once all held.
    """

    id: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$")
    flows: list[UpstreamFlow] | None = None
    where: list[ExecutionFilters] | None = None
    time_window: WindowProperties | None = None
    reset_on_success: bool | Expression = True

    @model_validator(mode="after")
    def need_one(self) -> PreconditionsProperties:
        _need_one(self, "flows", "where")
        return self
