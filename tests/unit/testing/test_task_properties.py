"""What every task may ask of its worker: kept outputs, its log as a file; and tasks from a text."""

from __future__ import annotations

import pytest

from kestrapy.errors import FlowRefused
from kestrapy.testing import FlowTest, ObservedExecution
from tests.unit.testing.test_flow_test import flow, ret, shell

LOG = "io.kestra.plugin.core.log.Log"
TEMPLATED = "io.kestra.plugin.core.templating.TemplatedTask"
HEAD = "inputs:\n  - {id: n, type: STRING, defaults: x}"


def uuid(more: str) -> str:
    """Another output with each run."""
    line = 'echo "::{\\"outputs\\":{\\"v\\":\\"$(cat /proc/sys/kernel/random/uuid)\\"}}::"'
    return shell("a", f"{line} # {{{{ inputs.n }}}}", more)


def value(execution: ObservedExecution) -> str:
    return str(execution["a"].outputs["vars"]["v"])


def test_outputs_are_kept_for_runs_with_the_same_properties() -> None:
    cache = ", taskCache: {enabled: true, ttl: PT1H}"
    with FlowTest(flow(uuid(cache), head=HEAD)) as test:
        first, second, other = test.run(), test.run(), test.run({"n": "y"})
        test.advance(2 * 3_600)
        late = test.run()
    assert value(first) == value(second)
    assert len({value(it) for it in (first, other, late)}) == 3
    assert any("taskCache" in it for it in second.messages("a"))


def test_without_it_each_run_is_its_own() -> None:
    with FlowTest(flow(uuid(", taskCache: {enabled: false}"), head=HEAD)) as test:
        assert value(test.run()) != value(test.run())


def test_outputs_that_name_files_are_not_kept() -> None:
    more = ", outputDirectory: true, taskCache: {enabled: true}"
    made = shell("a", "echo 1 > {{ outputDir }}/x", more)
    with FlowTest(flow(made)) as test:
        first, second = test.run(), test.run()
    assert first["a"].outputs != second["a"].outputs
    assert any("not kept" in it for it in first.messages("a"))


def test_a_failure_is_not_kept() -> None:
    with FlowTest(flow(shell("a", "exit 1", ", taskCache: {enabled: true}"))) as test:
        assert [test.run().state for _ in range(2)] == ["FAILED"] * 2


def test_a_log_is_a_file_too() -> None:
    lines = f"{{id: a, type: {LOG}, message: [one, two], logToFile: true}}"
    with FlowTest(flow(lines, ret("b"))) as test:
        execution = test.run()
        (attempt,) = execution["a"].attempts
        with test.servers.blobs.open(attempt.log_file) as file:
            found = file.read().decode().splitlines()
    assert [it.split(" ", 1)[1] for it in found] == ["INFO one", "INFO two"]
    assert execution["b"].attempts[0].log_file == ""


def test_a_task_of_a_directory_may_have_one_as_well() -> None:
    kind = "io.kestra.plugin.core.flow.WorkingDirectory"
    child = f"{{id: a, type: {LOG}, message: one, logToFile: true}}"
    with FlowTest(flow(f"{{id: d, type: {kind}, tasks: [{child}]}}")) as test:
        execution = test.run()
        with test.servers.blobs.open(execution["a"].attempts[0].log_file) as file:
            assert file.read().endswith(b"INFO one\n")


def templated(*lines: str) -> str:
    spec = "".join(f"      {line}\n" for line in lines)
    task = f"  - id: a\n    type: {TEMPLATED}\n    spec: |\n{spec}"
    return f"id: tested\nnamespace: tests\n{HEAD}\ntasks:\n{task}"


def test_a_templated_task_runs_what_its_text_says() -> None:
    kind = "io.kestra.plugin.core.debug.{{ inputs.n == 'x' ? 'Return' : 'Echo' }}"
    with FlowTest(templated(f"type: {kind}", "format: '{{ inputs.n }}!'")) as test:
        execution = test.run()
    assert execution["a"].outputs == {"value": "x!"}


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["type: acme.Nothing"], "Invalid type: acme.Nothing"),
        ([f"type: {LOG}"], "`message` is required"),
        ([f"type: {LOG}", "message: m", "timeout: PT1S"], "`timeout` has no effect here"),
        ([f"type: {TEMPLATED}", "spec: x"], "can't run a TemplatedTask"),
        (["type: io.kestra.plugin.core.flow.Pause"], "can't run a Pause"),
        (["just text"], "a task is a map"),
    ],
)
def test_a_text_that_is_no_task_fails_it(lines: list[str], problem: str) -> None:
    with FlowTest(templated(*lines)) as test:
        execution = test.run()
    assert execution.state == "FAILED" and problem in execution["a"].error


@pytest.mark.parametrize("cache", ["{ttl: P1D}", "{enabled: true, x: 1}"])
def test_a_cache_is_on_or_off(cache: str) -> None:
    with pytest.raises(FlowRefused):
        FlowTest(flow(ret("a", more=f", taskCache: {cache}")))


def test_who_has_no_worker_has_neither() -> None:
    kind = "io.kestra.plugin.core.flow.Sequential"
    for name in ("logToFile: true", "taskCache: {enabled: true}"):
        with pytest.raises(FlowRefused, match="has no effect here"):
            FlowTest(flow(f"{{id: s, type: {kind}, tasks: [{ret('a')}], {name}}}"))


def test_a_return_logs_its_value_and_a_long_message_is_several_lines() -> None:
    text = "a" * 5_000 + "b" * 5_000
    task = f'{{id: a, type: return, format: "{text}"}}'
    with FlowTest(flow(task, ret("b"))) as test:
        execution = test.run()
    lines = [it for it in execution.logs if it.task_run_id == execution["a"].id]
    assert [len(it.message) for it in lines] == [4_096, 4_096, 10_000 - 2 * 4_096]
    assert "".join(it.message for it in lines) == text
    assert {(it.level, it.at) for it in lines} == {("DEBUG", lines[0].at)}
    assert [it.sequence for it in lines] == sorted(it.sequence for it in lines)
