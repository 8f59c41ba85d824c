"""Checks what a task or trigger type adds to the core properties against the type's model.

A string with an expression fits a field of any type, for only its rendered value can be judged: the
worker validates again after rendering. Everything else is judged here.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from kestrapy.language.expression import has_expression
from kestrapy.language.fields import expected
from kestrapy.language.problems import Problems, near, shown
from kestrapy.language.yaml_source import Path

_JUDGED_BY_CODE = ("value_error", "assertion_error")
_TEMPLATES = ("function-after[_check_expression", "function-after[_check_template")
_WORDS = (
    (re.compile(r"a valid dictionary( or instance of \w+)?"), "a map"),
    (re.compile(r"a valid (list|array)"), "a list"),
    (re.compile(r"a valid string"), "text"),
    (re.compile(r"a valid boolean"), "true or false"),
    (re.compile(r"a valid integer"), "a whole number"),
)
"""Of pydantic's messages: what they say in the words of the flow language."""
Location = tuple[str | int, ...]


def property_names(model: type[BaseModel]) -> set[str]:
    """The properties of a model, as they are written in YAML."""
    return {field.alias or name for name, field in model.model_fields.items()}


def check_properties(
    model: type[BaseModel], data: dict[str, Any], path: Path, problems: Problems, core: set[str]
) -> None:
    """Add a problem for each property that doesn't fit. core: other names that one may mean."""
    problems.add_expressions(path, data)
    try:
        model.model_validate(data)
    except ValidationError as error:
        found = _told(error.errors(include_url=False))
        rendered_later = [it["loc"] for it in found if has_expression(it["input"])]
        for it in found:
            if not _depends_on_expression(it, data, rendered_later):
                place = _path_in(it["loc"], data)
                problems.add((*path, *place), _message(it, property_names(model) | core))


def _told(errors: list[Any]) -> list[Any]:
    """Without what a union says of its templates, where something else would fit as well."""
    others = [it for it in errors if not _is_of_template(it)]
    places = {_plain(it["loc"]) for it in others}
    return [it for it in errors if it in others or _plain(it["loc"]) not in places]


def _is_of_template(error: Any) -> bool:
    return any(str(part).startswith(_TEMPLATES) for part in error["loc"])


def _plain(location: Location) -> Location:
    """Up to where pydantic names a branch of a union."""
    found: list[str | int] = []
    for part in location:
        if isinstance(part, str) and re.search(r"[\[(]|^(str|list|dict|int|bool|float)$", part):
            break
        found.append(part)
    return tuple(found)


def _depends_on_expression(error: Any, data: Any, rendered_later: list[Location]) -> bool:
    """Whether rendering may mend it: an expression is its value, or another union branch's."""
    if error["type"] == "extra_forbidden":
        return False
    if has_expression(error["input"]):
        return True
    if error["type"] in _JUDGED_BY_CODE and _holds_expression(error["input"]):
        return True
    location: Location = error["loc"][:-1] if error["type"] == "missing" else error["loc"]
    branch = len(_path_in(location, data, stop=True))
    if branch == len(location):
        return False
    around, own = location[:branch], location[branch]
    return any(it[:branch] == around and it[branch : branch + 1] != (own,) for it in rendered_later)


def _holds_expression(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_expression(part) for item in value.items() for part in item)
    if isinstance(value, list):
        return any(map(_holds_expression, value))
    return has_expression(value)


def _path_in(location: Location, data: Any, stop: bool = False) -> Path:
    """The keys and indexes of a location: pydantic puts names of a union's branches in between.

    stop: end before the first of those.
    """
    path: list[str | int] = []
    for part in location:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            if stop:
                break
            continue
        path.append(part)
    return tuple(path)


def _message(error: Any, names: set[str]) -> str:
    name = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "missing":
            return f"`{name}` is required"
        case "extra_forbidden" if len(error["loc"]) == 1:
            return f"unknown property `{name}`{near(name, names)}{expected(names)}"
        case "extra_forbidden":
            return f"unknown property `{name}`: leave it out"
        case "value_error" | "assertion_error":
            return str(error["ctx"]["error"])
    message: str = error["msg"]
    for pattern, word in _WORDS:
        message = pattern.sub(word, message)
    found = f"{message[0].lower()}{message[1:]}, got {shown(error['input'])}"
    if error["type"] in ("literal_error", "enum") and isinstance(error["input"], str):
        found += near(error["input"], re.findall(r"'([^']+)'", error["ctx"]["expected"]))
    return found
