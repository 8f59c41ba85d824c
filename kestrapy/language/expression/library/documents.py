"""JSON, YAML and Ion: values → text, and back."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import yaml
from amazon.ion import simpleion
from amazon.ion.core import Timestamp
from amazon.ion.exceptions import IonException
from amazon.ion.symbols import SymbolToken

from kestrapy.errors import FlowRefused
from kestrapy.language.expression.calls import Unfit, as_plain, as_text, filters, functions
from kestrapy.language.expression.operators import LONG, fits
from kestrapy.language.expression.scope import Scope
from kestrapy.language.yaml_source import parse

_ION_EXPONENT = re.compile(r"""("(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')|(?<=\d)e\+(?=\d)""")
"""The plus sign of a number, which Java leaves out; strings and quoted names are passed over."""
_QUOTED = re.compile(
    r"^(|~|null|Null|NULL|true|True|TRUE|false|False|FALSE|y|Y|n|N|yes|Yes|YES|no|No|NO|on|On|ON"
    r"|off|Off|OFF)$|[][{},]|(^|[ \t])#|:([ \t]|$)"
)
"""What YAML, of any version, would not read as the text that it is."""
_JAVA = {
    bool: "java.lang.Boolean",
    float: "java.lang.Double",
    str: "java.lang.String",
    list: "java.util.ArrayList",
    dict: "java.util.LinkedHashMap",
}


def to_json(scope: Scope, value: Any) -> str:
    """Of a string too: with its quotes."""
    written = [value] if isinstance(value, str) or value is None else value
    text = scope.text(written)
    return text[1:-1] if written is not value else text


def from_json(scope: Scope, json: Any) -> Any:
    if json is None:
        return None
    try:
        return _plain(scope, msgspec.json.decode(as_text(json)))
    except msgspec.DecodeError as error:
        raise Unfit(f"needs JSON: {error}") from None


def is_json(scope: Scope, value: Any) -> bool:
    """Whether a string is JSON."""
    if not isinstance(value, str):
        return False
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def to_yaml(scope: Scope, value: Any) -> str:
    """A document with a line break at its end; null is ``null`` without one, as in Kestra."""
    if value is None:
        return "null"
    scope.weigh(value)
    scope.step(len(scope.text(value)))
    text: str = yaml.dump(
        _plain(scope, value),
        Dumper=_YamlDumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=10_000,
    )
    if isinstance(value, list | tuple) and value:
        return "".join(f" {line}" for line in text.splitlines(keepends=True))
    return text.removesuffix("...\n")


class _YamlDumper(yaml.SafeDumper):
    """Scalars as Kestra writes them: quoted where YAML would read a word or a collection, else
    plain, even where it would read a number. Without anchors: a value that stands there twice is
    written twice.
    """

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def write(self, value: Any) -> yaml.ScalarNode:
        text = "null" if value is None else as_plain(value)
        style = None
        if isinstance(value, str):
            style = '"' if _QUOTED.search(value) else "|" if "\n" in value else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_YamlDumper.yaml_implicit_resolvers = {}  # whatever is plain is a text to it
for _kind in (str, bool, int, float, type(None)):
    _YamlDumper.add_representer(_kind, _YamlDumper.write)


def from_yaml(scope: Scope, yaml: Any) -> Any:
    if yaml is None:
        return None
    text = as_text(yaml)
    scope.step(len(text) // 8)
    try:
        return _plain(scope, parse(text).data)
    except FlowRefused as error:
        raise Unfit(f"needs YAML: {error}") from None


def to_ion(scope: Scope, value: Any) -> str:
    scope.weigh(value)
    scope.step(len(scope.text(value)) // 16)
    text: str = simpleion.dumps(value, binary=False, omit_version_marker=True)
    return _ION_EXPONENT.sub(lambda found: found[1] or "e", text)


def from_ion(scope: Scope, ion: Any, all_rows: Any = False) -> Any:
    """allRows: a list of all the values, instead of the first one."""
    if ion is None:
        return None
    text = as_text(ion)
    scope.step(len(text) // 16)
    try:
        rows = simpleion.loads(text, single_value=False)
    except (IonException, ValueError, TypeError, AttributeError, EOFError) as error:
        raise Unfit(f"needs Ion: {error}") from None
    scope.step(len(rows))
    if all_rows is True:
        return [_plain(scope, row) for row in rows]
    return _plain(scope, rows[0]) if rows else None


def _plain(scope: Scope, value: Any, levels: int = 64) -> Any:
    """A JSON value, of what a parser made. Numbers have their limits here too."""
    if levels == 0:
        raise Unfit("has more than 64 levels")
    match value:
        case Mapping():
            return {str(key): _plain(scope, item, levels - 1) for key, item in value.items()}
        case Timestamp():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case bool() | str() | None:
            return _scalar(value)
        case int():
            return int(value) if -LONG <= value < LONG else fits(scope, float(value))
        case float() | Decimal():
            return fits(scope, float(value))
        case SymbolToken():
            return value.text
    if isinstance(value, list | tuple):
        return [_plain(scope, item, levels - 1) for item in value]
    return None  # Ion has typed nulls


def _scalar(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else str(value)


def class_name(scope: Scope, value: Any) -> str | None:
    """The Java class that Kestra has for such a value."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return "java.lang.Integer" if -(1 << 31) <= value < 1 << 31 else "java.lang.Long"
    return next((name for kind, name in _JAVA.items() if isinstance(value, kind)), "Object")


FILTERS = tuple(
    filters(
        {
            "className": class_name,
            "json": to_json,
            "toIon": to_ion,
            "toJson": to_json,
            "yaml": to_yaml,
        }
    )
)
FUNCTIONS = tuple(
    functions({"fromIon": from_ion, "fromJson": from_json, "json": from_json, "yaml": from_yaml})
)
TESTS = tuple(filters({"json": is_json}))
