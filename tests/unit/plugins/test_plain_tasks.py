"""Tasks that only say something: what they put out, log, measure, and how they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.task_bench import Bench, NoLauncher

CORE = "io.kestra.plugin.core"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(NoLauncher(), tmp_path)


def test_return_gives_a_text_where_it_has_a_format(bench: Bench) -> None:
    task = f"{CORE}.debug.Return"
    assert bench.done(task, format="{{ 1 + 1 }}") == {"value": "2"}
    assert bench.done(task, format="{{ null }}") == {"value": ""}
    assert bench.done(task) == {"value": None}


def test_output_values_renders_expressions_to_text_and_keeps_the_rest(bench: Bench) -> None:
    values = {
        "sum": "{{ 1 + 1 }}",
        "number": 2,
        "{{ inputs.name }}": ["{{ inputs.list }}", None, {"deep": "{{ inputs.flag }}"}],
    }
    assert bench.done(f"{CORE}.output.OutputValues", values=values) == {
        "values": {"sum": "2", "number": 2, "Ada": ['["a","b"]', None, {"deep": "false"}]}
    }


def test_output_values_of_one_expression_has_to_be_a_map(bench: Bench) -> None:
    outputs = bench.done(f"{CORE}.output.OutputValues", values="{{ inputs }}")
    assert outputs["values"]["name"] == "Ada"
    as_text = bench.done(f"{CORE}.output.OutputValues", values="{{ inputs | toJson }}")
    assert as_text == outputs
    error = bench.refusal(f"{CORE}.output.OutputValues", values="{{ inputs.list }}")
    assert "values: expected a map" in error


def test_a_template_of_a_list_is_one_message_a_list_several(bench: Bench) -> None:
    task = f"{CORE}.log.Log"
    bench.done(task, message="{{ inputs.list }}", level="WARN")
    bench.done(task, message=["{{ inputs.name }}", "{{ inputs.list }}", 3])
    assert bench.logs == [
        ("WARN", '["a","b"]'),
        ("INFO", "Ada"),
        ("INFO", '["a","b"]'),
        ("INFO", "3"),
    ]


def test_echo_logs_at_its_level(bench: Bench) -> None:
    assert bench.done(f"{CORE}.debug.Echo", format="for {{ inputs.name }}") == {}
    bench.done(f"{CORE}.debug.Echo", format="!", level="{{ 'WARN' }}")
    bench.done(f"{CORE}.debug.Echo")
    assert bench.logs == [("INFO", "for Ada"), ("WARN", "!")]


def test_assert_looks_at_all_conditions_and_counts_them(bench: Bench) -> None:
    conditions = ["{{ inputs.name == 'Ada' }}", "{{ inputs.flag }}", "false", True]
    error = bench.refusal(f"{CORE}.execution.Assert", conditions=conditions)
    assert error == "2 of 4 assertions failed"
    assert bench.logs[:2] == [
        ("ERROR", "Not true: {{ inputs.flag }}"),
        ("ERROR", "Not true: false"),
    ]
    assert bench.metrics == [("success", "counter", 2, {}), ("failed", "counter", 2, {})]


def test_assert_says_its_own_message_and_renders_it_only_then(bench: Bench) -> None:
    message = "not for {{ inputs.name }} {{ inputs.none }}"
    bench.done(f"{CORE}.execution.Assert", conditions=["true"], errorMessage=message)
    message = "not for {{ inputs.name }}"
    error = bench.refusal(
        f"{CORE}.execution.Assert", conditions="{{ ['false'] }}", errorMessage=message
    )
    assert error == "not for Ada"


def test_fail_renders_its_message_only_when_it_fails(bench: Bench) -> None:
    message = "no {{ inputs.none }}"
    bench.done("fail", condition="{{ inputs.flag }}", errorMessage=message)
    assert "none" in bench.refusal("fail", errorMessage=message)
    assert bench.refusal("fail", errorMessage="no {{ inputs.name }}") == "no Ada"


def test_publish_tells_metrics(bench: Bench) -> None:
    metrics: list[Any] = [
        {"name": "rows", "type": "counter", "value": "{{ 3 * 2 }}", "tags": {"for": "{{ 1 }}"}},
        {"name": "took", "type": "timer", "value": "PT1M0.5S", "description": "all"},
    ]
    assert bench.done(f"{CORE}.metric.Publish", metrics=metrics) == {}
    assert bench.metrics == [
        ("rows", "counter", 6, {"for": "1"}),
        ("took", "timer", 60.5, {}),
    ]


@pytest.mark.parametrize(
    "metric",
    [
        {"name": "a", "type": "histogram", "value": 1},
        {"name": "a", "type": "counter", "value": "PT1S"},
        {"name": "a", "type": "counter", "value": "many"},
        {"name": "a", "type": "counter"},
    ],
)
def test_publish_refuses_what_is_no_metric(bench: Bench, metric: dict[str, Any]) -> None:
    assert bench.refusal(f"{CORE}.metric.Publish", metrics=[metric])
    assert bench.metrics == []
