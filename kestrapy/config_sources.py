"""Where settings come from, a YAML file and the environment, and which of them is to blame.

pydantic-settings reads and merges them. Here is what it leaves out: the place of each setting, and
the refusal of what it passes over: a missing file, a key that stands twice, a variable with two
levels that names no setting. Other names after ``KESTRAPY_`` belong to other parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, YamlConfigSettingsSource

from kestrapy.errors import SettingsRefused

PREFIX = "KESTRAPY_"
LEVEL = "__"
_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")

Trail = tuple[str | int, ...]
"""Keys of the file, and indexes, that lead to a setting."""

Kinds = dict[tuple[str, ...], Any]
"""What each setting and section holds, as ``kind_of`` has it; a list's items, as if a section."""


class FileSource(YamlConfigSettingsSource):
    """The YAML file, if there is one. ``places``: file and line of each of its keys."""

    def __init__(self, model: type[BaseSettings], file: Path | None):
        """Raises SettingsRefused for what can't be read or is ambiguous."""
        self.places: dict[Trail, str] = {}
        try:
            if file is not None:
                self.places = _places(model, file)
            super().__init__(model, yaml_file=file)
        except (OSError, UnicodeDecodeError) as cause:
            raise SettingsRefused(f"{file}: can't be read: {cause}") from cause
        except yaml.MarkedYAMLError as cause:
            line = cause.problem_mark.line + 1 if cause.problem_mark else 1
            raise SettingsRefused(f"{file}:{line}: no YAML: {cause.problem}") from cause
        except (yaml.YAMLError, ValueError) as cause:
            raise SettingsRefused(f"{file}: no YAML: {cause}") from cause


class VariablesSource(EnvSettingsSource):
    """Variables of a given environment. ``places``: the variable of each setting."""

    def __init__(self, model: type[BaseSettings], env: Mapping[str, str]):
        """Raises SettingsRefused for a variable that names no setting."""
        super().__init__(model, case_sensitive=False)
        kinds = _kinds(model)
        given = [name for name in sorted(env) if name.upper().startswith(PREFIX)]
        self.places = {path: name for name in given if (path := _path(kinds, name))}
        # Below the top, the library finds lostAfter as LOSTAFTER, and leaves LOST_AFTER as it is.
        self.env_vars = {
            LEVEL.join((variable_name(path[:1]), *path[1:])).lower(): env[name]
            for path, name in self.places.items()
        }

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """By the key of the file: under the field's name it would not be merged with it."""
        value, _, is_complex = super().get_field_value(field, field_name)
        return value, str(field.alias), is_complex

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> Any:
        """A list, as YAML: the library takes JSON only."""
        try:
            decoded = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            decoded = None
        if isinstance(decoded, list):
            return decoded
        name = f"{PREFIX}{field_name.upper()}"
        raise SettingsRefused(f"{name}: expected a list in YAML or JSON, not {value!r}")


def refusal(
    model: type[BaseModel], places: Mapping[Trail, str], error: ValidationError
) -> SettingsRefused:
    """The error with a line for each problem: place, setting, what is wrong, what is expected."""
    kinds = _kinds(model)
    lines = []
    for each in error.errors(include_url=False):
        path = tuple(each["loc"])
        name, text = ".".join(map(str, path)), each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            text = _unknown(str(path[-1]), _known(kinds, path[:-1]))
        elif _showable(kinds.get(_keys(path)), each["input"]):
            text = f"{text}, not {each['input']!r}"
        around = (path[:length] for length in range(len(path), -1, -1))
        place = next((places[it] for it in around if it in places), "settings")
        lines.append(f"{place}: {name}: {text}" if path else text)
    return SettingsRefused("\n".join(lines))


def variable_name(path: Sequence[str]) -> str:
    """The variable of a setting: kafka, topicPrefix -> ``KESTRAPY_KAFKA__TOPIC_PREFIX``."""
    snake = ("".join(f"_{c}" if c.isupper() else c for c in part) for part in path)
    return PREFIX + LEVEL.join(snake).replace(".", "_").upper()


def kind_of(info: FieldInfo) -> Any:
    """What a field holds: a section, ``dict``, ``tuple``, or a simple type, without ``None``."""
    options = get_args(info.annotation)
    if (origin := get_origin(info.annotation)) in (dict, tuple):
        return origin
    return options[0] if type(None) in options else info.annotation


def _places(model: type[BaseModel], file: Path) -> dict[Trail, str]:
    if not file.is_file():
        raise SettingsRefused(f"{file}: can't be read: it is not there, or no regular file")
    node = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise SettingsRefused(f"{file}:{_line(node)}: expected a mapping of settings")
    places: dict[Trail, str] = {(): str(file)}
    kinds = _kinds(model)
    for path, line in _lines(node, (), file):
        places[path] = f"{file}:{line}"
        key, known = str(path[-1]), _known(kinds, path[:-1])
        # Code may use fields' names, so validation takes them; in the file, a setting has one key.
        if key not in known and to_camel(key) in known:
            name = ".".join(map(str, path))
            raise SettingsRefused(f"{places[path]}: {name}: {_unknown(key, known)}")
    return places


def _lines(
    node: yaml.Node | None, path: Trail, file: Path, around: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[Trail, int]]:
    """Path and line of each key and item. Raises SettingsRefused for a key that is there twice."""
    if node is not None and any(each is node for each in around):
        raise SettingsRefused(f"{file}:{_line(node)}: an alias leads back to where it stands")
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), _line(item)
            yield from _lines(item, (*path, index), file, (*around, node))
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), _line(key)
            if key.tag not in _KEY_TAGS:
                raise SettingsRefused(f"{file}:{line}: a key has to be text: quote it")
            if name in seen:
                raise SettingsRefused(f"{file}:{line}: {name} stands in line {seen[name]} already")
            seen[name] = line
            yield (*path, name), line
            yield from _lines(value, (*path, name), file, (*around, node))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _path(kinds: Kinds, name: str) -> tuple[str, ...] | None:
    """The setting of a variable; none, where its one level names no setting."""
    sought = name.upper()
    paths = {variable_name(path): path for path in kinds if kinds.get(path[:-1]) is not tuple}
    sections = {each: path for each, path in paths.items() if _has_keys(kinds[path])}
    if sought in sections:
        raise SettingsRefused(f"{name} is a section: set one of its keys, {name}{LEVEL}…")
    section, level, word = sought.rpartition(LEVEL)
    if kinds.get(sections.get(section, ())) is dict:
        return (*sections[section], word.lower().replace("_", "."))
    if level and sought not in paths:
        around = [path for each, path in sections.items() if sought.startswith(each + LEVEL)]
        nearest = max(around, key=len, default=())
        known = [variable_name((*nearest, key)) for key in _known(kinds, nearest)]
        raise SettingsRefused(f"{name}: {_unknown(name, known)}")
    return paths.get(sought)


def _kinds(model: Any, around: tuple[str, ...] = ()) -> Kinds:
    kinds: Kinds = {}
    for info in getattr(model, "model_fields", {}).values():
        path, kind = (*around, str(info.alias)), kind_of(info)
        inside = get_args(info.annotation)[0] if kind is tuple else kind
        kinds |= {path: kind, **_kinds(inside, path)}
    return kinds


def _known(kinds: Kinds, path: Trail) -> list[str]:
    """The keys of the section that a path leads to."""
    return [each[-1] for each in kinds if each[:-1] == _keys(path)]


def _keys(path: Trail) -> tuple[str, ...]:
    """A path without indexes and YAML's merges, which lead to no other section."""
    return tuple(part for part in path if isinstance(part, str) and part != "<<")


def _has_keys(kind: Any) -> bool:
    return kind is dict or hasattr(kind, "model_fields")


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f"unknown; {f'did you mean {close[0]}? ' if close else ''}known here: {', '.join(known)}"


def _showable(kind: Any, value: Any) -> bool:
    """Whether an error may show a value: short ones, and never what may be secret."""
    # What stands where a whole section belongs may be anything: a password, put a level too high.
    secret = kind in (SecretStr, tuple, None) or _has_keys(kind)
    return not secret and isinstance(value, str | int | float | bool)
