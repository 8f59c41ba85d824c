"""Flows that run others, from end to end in memory."""

from __future__ import annotations

import json
from pathlib import Path

from kestrapy.testing import FlowTest

CALLED = """\
id: called
namespace: tests
inputs: [{id: file, type: FILE}, {id: number, type: INT}]
tasks:
- {id: content, type: return, format: "{{ read(inputs.file) }}"}
- {id: refuse, type: fail, condition: "{{ outputs.content.value contains 'bad' }}"}
- {id: script, type: shell.script, script: "wc -l < {{ inputs.file }} && sleep 0.1"}
outputs: [{id: text, type: STRING, value: "{{ inputs.number }}:{{ outputs.content.value }}"}]
"""
EACH = """\
id: each
namespace: tests
inputs: [{id: rows, type: FILE}]
tasks:
- id: all
  type: io.kestra.plugin.core.flow.ForEachItem
  items: "{{ inputs.rows }}"
  batch: {rows: 2}
  namespace: tests
  flowId: called
  inputs: {file: "{{ taskrun.items }}", number: "{{ taskrun.iteration }}"}
- {id: show, type: return, format: "{{ read(outputs.all_merge.subflowOutputs) }}"}
"""
OUTER = """\
id: outer
namespace: tests
tasks:
- {id: call, type: subflow, namespace: tests, flowId: inner, inheritLabels: true}
"""
INNER = """\
id: inner
namespace: tests
tasks:
- {id: wait, type: sleep, duration: PT1H}
"""


def rows(folder: Path, *lines: str) -> Path:
    path = folder / "rows.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_inputs_of_batches_may_read_their_items(tmp_path: Path) -> None:
    source = EACH.replace(
        'inputs: {file: "{{ taskrun.items }}", number: "{{ taskrun.iteration }}"}',
        'inputs: {item: "{{ json(read(taskrun.items)) }}", number: "{{ taskrun.iteration }}"}',
    ).replace("{rows: 2}", "{rows: 1}")
    called = """\
id: called
namespace: tests
inputs: [{id: item, type: JSON}, {id: number, type: INT}]
tasks: [{id: show, type: return, format: "{{ inputs.number }}:{{ inputs.item.name }}"}]
outputs: [{id: text, type: STRING, value: "{{ outputs.show.value }}"}]
"""
    lines = [json.dumps({"name": name}) for name in "abc"]
    with FlowTest(source, called) as test:
        execution = test.run({"rows": rows(tmp_path, *lines)})
        assert execution.state == "SUCCESS", execution
        found = [json.loads(it)["text"] for it in execution["show"].outputs["value"].splitlines()]
        assert found == ["0:a", "1:b", "2:c"]
        bad = test.run({"rows": rows(tmp_path, lines[0], "not json", lines[2])})
        assert bad.state == "FAILED" and "batch 1: inputs:" in bad["all_items"].error
        assert len(test.of_flow("called")) == 5, "the others run all the same"


def test_inputs_of_batches_pass_secrets_on_and_large_ones_are_told_in_several_answers(
    tmp_path: Path,
) -> None:
    source = """\
id: each
namespace: tests
inputs: [{id: rows, type: FILE}, {id: s, type: SECRET}]
tasks:
- id: all
  type: io.kestra.plugin.core.flow.ForEachItem
  items: "{{ inputs.rows }}"
  namespace: tests
  flowId: called
  inputs: {text: "{{ read(taskrun.items) }}MORE", token: "{{ inputs.s }}"}
"""
    called = """\
id: called
namespace: tests
inputs: [{id: text, type: STRING}, {id: token, type: SECRET}]
tasks:
- {id: size, type: return, format: "{{ inputs.text | length }} {{ inputs.token == 'hidden-text' }}"}
"""
    lines = [letter * 50_000 for letter in "abcde"]
    with FlowTest(source.replace("MORE", ""), called) as test:
        execution = test.run({"rows": rows(tmp_path, *lines), "s": "hidden-text"})
        assert execution.state == "SUCCESS", execution["all_items"].error
        found = {it["size"].outputs["value"] for it in test.of_flow("called")}
        assert found == {"50001 true"} and len(test.of_flow("called")) == 5
        large = test.run({"rows": rows(tmp_path, "x" * 140_000), "s": "hidden-text"})
        assert "its inputs have 140,0" in large["all_items"].error
    with FlowTest(source.replace("MORE", "{{ inputs.s }}"), called) as test:
        shown = test.run({"rows": rows(tmp_path, "a"), "s": "hidden-text"})
        assert "gives a secret" in shown["all_items"].error
        assert "hidden-text" not in "".join([*shown.messages(), shown["all_items"].error])


def test_a_subflow_that_takes_too_long_is_killed() -> None:
    timed = OUTER.replace("inheritLabels: true", "timeout: PT1M, retry: {RETRY}").replace(
        "RETRY", "type: constant, interval: PT1S, maxAttempts: 2"
    )
    with FlowTest(timed, INNER) as test:
        execution = test.run()
        children = test.of_flow("inner")
    assert (execution.state, [it.state for it in children]) == ("FAILED", ["KILLED", "KILLED"])
    assert [it.state for it in execution["call"].attempts] == ["FAILED", "FAILED"]
    assert execution["call"].error == "Timeout: the task ran longer than 60000 ms"


def test_each_batch_is_a_file_that_its_execution_reads(tmp_path: Path) -> None:
    with FlowTest(EACH, CALLED) as test:
        execution = test.run({"rows": rows(tmp_path, "a", "b", "c")})
        assert execution.state == "SUCCESS", execution
        lines = execution["show"].outputs["value"].splitlines()
        assert [json.loads(line) for line in lines] == [{"text": "0:a\nb\n"}, {"text": "1:c\n"}]
        children = test.of_flow("called")
        assert [str(it.state) for it in children] == ["SUCCESS"] * 2
        assert {it.labels["system.correlationId"] for it in children} == {execution.id}


def test_a_batch_that_fails_fails_them_all(tmp_path: Path) -> None:
    with FlowTest(EACH, CALLED) as test:
        execution = test.run({"rows": rows(tmp_path, "a", "b", "bad")})
        assert execution.state == "FAILED"
        assert execution["all_items"].outputs["iterations"]["SUCCESS"] == 1
        assert "has FAILED" in execution["all_items"].error
        assert "show" not in execution


def test_a_kill_goes_down_to_what_runs() -> None:
    with FlowTest(OUTER, INNER) as test:
        execution = test.start(labels={"a": "b"})
        test.advance(60)
        (child,) = test.of_flow("inner")
        assert (child.state, child.labels["a"]) == ("RUNNING", "b")
        test.kill(execution)
        test.run_until("KILLED", execution)
        assert [str(child.state), str(child["wait"].state)] == ["KILLED", "KILLED"]
        assert test.now - (child.ended or 0) < 10_000


def test_a_flow_that_is_not_there_fails_the_task_that_calls_it() -> None:
    with FlowTest(OUTER) as test:
        execution = test.run()
        assert execution.state == "FAILED"
        assert "there is no flow tests.inner" in execution["call"].error


# Secrets, and what only a worker can tell

SAFE = """\
id: safe
namespace: tests
inputs: [{id: s, type: SECRET}]
tasks:
- {id: length, type: return, format: "{{ inputs.s | length }}"}
"""


def calling(inputs: str, head: str = "inputs: [{id: s, type: SECRET}]") -> str:
    call = "{id: call, type: subflow, namespace: tests, flowId: safe, INPUTS}"
    return f"id: caller\nnamespace: tests\n{head}\ntasks:\n- {call.replace('INPUTS', inputs)}\n"


def test_a_secret_goes_on_to_a_subflow_as_it_is_sealed() -> None:
    with FlowTest(calling('inputs: {s: "{{ inputs.s }}"}'), SAFE) as test:
        execution = test.run({"s": "hidden!"})
        assert execution.state == "SUCCESS", execution
        (child,) = test.of_flow("safe")
        assert child["length"].outputs == {"value": "7"}
        assert "hidden" not in json.dumps(child.inputs)


def test_a_secret_is_no_part_of_a_text() -> None:
    with FlowTest(calling('inputs: {s: "Bearer {{ inputs.s }}"}'), SAFE) as test:
        execution = test.run({"s": "hidden!"})
        assert "hand it over alone" in execution["call"].error
        assert not test.of_flow("safe")


def test_a_condition_over_a_secret_hands_it_over_all_the_same() -> None:
    text = """inputs: {s: "{{ inputs.s }}"}, runIf: "{{ inputs.s == 'hidden!' }}" """
    with FlowTest(calling(text), SAFE) as test:
        assert test.run({"s": "hidden!"}).state == "SUCCESS"
        assert len(test.of_flow("safe")) == 1
        assert test.run({"s": "another"})["call"].state == "SKIPPED"


CHILD = """\
id: safe
namespace: tests
inputs: [{id: s, type: STRING}, {id: n, type: INT}]
tasks:
- {id: odd, type: fail, condition: "{{ inputs.n < 1 }}"}
"""
SETTING = """\
id: caller
namespace: tests
tasks:
- {id: set, type: io.kestra.plugin.core.kv.Set, key: k, value: from the store}
- id: call
  type: subflow
  namespace: tests
  flowId: safe
  inputs: {s: "{{ kv('k') }}", n: "{{ taskrun.attemptsCount }}"}
  outputs: {o: "{{ inputs.s }} {{ now() is defined }}"}
  retry: {type: constant, interval: PT1S, maxAttempts: 2}
"""


def test_inputs_may_read_the_world_and_each_try_reads_it_anew() -> None:
    with FlowTest(SETTING, CHILD) as test:
        execution = test.run()
        assert execution.state == "SUCCESS", execution
        assert [it.inputs for it in test.of_flow("safe")] == [
            {"s": "from the store", "n": 0},
            {"s": "from the store", "n": 1},
        ]
        assert execution["call"].outputs["outputs"] == {"o": "from the store true"}
