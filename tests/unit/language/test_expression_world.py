"""Expressions that read the world: refused without one, and what a given one is asked for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from kestrapy.errors import ExpressionError, UserError
from kestrapy.language.expression import compile_template, render_value
from kestrapy.language.expression.registry import FUNCTIONS
from kestrapy.language.expression.scope import WorldNeeded
from kestrapy.language.expression.template import value_needs_world

CALLS = {
    "decrypt": "decrypt('k', 'cba')",
    "encrypt": "encrypt(key='k', plaintext='abc')",
    "errorLogs": "errorLogs()",
    "fileExists": "fileExists('kestra:///a')",
    "fileSize": "fileSize('kestra:///a')",
    "fileURI": "fileURI('a.txt')",
    "http": "http(uri='http://a', method='POST', body={'b': 1})",
    "id": "id()",
    "isFileEmpty": "isFileEmpty('kestra:///a')",
    "ksuid": "ksuid()",
    "kv": "kv('key', errorOnMissing=false)",
    "nanoId": "nanoId(length=5, alphabet='ab')",
    "now": "now(format='yyyy-MM-dd', timeZone='Europe/Paris')",
    "randomInt": "randomInt(lower=5, upper=8)",
    "randomPort": "randomPort()",
    "read": "read('a.txt')",
    "secret": "secret('KEY', subkey='s')",
    "uuid": "uuid()",
}


class FixedWorld:
    """Answers with what it was asked for."""

    def now(self) -> int:
        return 1_700_000_000_123

    def random(self, count: int) -> bytes:
        return bytes(range(count))

    def port(self) -> int:
        return 4711

    def read(self, uri: str, limit: int) -> str:
        return f"text of {uri}"

    def file_uri(self, path: str, namespace: str | None) -> str:
        return f"kestra:///files/{namespace}/{path}"

    def file_size(self, uri: str) -> int:
        return 0 if uri.endswith("empty") else 7

    def file_exists(self, uri: str) -> bool:
        return True

    def secret(self, key: str, namespace: str | None, subkey: str | None) -> str:
        return f"{key}.{namespace}.{subkey}"

    def hidden(self) -> set[str] | None:
        return None

    def made(self, texts: Collection[str]) -> None:
        return None

    def kv(self, key: str, namespace: str | None, error_on_missing: bool) -> Any:
        if error_on_missing:
            raise UserError(f"there is no key {key}")
        return None

    def http(self, request: dict[str, Any]) -> Any:
        return request

    def error_logs(self) -> list[dict[str, Any]]:
        return [{"message": "m"}]

    def encrypt(self, key: str, text: str) -> str:
        return text[::-1]

    decrypt = encrypt


def render(text: str) -> Any:
    return compile_template(f"{{{{ {text} }}}}").render({}, FixedWorld())


@pytest.mark.parametrize(
    ("name", "value"),
    {
        "decrypt": "abc",
        "encrypt": "cba",
        "errorLogs": [{"message": "m"}],
        "fileExists": True,
        "fileSize": 7,
        "fileURI": "kestra:///files/None/a.txt",
        "http": {"uri": "http://a", "method": "POST", "body": {"b": 1}},
        "isFileEmpty": False,
        "kv": None,
        "nanoId": "bbbbb",
        "now": "2023-11-14",
        "randomPort": 4711,
        "read": "text of kestra:///files/None/a.txt",
        "secret": "KEY.None.s",
        "uuid": "00010203-0405-4607-8809-0a0b0c0d0e0f",
    }.items(),
)
def test_what_a_world_gives(name: str, value: Any) -> None:
    assert render(CALLS[name]) == value


def test_ids_have_the_length_that_they_have_in_kestra() -> None:
    assert [len(render(it)) for it in ("id()", "ksuid()", "nanoId()")] == [22, 27, 21]
    assert 5 <= render(CALLS["randomInt"]) < 8
    assert render("randomInt(5, 5)") == 5
    assert render("isFileEmpty('kestra:///empty')") is True


@pytest.mark.parametrize("name", sorted(it.name for it in FUNCTIONS.values() if it.needs_world))
def test_without_a_world_a_worker_is_asked_for(name: str) -> None:
    template = compile_template(f"{{% if true %}}a{{{{ {CALLS[name]} }}}}{{% endif %}}")
    assert template.needs_world
    with pytest.raises(WorldNeeded, match=f"`{name}` reads the world.*worker"):
        template.render({})


def test_a_value_needs_the_world_where_one_of_its_texts_does() -> None:
    assert value_needs_world({"a": ["{{ x }}", {"{{ now() }}": 1}]})
    assert not value_needs_world({"a": ["{{ x }}", "now()"]})


def test_text_that_is_rendered_again_meets_the_lack_of_a_world() -> None:
    variables = {"vars": {"x": "{{ uuid() }}"}}
    with pytest.raises(WorldNeeded):
        render_value("{{ render(vars.x) }}", variables)
    assert len(render_value("{{ render(vars.x) }}", variables, FixedWorld())) == 36


def test_an_error_of_the_world_names_the_expression() -> None:
    with pytest.raises(ExpressionError, match=r"`kv`: there is no key a, in the expression"):
        render("kv('a')")
