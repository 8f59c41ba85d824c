"""Secrets in flows: read by tasks, and masked wherever people look."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from kestrapy.ports.log import Partition
from kestrapy.testing import FlowTest, StandIn
from tests.unit.testing.test_flow_test import flow, ret, shell

LOG = "io.kestra.plugin.core.log.Log"
SECRET = json.dumps({"user": "admin", "password": "tr0ub4dor"})
SEALED = "io.kestra.datatype:aes_encrypted"
TOKEN = "{{ secret('TOKEN') }}"
SUBFLOW = "io.kestra.plugin.core.flow.Subflow"


def opened(test: FlowTest, value: Any) -> str:
    assert value.keys() == {"type", "value"} and value["type"] == SEALED
    return test.servers.cipher.decrypt(value["value"])


def written(test: FlowTest) -> bytes:
    """All that stands in the log, of every topic."""
    parts = test.servers.parts
    reader = parts.log.reader()
    specs = parts.catalogue.specs(parts.groups)
    places = [Partition(it.name, index) for it in specs for index in range(it.partitions)]
    reader.assign(dict.fromkeys(places, 0))
    found = b""
    while records := reader.poll(1_000, 0.0):
        found += b"\n".join(it.value or b"" for it in records)
    reader.close()
    return found


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_DB", b64encode(SECRET.encode()).decode())
    monkeypatch.setenv("SECRET_TOKEN", b64encode(b"hunter22").decode())


def test_a_task_reads_a_secret_and_its_log_shows_stars() -> None:
    log = f"{{id: l, type: {LOG}, message: \"{{{{ secret('TOKEN') }}}} is it\"}}"
    with FlowTest(flow(log, shell("s", 'echo is {{ secret("TOKEN") }}; exit 1'))) as test:
        execution = test.run()
    assert execution.messages("l") == ["****** is it"]
    assert "is ******" in execution.messages("s")
    said = "".join([*execution.messages(), execution["s"].error])
    assert "hunter22" not in said


def test_a_part_of_a_secret_is_one_as_well() -> None:
    log = f"{{id: l, type: {LOG}, message: \"{{{{ secret('db', subkey='password') }}}}\"}}"
    with FlowTest(flow(log)) as test:
        assert test.run().messages("l") == ["******"]


def test_what_an_expression_makes_of_a_secret_is_one_as_well() -> None:
    made = ret("a", "{{ secret('TOKEN') | upper }}")
    part = ret("b", "{{ json(secret('DB')).password }}")
    again = ret("c", "{{ outputs.a.value | reverse }}")
    log = f"{{id: l, type: {LOG}, message: \"so {{{{ secret('TOKEN') | title }}}} is\"}}"
    with FlowTest(flow(made, part, again, log)) as test:
        execution = test.run()
        found = [opened(test, execution[it].outputs["value"]) for it in ("a", "b", "c")]
        assert found == ["HUNTER22", "tr0ub4dor", "22RETNUH"]
        assert execution.messages("l") == ["so ****** is"]
        for text in (*found, "Hunter22"):
            assert text.encode() not in written(test)


@pytest.mark.parametrize("call", ["secret('NOTHING')", "secret('DB', subkey='nothing')"])
def test_a_secret_that_is_not_there_fails_its_task(call: str) -> None:
    with FlowTest(flow(ret("a", f"{{{{ {call} }}}}"))) as test:
        execution = test.run()
    assert execution.state == "FAILED" and "Cannot find secret" in execution["a"].error
    assert "tr0ub4dor" not in execution["a"].error


def test_a_secret_may_decide_but_not_show() -> None:
    kind = "io.kestra.plugin.core.flow.If"
    condition = "{{ secret('TOKEN') == 'hunter22' }}"
    when = f'{{id: if, type: {kind}, condition: "{condition}", then: [{ret("yes")}]}}'
    with FlowTest(flow(when)) as test:
        assert "yes" in test.run()


def test_encrypt_and_decrypt_go_with_a_key_of_the_flow() -> None:
    key = b64encode(bytes(32)).decode()
    text = f"{{{{ decrypt('{key}', encrypt('{key}', 'hello')) }}}}"
    with FlowTest(flow(ret("a", text), ret("b", "{{ encrypt('short', 'x') }}"))) as test:
        execution = test.run()
        assert opened(test, execution["a"].outputs["value"]) == "hello"
    assert "32 bytes in Base64" in execution["b"].error


def test_error_logs_are_those_of_the_execution() -> None:
    fail = "{id: f, type: io.kestra.plugin.core.execution.Fail, errorMessage: broken}"
    told = ret("told", "{{ errorLogs()[0].message }} {{ errorLogs() | length }}")
    with FlowTest(flow(fail, head=f"errors:\n  - {told}")) as test:
        execution = test.run()
    assert execution["told"].outputs == {"value": "broken 1"}


def test_a_free_port_is_one() -> None:
    with FlowTest(flow(ret("a", "{{ randomPort() }}"))) as test:
        assert 1_024 <= int(test.run()["a"].outputs["value"]) <= 65_535


def test_outputs_that_only_look_encrypted_stay_as_they_are() -> None:
    sealed = {"type": "io.kestra.datatype:aes_encrypted", "value": "bm90aGluZw=="}
    default = {"type": "io.kestrapy:secret_default", "value": "{{ secret('TOKEN') }}"}
    source = flow("{id: t, type: acme.Odd}", ret("a", "{{ outputs.t }}"))
    odd = StandIn("acme.Odd", lambda _: {"a": sealed, "b": default})
    with FlowTest(source, stand_ins=[odd]) as test:
        found = test.run()["a"].outputs["value"]
    assert "hunter22" not in str(found) and "bm90aGluZw==" in str(found)


def test_an_output_that_holds_a_secret_is_sealed_and_a_later_task_reads_it() -> None:
    used = "echo {{ outputs.a.value }} | grep -q ^is-hunter2.$ && echo same"
    with FlowTest(flow(ret("a", f"is-{TOKEN}"), shell("b", used))) as test:
        execution = test.run()
        assert opened(test, execution["a"].outputs["value"]) == "is-hunter22"
        log = written(test)
    assert "same" in execution.messages("b")
    assert SEALED.encode() in log and b"hunter22" not in log


def test_inputs_are_secrets_as_well() -> None:
    head = "inputs: [{id: key, type: SECRET}]"
    with FlowTest(flow(ret("a", "{{ inputs.key }}!"), head=head)) as test:
        execution = test.run({"key": "tr0ub4dor"})
        assert opened(test, execution["a"].outputs["value"]) == "tr0ub4dor!"
        assert b"tr0ub4dor" not in written(test)


def test_a_few_letters_are_no_secret_in_an_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_PIN", b64encode(b"123").decode())
    monkeypatch.setenv("SECRET_CODE", b64encode(b"1234").decode())
    outputs = (ret("a", "{{ secret('PIN') }}"), ret("b", "{{ secret('CODE') }}"))
    with FlowTest(flow(*outputs)) as test:
        execution = test.run()
        assert execution["a"].outputs == {"value": "123"}
        assert opened(test, execution["b"].outputs["value"]) == "1234"


def test_so_it_is_where_the_task_fails_or_its_outputs_are_kept() -> None:
    line = f'echo "::{{\\"outputs\\":{{\\"list\\":[\\"{TOKEN}\\"]}}}}::"'.replace("'", "''")
    kept = shell("a", line, ", taskCache: {enabled: true}")
    fails = shell("b", f"{line}; exit 1")
    with FlowTest(flow(kept, fails)) as test:
        for execution in (test.run(), test.run()):
            for name in ("a", "b"):
                (value,) = execution[name].outputs["vars"]["list"]
                assert opened(test, value) == "hunter22"
        assert any("taskCache" in it for it in execution.messages("a"))
        (cached,) = (it for it in test.servers.blobs.list("kestra:///") if "outputs-" in it)
        with test.servers.blobs.open(cached) as file:
            content = file.read()
        assert SEALED.encode() in content and b"hunter22" not in content


def test_tasks_of_a_directory_hand_it_on_sealed() -> None:
    kind = "io.kestra.plugin.core.flow.WorkingDirectory"
    children = f"{ret('a', TOKEN)}, {ret('b', '{{ outputs.a.value | upper }}')}"
    with FlowTest(flow(f"{{id: d, type: {kind}, tasks: [{children}]}}")) as test:
        execution = test.run()
        assert opened(test, execution["a"].outputs["value"]) == "hunter22"
        assert opened(test, execution["b"].outputs["value"]) == "HUNTER22"
        assert b"hunter22" not in written(test).lower()


def test_an_output_of_the_flow_stays_sealed_up_to_the_parent() -> None:
    declared = "outputs: [{id: token, type: STRING, value: '{{ outputs.a.value }}'}]"
    child = flow(ret("a", TOKEN), head=declared).replace("id: tested", "id: child")
    call = f"{{id: s, type: {SUBFLOW}, namespace: tests, flowId: child}}"
    used = shell("t", "echo {{ outputs.s.outputs.token }} | grep ^hunter2.$")
    with FlowTest(flow(call, used), child) as test:
        execution = test.run()
        assert execution.state == "SUCCESS", execution.messages()
        assert opened(test, execution["s"].outputs["outputs"]["token"]) == "hunter22"
        assert b"hunter22" not in written(test)


def test_a_sealed_value_is_no_part_of_a_flows_output() -> None:
    declared = "outputs: [{id: token, type: STRING, value: 'is {{ outputs.a.value }}'}]"
    with FlowTest(flow(ret("a", TOKEN), head=declared)) as test:
        execution = test.run()
    assert execution.state == "FAILED" and not execution.outputs
    assert "output `token`: a secret can't be a part of a text here" in execution.error


@pytest.mark.parametrize(
    ("kind", "property"),
    [
        ("Labels", "labels: {a: '{{ outputs.a.value }}'}"),
        ("SetVariables", "variables: {a: '{{ outputs.a.value }}'}"),
    ],
)
def test_nothing_puts_it_where_everybody_reads(kind: str, property: str) -> None:
    task = f"{{id: b, type: io.kestra.plugin.core.execution.{kind}, {property}}}"
    with FlowTest(flow(ret("a", TOKEN), task)) as test:
        execution = test.run()
        assert b"hunter22" not in written(test)
    assert execution.state == "FAILED" and "a property gives a secret" in execution["b"].error


def test_a_condition_compares_what_is_sealed() -> None:
    kind = "io.kestra.plugin.core.flow.If"
    condition = "{{ outputs.a.value == 'hunter22' }}"
    when = f'{{id: if, type: {kind}, condition: "{condition}", then: [{ret("yes")}]}}'
    with FlowTest(flow(ret("a", TOKEN), when)) as test:
        assert "yes" in test.run()


def test_metrics_show_stars() -> None:
    kind = "io.kestra.plugin.core.metric.Publish"
    metric = f'{{name: n, type: counter, value: 1, tags: {{by: "{TOKEN}"}}}}'
    with FlowTest(flow(f"{{id: m, type: {kind}, metrics: [{metric}]}}")) as test:
        assert test.run().state == "SUCCESS"
        log = written(test)
    assert b"******" in log and b"hunter22" not in log
