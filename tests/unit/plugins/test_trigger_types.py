"""What each type of triggers and conditions may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kestrapy.plugins.registry import REGISTRY

OLD = "io.kestra.core.models"
CORE = "io.kestra.plugin.core"


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        (f"{OLD}.triggers.types.Flow", f"{CORE}.trigger.Flow"),
        (f"{OLD}.triggers.types.Webhook", f"{CORE}.trigger.Webhook"),
        ("io.kestra.plugin.fs.http.Trigger", f"{CORE}.http.Trigger"),
    ],
)
def test_older_names_of_triggers(alias: str, name: str) -> None:
    assert REGISTRY.triggers[alias] is REGISTRY.triggers[name]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("condition.ExpressionCondition", "Expression"),
        ("condition.VariableCondition", "Expression"),
        ("condition.ExecutionFlowCondition", "ExecutionFlow"),
        ("condition.FlowCondition", "FlowCondition"),
        ("condition.NotCondition", "Not"),
    ],
)
def test_older_names_of_conditions(alias: str, name: str) -> None:
    found = REGISTRY.conditions[f"{CORE}.condition.{name}"]
    assert REGISTRY.conditions[f"{CORE}.{alias}"] is found
    assert REGISTRY.conditions[f"{OLD}.conditions.types.{alias.partition('.')[2]}"] is found


TRIGGERS: list[tuple[str, dict[str, Any], str]] = [
    ("trigger.Webhook", {"key": "k", "wait": True, "responseContentType": "text/plain"}, ""),
    ("trigger.Webhook", {}, "key"),
    ("trigger.Webhook", {"key": ""}, "at least 1"),
    ("trigger.Webhook", {"key": "k", "responseContentType": "text/html"}, "text/plain"),
    ("trigger.ScheduleOnDates", {"dates": ["2025-01-01T00:00:00Z"], "timezone": "UTC"}, ""),
    ("trigger.ScheduleOnDates", {"dates": ["tomorrow"]}, "is no date"),
    ("trigger.ScheduleOnDates", {"dates": [], "timezone": "Mars"}, "no time zone"),
    ("http.Trigger", {"uri": "http://x", "interval": "PT10S", "encryptBody": True}, ""),
    ("http.Trigger", {"uri": "http://x", "interval": "10s"}, "no duration"),
    ("http.Trigger", {}, "uri"),
    ("trigger.Flow", {}, ""),
    ("trigger.Flow", {"states": ["PAUSED", "DONE"]}, "states.1"),
]
FLOWS = [{"namespace": "a.b", "flowId": "f", "states": ["SUCCESS"], "labels": {"a": "b"}}]
PRECONDITIONS: list[tuple[dict[str, Any], str]] = [
    ({"id": "p", "flows": FLOWS}, ""),
    ({"flows": FLOWS}, "id"),
    ({"id": "p"}, "one of `flows`, `where` is required"),
    ({"id": "p", "flows": [{"flowId": "f"}]}, "namespace"),
    ({"id": "p", "flows": FLOWS, "timeWindow": {"window": "P1D", "windowAdvance": "PT6H"}}, ""),
    (
        {"id": "p", "flows": FLOWS, "timeWindow": {"type": "DAILY_TIME_DEADLINE"}},
        "`deadline` is required for DAILY_TIME_DEADLINE",
    ),
    (
        {"id": "p", "flows": FLOWS, "timeWindow": {"type": "SLIDING_WINDOW", "deadline": "09:00"}},
        "`deadline` does not go with SLIDING_WINDOW",
    ),
    (
        {
            "id": "p",
            "flows": FLOWS,
            "timeWindow": {
                "type": "DAILY_TIME_WINDOW",
                "startTime": "06:00:00+02:00",
                "endTime": "09:00:00Z",
            },
        },
        "",
    ),
]
FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"field": "FLOW_ID", "type": "EQUAL_TO", "value": "f"}, ""),
    ({"field": "FLOW_ID", "type": "EQUAL_TO"}, "`value` is required"),
    ({"field": "FLOW_ID", "type": "IN", "values": ["f"]}, ""),
    ({"field": "FLOW_ID", "type": "IN", "value": "f"}, "`values` is required for IN"),
    ({"field": "FLOW_ID", "type": "REGEX", "values": ["f"]}, "not with REGEX"),
    ({"field": "EXPRESSION", "type": "IS_TRUE", "value": "{{ x }}"}, ""),
    ({"field": "EXPRESSION", "type": "IS_TRUE"}, "`value` is required"),
    ({"field": "COLOUR", "type": "IS_TRUE"}, "field"),
]
CONDITIONS: list[tuple[str, dict[str, Any], str]] = [
    ("DateTimeBetween", {"after": "2025-01-01T00:00:00Z"}, ""),
    ("DateTimeBetween", {}, "one of `after`, `before`"),
    ("DateTimeBetween", {"before": "soon"}, "is no date"),
    ("TimeBetween", {"after": "06:00:00Z", "before": "{{ vars.end }}"}, ""),
    ("TimeBetween", {"after": "6 am"}, "is no time"),
    ("TimeBetween", {"after": "25:00:00"}, "is no time"),
    ("DayWeek", {"dayOfWeek": "MONDAY", "date": "{{ trigger.date }}"}, ""),
    ("DayWeek", {"dayOfWeek": "MONTAG"}, "dayOfWeek"),
    ("DayWeekInMonth", {"dayOfWeek": "MONDAY", "dayInMonth": "FIRST"}, ""),
    ("DayWeekInMonth", {"dayOfWeek": "MONDAY", "dayInMonth": "1"}, "dayInMonth"),
    ("Weekend", {}, ""),
    ("PublicHoliday", {"country": "FR", "subDivision": "x"}, ""),
    ("Expression", {"expression": "{{ true }}"}, ""),
    ("Expression", {}, "expression"),
    ("ExecutionNamespace", {"namespace": "a", "comparison": "PREFIX"}, ""),
    ("ExecutionNamespace", {"namespace": "a", "comparison": "LIKE"}, "comparison"),
    ("ExecutionStatus", {"in": ["SUCCESS"]}, ""),
    ("ExecutionStatus", {}, ""),
    ("ExecutionStatus", {"notIn": ["DONE"]}, "notIn"),
    ("ExecutionLabels", {"labels": [{"key": "a", "value": "b"}]}, ""),
    ("MultipleCondition", {"id": "m", "window": "P1D", "windowAdvance": "P0D"}, ""),
    ("MultipleCondition", {}, "id"),
]


def judge(model: Any, values: dict[str, Any], why: str) -> None:
    if why:
        with pytest.raises(ValidationError, match=why):
            model.model_validate(values)
    else:
        model.model_validate(values)


@pytest.mark.parametrize(("name", "values", "why"), TRIGGERS)
def test_triggers(name: str, values: dict[str, Any], why: str) -> None:
    judge(REGISTRY.triggers[f"{CORE}.{name}"].properties, values, why)


@pytest.mark.parametrize(("values", "why"), PRECONDITIONS)
def test_preconditions(values: dict[str, Any], why: str) -> None:
    flow = REGISTRY.triggers[f"{CORE}.trigger.Flow"].properties
    judge(flow, {"preconditions": values}, why)


@pytest.mark.parametrize(("values", "why"), FILTERS)
def test_filters(values: dict[str, Any], why: str) -> None:
    flow = REGISTRY.triggers[f"{CORE}.trigger.Flow"].properties
    where = {"id": "w", "operand": "OR", "filters": [values]}
    judge(flow, {"preconditions": {"id": "p", "where": [where]}}, why)


@pytest.mark.parametrize(("name", "values", "why"), CONDITIONS)
def test_conditions(name: str, values: dict[str, Any], why: str) -> None:
    judge(REGISTRY.conditions[f"{CORE}.condition.{name}"].properties, values, why)
