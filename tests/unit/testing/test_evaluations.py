"""Conditions and values that read the world, with a real worker."""

from __future__ import annotations

import pytest

from kestrapy.errors import FlowRefused, InputRefused
from kestrapy.testing import FlowTest
from tests.unit.testing.test_flow_test import flow, ret

CORE = "io.kestra.plugin.core"


def when(condition: str) -> str:
    then = ret("yes")
    return f'{{id: if, type: {CORE}.flow.If, condition: "{condition}", then: [{then}]}}'


def put(value: str) -> str:
    return f"{{id: put, type: {CORE}.kv.Set, key: k, value: '{value}'}}"


def test_a_condition_over_a_pair_of_the_namespace() -> None:
    with FlowTest(flow(put("go"), when("{{ kv('k') == 'go' }}"))) as test:
        execution = test.run()
    assert [run.task_id for run in execution.task_runs] == ["put", "if", "yes"]
    assert execution["if"].outputs == {"evaluationResult": True}


def test_a_condition_over_a_secret_input() -> None:
    head = "inputs:\n  - {id: s, type: SECRET}"
    with FlowTest(flow(when("{{ inputs.s == 'open' }}"), head=head)) as test:
        assert "yes" in test.run({"s": "open"})
        assert "yes" not in test.run({"s": "shut"})


def test_a_value_that_shows_a_secret_fails_without_telling_it() -> None:
    case = f"cases: {{open: [{ret('a')}]}}, defaults: [{ret('b')}]"
    switch = f"{{id: sw, type: {CORE}.flow.Switch, value: '{{{{ inputs.s }}}}', {case}}}"
    with FlowTest(flow(switch, head="inputs:\n  - {id: s, type: SECRET}")) as test:
        execution = test.run({"s": "hidden-text"})
    assert execution.state == "FAILED" and "gives a secret" in execution["sw"].error
    assert "hidden-text" not in "".join([*execution.messages(), execution["sw"].error])


def test_a_missing_pair_fails_the_task_that_asks() -> None:
    with FlowTest(flow(when("{{ kv('nothing') }}"))) as test:
        execution = test.run()
    assert execution.state == "FAILED" and "nothing" in execution["if"].error


READ = """inputs:
  - {id: greeting, type: STRING, defaults: "{{ kv('k') }}"}
  - {id: choice, type: SELECT, expression: "{{ kv('options') }}", autoSelectFirst: true}
  - {id: at, type: DATETIME, defaults: "{{ now() }}"}
"""


def pairs() -> str:
    options = '{id: more, type: io.kestra.plugin.core.kv.Set, key: options, value: \'["x", "y"]\'}'
    return flow(put("hello"), options).replace("id: tested", "id: writer")


def test_inputs_whose_defaults_are_pairs_of_the_namespace() -> None:
    said = ret("a", "{{ inputs.greeting }} {{ inputs.choice }} {{ inputs.at | date('yyyy') }}")
    with FlowTest(flow(said, head=READ), pairs()) as test:
        test.run(flow_id="writer")
        assert test.run()["a"].outputs == {"value": "hello x 2026"}
        given = {"greeting": "bye", "choice": "y", "at": "2030-01-01T00:00:00Z"}
        assert test.run(given)["a"].outputs == {"value": "bye y 2030"}
        with pytest.raises(InputRefused, match=r"`choice`.*must match the values `\[x, y\]`"):
            test.run({"choice": "z"})


def test_whoever_calls_such_a_flow_has_to_give_the_values() -> None:
    inputs = "inputs: {greeting: hi, choice: x}"
    call = f"{{id: s, type: {CORE}.flow.Subflow, namespace: tests, flowId: tested"
    caller = flow(f"{call}}}").replace("id: tested", "id: caller", 1)
    giver = flow(f"{call}, {inputs}}}").replace("id: tested", "id: giver", 1)
    with FlowTest(flow(ret("a"), head=READ), caller, giver) as test:
        assert "`kv` reads the world" in test.run(flow_id="caller")["s"].error
        assert test.run(flow_id="giver").state == "SUCCESS"


def test_a_variable_that_reads_a_pair_is_rendered_by_a_worker() -> None:
    head = "variables: {x: \"{{ kv('k') }}\"}"
    loop = f"{{id: each, type: {CORE}.flow.ForEach, values: '{{{{ [render(vars.x)] }}}}'"
    skipped = ret("skipped", more=", runIf: \"{{ render(vars.x) != 'go' }}\"")
    tasks = [put("go"), when("{{ render(vars.x) == 'go' }}"), f"{loop}, tasks: [{ret('in')}]}}"]
    with FlowTest(flow(*tasks, skipped, head=head)) as test:
        execution = test.run()
    assert execution.state == "SUCCESS", execution.task_runs
    assert "yes" in execution and execution["in"].value == "go"
    assert execution["skipped"].state == "SKIPPED"


def test_the_outputs_of_a_flow_may_tell_the_time_and_draw() -> None:
    outputs = "outputs:\n  - {id: at, type: DATETIME, value: '{{ now() }}'}"
    with FlowTest(flow(ret("a"), head=outputs)) as test:
        execution = test.run()
    assert execution.outputs["at"].startswith("2026-01-01T00:00:0")


def test_outputs_that_only_a_worker_can_read_are_refused_with_the_flow() -> None:
    outputs = "outputs:\n  - {id: o, type: STRING, value: \"{{ read('kestra:///a') }}\"}"
    with pytest.raises(FlowRefused, match="take the value from a task's outputs"):
        FlowTest(flow(ret("a"), head=outputs))
