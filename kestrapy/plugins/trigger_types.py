"""All types of triggers and their conditions, by Kestra's names, their old names, and short ones of
our own.
"""

from __future__ import annotations

from kestrapy.model.registry import ConditionType, Holds, TriggerType
from kestrapy.plugins import conditions as c
from kestrapy.plugins.properties import Properties
from kestrapy.plugins.triggers import (
    FlowProperties,
    HttpTriggerProperties,
    ScheduleOnDatesProperties,
    ScheduleProperties,
    WebhookProperties,
)

_CORE = "io.kestra.plugin.core"
_OLD = "io.kestra.core.models"

TRIGGERS = [
    TriggerType(
        f"{_CORE}.trigger.Schedule",
        ScheduleProperties,
        (f"{_OLD}.triggers.types.Schedule", "schedule"),
        waiting=frozenset(
            {
                *("conditions", "labels", "logLevel", "logToFile", "stopAfter"),
                *("failOnTriggerError", "recoverMissedSchedules", "lateMaximumDelay", "backfill"),
            }
        ),
    ),
    TriggerType(f"{_CORE}.trigger.ScheduleOnDates", ScheduleOnDatesProperties, runs=False),
    TriggerType(
        f"{_CORE}.trigger.Flow", FlowProperties, (f"{_OLD}.triggers.types.Flow",), runs=False
    ),
    TriggerType(
        f"{_CORE}.trigger.Webhook",
        WebhookProperties,
        (f"{_OLD}.triggers.types.Webhook",),
        runs=False,
        without=(f"{_CORE}.condition.MultipleCondition",),
    ),
    TriggerType(
        f"{_CORE}.http.Trigger",
        HttpTriggerProperties,
        ("io.kestra.plugin.fs.http.Trigger",),
        is_polling=True,
        runs=False,
    ),
]


_OF_EXECUTIONS = (
    *("Not", "Or", "Expression"),
    *("ExecutionFlow", "ExecutionNamespace", "ExecutionStatus"),
)


def _condition(
    name: str, properties: type[Properties], holds: Holds = Holds.NONE, *older: str
) -> ConditionType:
    """older: last parts of names that it had before, beside the usual one."""
    parts = dict.fromkeys((f"{name.removesuffix('Condition')}Condition", *older))
    places = (f"{_CORE}.condition", f"{_OLD}.conditions.types")
    names = [f"{place}.{part}" for place in places for part in parts]
    current = f"{_CORE}.condition.{name}"
    aliases = tuple(it for it in names if it != current)
    return ConditionType(current, properties, aliases, holds, name in _OF_EXECUTIONS)


CONDITIONS = [
    _condition("DateTimeBetween", c.DateTimeBetweenProperties),
    _condition("DayWeek", c.DayWeekProperties),
    _condition("DayWeekInMonth", c.DayWeekInMonthProperties),
    _condition("TimeBetween", c.TimeBetweenProperties),
    _condition("Weekend", c.WeekendProperties),
    _condition("PublicHoliday", c.PublicHolidayProperties),
    _condition("Not", c.HoldingProperties, Holds.LIST),
    _condition("Or", c.HoldingProperties, Holds.LIST),
    _condition("Expression", c.ExpressionProperties, Holds.NONE, "VariableCondition"),
    _condition("ExecutionFlow", c.ExecutionFlowProperties),
    _condition("ExecutionNamespace", c.NamespaceProperties),
    _condition("ExecutionStatus", c.ExecutionStatusProperties),
    _condition("ExecutionLabels", c.ExecutionLabelsProperties),
    _condition("ExecutionOutputs", c.ExpressionProperties),
    _condition("HasRetryAttempt", c.HasRetryAttemptProperties),
    _condition("FlowCondition", c.ExecutionFlowProperties),
    _condition("FlowNamespaceCondition", c.NamespaceProperties),
    _condition("MultipleCondition", c.MultipleProperties, Holds.MAP),
]
