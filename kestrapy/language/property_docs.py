"""What the model of a type's properties says of itself, for people.

A property is described by its field, or in the class's docstring: ``name: what it is.``, its name
as in Python or as in YAML, several names at once where they are described together.
"""

from __future__ import annotations

import re
from inspect import cleandoc

from pydantic import BaseModel


def summary(model: type[BaseModel]) -> str:
    """The docstring up to where it describes the first property."""
    return _parts(model)[0]


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """By field; empty where there is nothing to read."""
    _, found = _parts(model)
    return {
        name: " ".join((field.description or found.get(name, "")).split())
        for name, field in model.model_fields.items()
    }


def _parts(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    text = " ".join(cleandoc(model.__dict__.get("__doc__") or "").split())
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base is not model and issubclass(base, BaseModel) and base is not BaseModel:
            found |= _parts(base)[1]
    spelled = {field.alias or name: name for name, field in model.model_fields.items()}
    spelled |= {name: name for name in model.model_fields}
    names = "|".join(map(re.escape, spelled)) or "(?!)"
    pieces = re.split(rf"(?:^|(?<=\s))((?:{names})(?:, (?:{names}))*): ", text)
    for said, what in zip(pieces[1::2], pieces[2::2], strict=True):
        found |= {spelled[name]: what.strip() for name in said.split(", ")}
    return pieces[0].strip(), found
