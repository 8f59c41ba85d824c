"""Secrets in a job's variables: readable for the task, and for nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kestrapy.adapters.aes import new_cipher
from kestrapy.errors import ExpressionError
from kestrapy.model.inputs import ENCRYPTED, SECRET_DEFAULT
from kestrapy.ports.cipher import SecretUnreadable
from kestrapy.servers.worker.revealed import guard, made_of, mask, reveal
from tests.task_bench import Bench, NoLauncher

CIPHER = new_cipher()
RETURN = "io.kestra.plugin.core.debug.Return"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Its task has a secret among its inputs, and no cipher."""
    bench = Bench(NoLauncher(), tmp_path)
    bench.variables["inputs"] = {"s": {"type": SECRET_DEFAULT, "value": "hush"}}
    return bench


def sealed(text: str) -> dict[str, str]:
    return {"type": ENCRYPTED, "value": CIPHER.encrypt(text)}


def test_secrets_among_the_inputs_are_decrypted_and_nothing_else_is() -> None:
    default = {"type": SECRET_DEFAULT, "value": "pw"}
    others = {
        "trigger": {"body": {"type": SECRET_DEFAULT, "value": "{{ secret('S') }}"}},
    }
    inputs = {"n": {"key": sealed("one")}, "fixed": default, "data": {"type": ENCRYPTED}}
    outputs = {"a": {"list": [sealed("two"), [1, sealed("three")]]}}
    found = reveal({"inputs": inputs, "outputs": outputs, **others}, CIPHER, None)
    opened = {"n": {"key": "one"}, "fixed": "pw", "data": {"type": ENCRYPTED}}
    lists = {"a": {"list": ["two", [1, "three"]]}}
    assert found.variables == {"inputs": opened, "outputs": lists, **others}
    assert found.secrets == ("three", "one", "two", "pw")


def test_without_secrets_no_key_is_wanted() -> None:
    assert reveal({"inputs": {"a": 1}}, None, None) == ({"inputs": {"a": 1}}, ())


def test_a_default_is_rendered() -> None:
    variables = {"inputs": {"s": {"type": SECRET_DEFAULT, "value": "{{ 'p' ~ 'w' }}"}}}
    assert reveal(variables, None, None).variables == {"inputs": {"s": "pw"}}
    variables = {"inputs": {"s": {"type": SECRET_DEFAULT, "value": "{{ nothing }}"}}}
    with pytest.raises(ExpressionError, match="nothing"):
        reveal(variables, None, None)


def test_without_a_key_the_remedy_is_told() -> None:
    with pytest.raises(SecretUnreadable, match=r"set `encryption.secretKey` for this worker"):
        reveal({"inputs": {"s": sealed("hush")}}, None, None)
    with pytest.raises(SecretUnreadable, match="another key"):
        reveal({"inputs": {"s": sealed("hush")}}, new_cipher(), None)


def test_the_longest_secret_is_masked_first_and_lines_of_a_key_one_by_one() -> None:
    inputs = {"a": sealed("pass"), "b": sealed("password\nof me\n-"), "c": sealed("")}
    found = reveal({"inputs": inputs}, CIPHER, None)
    assert mask("password pass", found.secrets) == "****** ******"
    assert mask("is of me -", found.secrets) == "is ****** -"


def test_deep_inputs_are_no_trouble() -> None:
    deep: dict[str, object] = {"key": sealed("hush")}
    for _ in range(100_000):
        deep = {"a": deep}
    assert reveal({"inputs": deep}, CIPHER, None).secrets == ("hush",)
    while deep:  # taken apart here, for Python would do it by recursion
        deep = deep.pop("a", {})  # type: ignore[assignment]


def test_texts_that_hold_a_secret_are_hidden_wherever_they_are() -> None:
    already = sealed("hush")
    outputs = {"a": ["so hush", {"hush": "calm"}], "b": ("hush", 1), "c": already, "d": "hu"}
    found = guard(outputs, ["hush", "hu"], str.upper)
    assert found == {"a": ["SO HUSH", {"hush": "calm"}], "b": ["HUSH", 1], "c": already, "d": "hu"}
    assert outputs["a"][0] == "so hush", "what it is given stays"


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["OPENSESAME"], {"OPENSESAME"}),
        (["a", "OPENSESAME\nTO ME\n!"], {"OPENSESAME\nTO ME\n!", "OPENSESAME", "TO ME"}),
        (["Bearer opensesame", "ida"], set()),
        (["abc", ""], set()),
        ([], set()),
    ],
)
def test_what_is_made_of_a_secret_is_one_where_it_does_not_show_it(
    texts: list[str], found: set[str]
) -> None:
    assert made_of(("opensesame", "a"), texts) == found


def test_deep_outputs_are_no_trouble() -> None:
    deep: dict[str, object] = {"key": "hush"}
    for _ in range(100_000):
        deep = {"a": [deep]}
    found: Any = guard(deep, ["hush"], str.upper)
    while isinstance(found, dict) and "a" in found:
        (found,) = found["a"]
    assert found == {"key": "HUSH"}
    while deep:
        (deep,) = deep.pop("a", [{}])  # type: ignore[misc]


def test_without_a_key_outputs_have_stars_and_the_log_says_why(bench: Bench) -> None:
    assert bench.done(RETURN, format="so {{ inputs.s }}") == {"value": "so ******"}
    debug, (level, message) = bench.logs
    assert debug == ("DEBUG", "so ******")
    assert level == "WARN" and "set `encryption.secretKey` for this worker" in message
    assert bench.done(RETURN, format="calm") == {"value": "calm"}
    assert bench.logs[2:] == [("DEBUG", "calm")]


def test_a_text_that_can_not_be_encrypted_fails_its_task(bench: Bench) -> None:
    bench.tools = bench.tools._replace(cipher=CIPHER)
    error = bench.refusal(RETURN, format="\ud800{{ inputs.s }}")
    assert error == "the outputs are no JSON: a text in them is no Unicode"
