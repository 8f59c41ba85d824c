"""``settings.md``: every setting with its variable, unit and default, from the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from kestrapy.config import Milliseconds, Section, Settings
from kestrapy.config_sources import kind_of, variable_name
from kestrapy.reference.markdown import page, table

_INTRODUCTION = """
One YAML file, with the keys below nested as they are here, and the environment, which wins. Keys
that do not exist are refused. Durations are ISO 8601 (`PT25S`) or a number of milliseconds. A list
in a variable is YAML or JSON. The key of a map ends its variable, with `_` for `.`:
`KESTRAPY_KAFKA__LIBRDKAFKA__SECURITY_PROTOCOL`.
"""
_HEADS = ("key", "variable", "type", "default", "meaning")


def settings_reference() -> str:
    """The reference of all settings, as Markdown."""
    return page("Settings", _INTRODUCTION, _section(Settings, []))


def _section(model: type[BaseModel], path: list[str]) -> Iterator[str]:
    """One table of what is set here, and then each section below."""
    title = f"`{'.'.join(path)}`" if path else "At the top"
    yield f"## {title}"
    yield " ".join((model.__doc__ or "").split())
    fields = [(str(info.alias), info) for info in model.model_fields.values()]
    rows = [_row([*path, key], info) for key, info in fields if not _is_section(kind_of(info))]
    if rows:
        yield table(_HEADS, rows)
    for key, info in fields:
        if _is_section(kind_of(info)):
            yield from _section(kind_of(info), [*path, key])
        elif keys := _inside(info):
            yield f"### Each of `{'.'.join([*path, key])}`"
            inside = [(str(it.alias), it) for it in keys]
            yield table(
                ("key", "default", "meaning"),
                [(f"`{name}`", _default(it), it.description or "") for name, it in inside],
            )


def _row(path: list[str], info: FieldInfo) -> tuple[str, ...]:
    return (
        f"`{path[-1]}`",
        f"`{variable_name(path)}`",
        _type(info),
        _default(info),
        info.description or "",
    )


def _type(info: FieldInfo) -> str:
    kind = kind_of(info)
    if kind is tuple:
        keys = _inside(info)
        if not keys:
            return "list of text"
        return f"list of {', '.join(f'`{each.alias}`' for each in keys)}"
    if _is_duration(info):
        return "duration"
    if options := get_args(info.annotation) if kind is info.annotation else ():
        return ", ".join(f"`{each}`" for each in options)
    names = {dict: "map, secret", int: "number", SecretStr: "text, secret", str: "text"}
    return names.get(kind, "path")


def _inside(info: FieldInfo) -> list[FieldInfo]:
    """The settings of each item of a list; none for a list of text."""
    if kind_of(info) is not tuple:
        return []
    return list(getattr(get_args(info.annotation)[0], "model_fields", {}).values())


def _default(info: FieldInfo) -> str:
    value = info.default
    if info.is_required():
        return "required"
    if value is None or value in ((), {}, ""):
        return ""
    return f"`{_duration(value)}`" if _is_duration(info) else f"`{value}`"


def _is_duration(info: FieldInfo) -> bool:
    return get_args(Milliseconds)[1] in info.metadata


def _duration(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    if minutes and not rest:
        return f"PT{minutes}M"
    return f"PT{milliseconds / 1000:g}S"


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
