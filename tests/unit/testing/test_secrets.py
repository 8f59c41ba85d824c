"""Secrets in flows: read by tasks, and masked wherever people look."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from kestrapy.testing import FlowTest, StandIn
from tests.unit.testing.test_flow_test import flow, ret, shell

LOG = "io.kestra.plugin.core.log.Log"
SECRET = json.dumps({"user": "admin", "password": "tr0ub4dor"})


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
    assert execution["a"].outputs == {"value": "hello"}
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
