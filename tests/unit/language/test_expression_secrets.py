"""What an expression makes of a secret is told, so that nobody reads it elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from kestrapy.language.expression import compile_template
from tests.unit.language.test_expression_world import FixedWorld

SECRET = '{"user": "ida", "pass": "hush-hush"}'
VARIABLES: dict[str, Any] = {
    "inputs": {"token": "opensesame", "plain": "visible"},
    "outputs": {"login": {"parts": ["visible", "opensesame"]}},
    "vars": {"template": "{{ secret('K') | upper }}"},
}


class SecretWorld(FixedWorld):
    """Knows one secret, and that one of the variables is another. told: what was made of them."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def secret(self, key: str, namespace: str | None, subkey: str | None) -> str:
        return SECRET

    def hidden(self) -> set[str]:
        return {"opensesame", SECRET}

    def made(self, texts: Collection[str]) -> None:
        self.told += texts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ secret('K') }}", [SECRET]),
        ("{{ secret('K') | upper }}", [SECRET.upper()]),
        ("{{ json(secret('K')).pass }}", ["hush-hush"]),
        ("{{ json(secret('K')) }}", ["hush-hush", "ida", "pass", "user"]),
        ("{{ secret('K') | jq('.user') }}", ["ida"]),
        ("{{ inputs.token | base64encode }}", ["b3BlbnNlc2FtZQ=="]),
        ("{{ outputs.login.parts[1] | reverse }}", ["emasesnepo"]),
        ("{{ inputs['token'].substring(4) }}", ["sesame"]),
        ("{% set t = secret('K') %}{{ t | lower }}", [SECRET, SECRET.lower()]),
        ("{% for p in outputs.login.parts %}{{ p | title }} {% endfor %}", ["Opensesame"]),
        ("{% macro m(x) %}{{ x | upper }}{% endmacro %}{{ m(inputs.token) }}",
         ["OPENSESAME", "OPENSESAME"]),
        ("{{ render(vars.template) | lower }}", [SECRET.upper(), SECRET.lower()]),
        ("{{ decrypt('k', 'cba') | upper }}", ["ABC"]),
        ("as {{ inputs.plain }}: {{ inputs.token | upper }}", ["OPENSESAME"]),
    ],
)  # fmt: skip
def test_what_is_made_of_a_secret_is_told(text: str, told: list[str]) -> None:
    world = SecretWorld()
    compile_template(text).render(VARIABLES, world)
    assert sorted(world.told) == sorted(told)


@pytest.mark.parametrize(
    "text",
    [
        "{{ inputs.plain | upper }}",
        "{{ secret('K') contains 'prod' ? 'production' : 'staging' }}",
        "{{ inputs.token == 'x' ? inputs.plain : 'other' }}",
        "{% if secret('K') is not empty %}set{% endif %}",
        "{{ http(uri='http://a', headers={'Authorization': inputs.token}) }}",
        "{{ encrypt(secret('K'), inputs.plain) }}",
        "{{ kv(inputs.token, errorOnMissing=false) ?? 'none' }}",
    ],
)
def test_what_shows_nothing_of_a_secret_is_not_told(text: str) -> None:
    world = SecretWorld()
    compile_template(text).render(VARIABLES, world)
    assert [it for it in world.told if it] == []


def test_without_a_world_nothing_is_looked_for() -> None:
    assert compile_template("{{ inputs.token | upper }}").render(VARIABLES) == "OPENSESAME"
