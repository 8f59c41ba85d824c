"""Secrets of a worker's environment."""

from __future__ import annotations

from base64 import b64encode

import pytest

from kestrapy.adapters.secrets import EnvironmentSecrets
from kestrapy.errors import UserError


def test_a_secret_is_an_environment_variable_in_base64() -> None:
    kept = {"SECRET_MY_KEY": b64encode("größe\n".encode()).decode(), "OTHER": "x"}
    secrets = EnvironmentSecrets(environment=kept)
    assert secrets.find("my_key", "any.namespace") == "größe\n"
    assert secrets.find("MY_KEY", "") == "größe\n"
    assert secrets.find("other", "") is None
    assert EnvironmentSecrets("VAULT_", {"VAULT_K": "a2V5\n"}).find("k", "") == "key"


def test_what_is_no_base64_is_told_without_showing_it() -> None:
    with pytest.raises(UserError, match="SECRET_K is no text in Base64") as refusal:
        EnvironmentSecrets(environment={"SECRET_K": "plain!"}).find("K", "")
    assert "plain!" not in str(refusal.value)
