"""Where settings come from: one YAML file and the environment; and which of them is to blame.

``KESTRAPY_SECTION__KEY`` names a setting, words split by one underscore, levels by two. Variables
with other names after ``KESTRAPY_`` belong to other parts and are left alone; but one with two
underscores that names no setting is a typing error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from kestrapy.errors import SettingsRefused

PREFIX = "KESTRAPY_"
_LEVEL = "__"

Trail = tuple[str | int, ...]
"""Keys and indexes that lead to a setting."""


@dataclass
class Sources:
    """values: nested, by the keys of the file. places: which file and line, or which variable."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Trail, str] = field(default_factory=dict)

    def place(self, path: Trail) -> str:
        """Where a setting was given, or the nearest one around it; "settings" where nowhere."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return "settings"


def read_sources(model: type[BaseModel], file: Path | None, env: Mapping[str, str]) -> Sources:
    """Raises SettingsRefused for what can't be read or names no setting."""
    sources = _read_file(file) if file is not None else Sources()
    for name in sorted(env):
        if name.startswith(PREFIX):
            _add_variable(model, sources, name, env[name])
    return sources


def refusal(model: type[BaseModel], sources: Sources, error: ValidationError) -> SettingsRefused:
    """The error with a line for each problem: place, setting, what is wrong, what is expected."""
    lines = []
    for each in error.errors(include_url=False):
        path = tuple(each["loc"])
        name = ".".join(str(part) for part in path)
        text = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            text = _unknown(str(path[-1]), _known(_at(model, path[:-1])))
        elif _showable(model, path, each["input"]):
            text = f"{text}, not {each['input']!r}"
        lines.append(f"{sources.place(path)}: {name}: {text}" if name else text)
    return SettingsRefused("\n".join(lines))


def _read_file(file: Path) -> Sources:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise SettingsRefused(f"{file}: can't be read: {cause}") from cause
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Sources(places={(): str(file)})
        if not isinstance(node, yaml.MappingNode):
            raise SettingsRefused(f"{file}:{_line(node)}: expected a mapping of settings")
        places: dict[Trail, str] = {(): str(file)}
        for path, line in _lines(node, (), file):
            places[path] = f"{file}:{line}"
        return Sources(loader.construct_document(node), places)
    except yaml.MarkedYAMLError as cause:
        line = cause.problem_mark.line + 1 if cause.problem_mark else 1
        raise SettingsRefused(f"{file}:{line}: no YAML: {cause.problem}") from cause
    except yaml.YAMLError as cause:
        raise SettingsRefused(f"{file}: no YAML: {cause}") from cause
    finally:
        loader.dispose()


def _lines(
    node: yaml.Node, path: Trail, file: Path, around: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[Trail, int]]:
    """Path and line of each key and item. Raises SettingsRefused for a key that is there twice."""
    if any(each is node for each in around):
        raise SettingsRefused(f"{file}:{_line(node)}: an alias leads back to where it stands")
    inside = (*around, node)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), _line(item)
            yield from _lines(item, (*path, index), file, inside)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), _line(key)
            if name in seen:
                raise SettingsRefused(f"{file}:{line}: {name} stands in line {seen[name]} already")
            seen[name] = line
            yield (*path, name), line
            yield from _lines(value, (*path, name), file, inside)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _add_variable(model: type[BaseModel], sources: Sources, name: str, text: str) -> None:
    words = name.removeprefix(PREFIX).lower().split(_LEVEL)
    path: list[str] = []
    inside: Any = model
    for word in words:
        known = _known(inside)
        if inside is dict:
            key, inside = word.replace("_", "."), str
        elif (found := _field(inside, word)) is not None:
            key, inside = found
        elif len(words) == 1:
            return
        else:
            variables = [variable_name([*path, each]) for each in known]
            raise SettingsRefused(f"{name}: {_unknown(name, variables)}")
        path.append(key)
    if _is_section(inside) or inside is dict:
        raise SettingsRefused(f"{name} is a section: set one of its keys, {name}{_LEVEL}…")
    target = sources.values
    for key in path[:-1]:
        nested = target.get(key)
        target[key] = nested = dict(nested) if isinstance(nested, dict) else {}
        target = nested
    target[path[-1]] = _value(inside, name, text)
    sources.places[tuple(path)] = name


def variable_name(path: list[str]) -> str:
    """The variable of a setting: kafka, topicPrefix -> ``KESTRAPY_KAFKA__TOPIC_PREFIX``."""
    snake = ("".join(f"_{c}" if c.isupper() else c for c in part) for part in path)
    return PREFIX + _LEVEL.join(snake).replace(".", "_").upper()


def _value(kind: Any, name: str, text: str) -> Any:
    """A variable's text; of a list, what it says as YAML."""
    if kind is not tuple:
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise SettingsRefused(f"{name}: expected a list in YAML or JSON: {cause}") from cause


def _field(model: Any, word: str) -> tuple[str, Any] | None:
    """Key and kind of a field by its lower-case name with underscores."""
    info = model.model_fields.get(word) if _is_section(model) else None
    return None if info is None else (str(info.alias), kind_of(info))


def kind_of(info: FieldInfo) -> Any:
    """What a field holds: a section, ``dict``, ``tuple``, or a simple type, without ``None``."""
    options = [each for each in get_args(info.annotation) if each is not type(None)]
    origin = get_origin(info.annotation)
    if origin in (dict, tuple):
        return origin
    return options[0] if options and type(None) in get_args(info.annotation) else info.annotation


def _at(model: Any, path: Trail) -> Any:
    """The section that a path leads to; what stands in a list is of the list's kind."""
    for part in path:
        if isinstance(part, int):
            continue
        info = next((f for f in model.model_fields.values() if f.alias == part), None)
        if info is None:
            return None
        model = get_args(info.annotation)[0] if kind_of(info) is tuple else kind_of(info)
        if not _is_section(model):
            return model
    return model


def _known(model: Any) -> list[str]:
    return [str(info.alias) for info in model.model_fields.values()] if _is_section(model) else []


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f"unknown; {f'did you mean {close[0]}? ' if close else ''}known here: {', '.join(known)}"


def _showable(model: type[BaseModel], path: Trail, value: Any) -> bool:
    """Whether an error may show a value: short ones, and never what may be secret."""
    kind = _at(model, path)
    # What stands where a whole section belongs may be anything: a password, put a level too high.
    secret = kind in (SecretStr, dict, None) or _is_section(kind)
    return not secret and isinstance(value, str | int | float | bool)
