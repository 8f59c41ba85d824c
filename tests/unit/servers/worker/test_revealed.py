"""Secrets in a job's variables: readable for the task, and for nobody else."""

from __future__ import annotations

import pytest

from kestrapy.adapters.aes import new_cipher
from kestrapy.errors import ExpressionError
from kestrapy.model.inputs import ENCRYPTED, SECRET_DEFAULT
from kestrapy.ports.cipher import SecretUnreadable
from kestrapy.servers.worker.revealed import mask, reveal

CIPHER = new_cipher()


def sealed(text: str) -> dict[str, str]:
    return {"type": ENCRYPTED, "value": CIPHER.encrypt(text)}


def test_secrets_among_the_inputs_are_decrypted_and_nothing_else_is() -> None:
    default = {"type": SECRET_DEFAULT, "value": "pw"}
    others = {
        "outputs": {"a": {"list": [sealed("two"), 1]}},
        "trigger": {"body": {"type": SECRET_DEFAULT, "value": "{{ secret('S') }}"}},
    }
    inputs = {"n": {"key": sealed("one")}, "fixed": default, "data": {"type": ENCRYPTED}}
    found = reveal({"inputs": inputs, **others}, CIPHER, None)
    opened = {"n": {"key": "one"}, "fixed": "pw", "data": {"type": ENCRYPTED}}
    assert found.variables == {"inputs": opened, **others}
    assert found.secrets == ("one", "pw")


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
