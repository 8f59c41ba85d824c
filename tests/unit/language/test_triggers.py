"""Triggers and their conditions, as they may be written; and which of them can be saved so far."""

from __future__ import annotations

import pytest

from kestrapy.errors import FlowRefused, Problem
from kestrapy.language.flow import parse_flow
from kestrapy.language.runnable import require_runnable
from kestrapy.model.flow import Condition, Flow, Trigger
from tests.unit.language.types_for_tests import REGISTRY


def source(*triggers: str) -> str:
    lines = "".join(f"- {{id: t{index}, {it}}}\n" for index, it in enumerate(triggers))
    return f"id: f\nnamespace: n\ntasks: [{{id: a, type: echo, message: m}}]\ntriggers:\n{lines}"


def parsed(*triggers: str) -> Flow:
    return parse_flow(source(*triggers), REGISTRY)


def refused(text: str) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        parse_flow(text, REGISTRY)
    return caught.value.problems


def problems(*triggers: str) -> list[Problem]:
    return refused(source(*triggers))


def waiting(*triggers: str) -> list[Problem]:
    with pytest.raises(FlowRefused) as caught:
        require_runnable(parsed(*triggers), REGISTRY)
    return caught.value.problems


def test_core_properties() -> None:
    (trigger,) = parsed(
        "type: cron, cron: x, labels: {a: 1}, logLevel: WARN, stopAfter: [FAILED, KILLED],"
        " failOnTriggerError: true, logToFile: true, inputs: {i: 1}"
    ).triggers
    assert trigger == Trigger(
        "t0",
        "acme.Cron",
        inputs={"i": 1},
        properties={"cron": "x"},
        labels={"a": "1"},
        log_level="WARN",
        log_to_file=True,
        stop_after=("FAILED", "KILLED"),
        fail_on_trigger_error=True,
    )


def test_conditions_hold_others_in_a_list_or_by_name() -> None:
    (trigger,) = parsed(
        "type: cron, cron: x, conditions: [{type: is, state: a}, {type: not, conditions:"
        " [{type: several, conditions: {one: {type: is}, two: {type: acme.Is, state: b}}}]}]"
    ).triggers
    named = (
        Condition("acme.Is", "one"),
        Condition("acme.Is", "two", properties={"state": "b"}),
    )
    assert trigger.conditions == (
        Condition("acme.Is", properties={"state": "a"}),
        Condition("acme.Not", conditions=(Condition("acme.Several", conditions=named),)),
    )


@pytest.mark.parametrize(
    ("said", "path", "message"),
    [
        ("conditions: [{type: iz}]", "conditions[0].type", "Invalid type: iz"),
        ("conditions: [{state: a}]", "conditions[0]", "`type` is required"),
        ("conditions: [3]", "conditions[0]", "expected a map, got 3"),
        ("conditions: {type: is}", "conditions", "expected a list"),
        ("conditions: [{type: is, stat: 1}]", "conditions[0].stat", "did you mean `state`"),
        ("conditions: [{type: not}]", "conditions[0]", "must have a condition"),
        ("conditions: [{type: several}]", "conditions[0]", "must have a condition"),
        (
            "conditions: [{type: several, conditions: {x: 1}}]",
            "conditions[0].conditions.x",
            "expected a map, got 1",
        ),
        (
            "conditions: [{type: not, conditions: [{type: is, state: '{{ a |'}]}]",
            "conditions[0].conditions[0].state",
            "",
        ),
        ("stopAfter: [FAILD]", "stopAfter[0]", "'FAILD' is no state; did you mean `FAILED`"),
        ("labels: {system.x: 1}", "labels.system.x", "System labels"),
        ("workerGroup: {key: gpu}", "workerGroup", "no worker evaluates it"),
        ("version: 1", "version", "not supported yet"),
        ("logLevel: LOUD", "logLevel", "expected one of"),
    ],
)
def test_refused(said: str, path: str, message: str) -> None:
    (problem,) = problems(f"type: cron, cron: x, {said}")
    assert (problem.path, problem.line) == (f"triggers[0].{path}", 5)
    assert message in problem.message


def test_a_worker_group_is_for_those_that_a_worker_evaluates() -> None:
    (trigger,) = parsed("type: poll, workerGroup: {key: gpu}").triggers
    assert trigger.worker_group is not None and trigger.worker_group.key == "gpu"


def test_some_triggers_can_not_have_some_conditions() -> None:
    several = "conditions: [{type: several, conditions: {x: {type: is}}}]"
    (problem,) = problems(f"type: poll, {several}")
    assert problem.path == "triggers[0].conditions[0].type"
    assert "can't have a Several" in problem.message
    assert parsed(f"type: cron, cron: x, {several}").triggers


def test_preconditions_have_ids_of_their_own() -> None:
    flow = "type: poll, preconditions: {id: a}"
    found = problems(flow, flow, "type: poll, preconditions: {id: b}")
    message = "Duplicate preconditions with id [a]: give each its own"
    assert (message, "triggers[1].preconditions.id") in [(it.message, it.path) for it in found]
    assert sum("Duplicate" in it.message for it in found) == 1


def test_what_makes_no_executions_yet_can_be_read_but_not_saved() -> None:
    (problem,) = waiting("type: cron, cron: x", "type: poll")
    assert (problem.path, problem.line, problem.column) == ("triggers[1].type", 6, 12)
    assert "a Poll trigger makes no executions yet" in problem.message
    (problem,) = waiting("type: cron, cron: x, labels: {a: b}")
    assert (problem.path, problem.line) == ("triggers[0].labels", 5)
    assert "`labels` of a Cron trigger has no effect yet" in problem.message
    assert [it.path for it in waiting("type: cron, cron: x, zone: Mars")] == ["triggers[0].zone"]


def test_what_is_disabled_or_as_by_default_can_be_saved() -> None:
    flow = parsed("type: poll, disabled: true", "type: cron, cron: x, zone: UTC, labels: {}")
    require_runnable(flow, REGISTRY)


def test_defaults_of_a_condition_type_are_taken_on() -> None:
    text = source("type: cron, cron: x, conditions: [{type: is}]")
    text += "pluginDefaults: [{type: acme.Is, values: {state: done}}]\n"
    (trigger,) = parse_flow(text, REGISTRY).triggers
    assert trigger.conditions == (Condition("acme.Is", properties={"state": "done"}),)


def test_a_listener_asks_only_what_the_executor_can_tell() -> None:
    listener = "tasks: [{id: l, type: echo, message: m}], conditions: [{type: not, conditions:"
    text = source("type: cron, cron: x")
    (problem,) = refused(f"{text}listeners: [{{{listener} [{{type: is, state: a}}]}}]}}]\n")
    assert problem.path == "listeners[0].conditions[0].conditions[0].type"
    assert "a listener can't ask acme.Is" in problem.message
