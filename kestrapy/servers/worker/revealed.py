"""A job's variables as its task may read them: secrets decrypted, and known to the logs' mask; and
its outputs as others may: what holds a secret is encrypted again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from kestrapy.language.expression import World, render_value
from kestrapy.language.input_values import is_sealed
from kestrapy.model.inputs import ENCRYPTED, MASK
from kestrapy.ports.cipher import Cipher, SecretUnreadable

_LINE = 4
"""Characters: less of a secret says nothing, and stands in too many other texts."""


class Revealed(NamedTuple):
    """secrets: the texts in variables that nobody may read in a log, the longest first."""

    variables: dict[str, Any]
    secrets: tuple[str, ...]


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with stars instead of each secret, the first ones first."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def reveal(variables: Mapping[str, Any], cipher: Cipher | None, world: World | None) -> Revealed:
    """Decrypt what is encrypted in the inputs and the outputs, and render the defaults of secrets
    among the inputs.

    Outputs may come from outside and look like it: there no template is rendered, and what this key
    does not open stays as it is. Triggers are left alone.

    Raises SecretUnreadable, and ExpressionError for a default.
    """
    secrets: set[str] = set()

    def open_one(sealed: dict[str, str]) -> str:
        text = _open(sealed, cipher, world)
        secrets.update(parts_of(text))
        return text

    def open_output(sealed: dict[str, str]) -> Any:
        if sealed["type"] != ENCRYPTED or cipher is None:
            return sealed
        try:
            return open_one(sealed)
        except SecretUnreadable:
            return sealed

    found = dict(variables)
    if isinstance(found.get("inputs"), dict):
        found["inputs"] = _opened(found["inputs"], open_one)
    if isinstance(found.get("outputs"), dict):
        found["outputs"] = _opened(found["outputs"], open_output)
    return Revealed(found, longest_first(secrets))


def parts_of(secret: str) -> set[str]:
    """What of a secret nobody may read. Log lines come one by one: a line of a long one, such as a
    key's, is a secret as well.
    """
    return {secret, *(it for it in secret.splitlines() if len(it) >= _LINE)} - {""}


def made_of(secrets: Iterable[str], texts: Collection[str]) -> set[str]:
    """What of an expression's result nobody may read, where it read a secret. Nothing more where
    one of the texts shows a secret as it is: that is looked for anyway.
    """
    looked = [it for it in secrets if len(it) >= _LINE]
    if any(secret in text for text in texts for secret in looked):
        return set()
    return {part for text in texts for part in parts_of(text) if len(part) >= _LINE}


def longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    """So that no part of one is left where it stands within another."""
    return tuple(sorted(secrets, key=lambda it: (-len(it), it)))


def seal(text: str, cipher: Cipher) -> dict[str, str]:
    """As it stands in records."""
    return {"type": ENCRYPTED, "value": cipher.encrypt(text)}


def guard(
    outputs: dict[str, Any], secrets: Iterable[str], hide: Callable[[str], Any]
) -> dict[str, Any]:
    """Outputs as they may stand in a record: each text that a secret stands in is hidden, however
    deep it is. Keys, and what is sealed already, stay.
    """
    looked = [it for it in secrets if len(it) >= _LINE]

    def guard_one(value: Any) -> Any:
        return hide(value) if any(it in value for it in looked) else value

    return _replaced(outputs, _is_text, guard_one) if looked else outputs


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _opened(values: dict[str, Any], open_one: Callable[[dict[str, str]], Any]) -> dict[str, Any]:
    return _replaced(values, is_sealed, open_one)


def _replaced(
    given: dict[str, Any], chosen: Callable[[Any], bool], change: Callable[[Any], Any]
) -> dict[str, Any]:
    """A copy with what is chosen in it changed. Without recursion, for it may be deep."""
    made = dict(given)
    todo: list[dict[Any, Any] | list[Any]] = [made]
    while todo:
        values = todo.pop()
        places = values.items() if isinstance(values, dict) else enumerate(values)
        for place, value in places:
            if chosen(value):
                values[place] = change(value)
            elif isinstance(value, dict) and not is_sealed(value):
                values[place] = inner = dict(value)
                todo.append(inner)
            elif isinstance(value, list | tuple):
                values[place] = items = list(value)
                todo.append(items)
    return made


def _open(sealed: dict[str, str], cipher: Cipher | None, world: World | None) -> str:
    if sealed["type"] != ENCRYPTED:
        return str(render_value(sealed["value"], {}, world))
    if cipher is None:
        raise SecretUnreadable(
            "a secret can't be decrypted without a key: set `encryption.secretKey` for this worker"
            " to that of the webserver"
        )
    return cipher.decrypt(sealed["value"])
