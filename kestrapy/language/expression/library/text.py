"""Filters of text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kestrapy.language.expression.calls import (
    Unfit,
    as_integer,
    as_list,
    as_map,
    as_plain,
    as_text,
    as_text_or_none,
    filters,
)
from kestrapy.language.expression.library.patterns import replace_all, split_by
from kestrapy.language.expression.scope import CHARACTERS_A_STEP, Scope

_VERB = re.compile(r"%(\d++\$)?([-#+ 0,(]*+)(\d++)?(?:\.(\d++))?([sSdxXofeEgGbBcn%])")
_BREAK = re.compile(r"\r\n|\n|\r")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}
_QUOTES = {"single": ("'", "\\'"), "double": ('"', '\\"'), "shell": ("'", "'\\''")}


def _of_text(change: Any) -> Any:
    """A filter that changes text and leaves null as it is; other plain values count as text."""

    def apply(scope: Scope, value: Any) -> Any:
        return None if value is None else change(scope.written(value))

    return apply


def capitalize(text: str) -> str:
    """The first character that is not blank, in upper case."""
    start = len(text) - len(text.lstrip())
    return text[:start] + text[start : start + 1].upper() + text[start + 1 :]


def slugify(text: str) -> str:
    from slugify import slugify as to_slug  # its tables take a while to load

    return to_slug(text)


def title(text: str) -> str:
    return re.sub(r"(^|\s)(\S)", lambda found: found[1] + found[2].upper(), text)


def abbreviate(scope: Scope, value: Any, length: Any) -> Any:
    """A text of length characters or more is cut to length, with dots for the last three of them.

    One of at most three characters stays, and so few are given without dots.
    """
    if value is None:
        return None
    text, most = scope.written(value), as_integer(length)
    if most < 0:
        raise Unfit("needs a length of 0 or more")
    if len(text) < most or len(text) <= 3:
        return text
    return text[:most] if most <= 3 else text[: most - 3] + "..."


def replace(scope: Scope, value: Any, replace_pairs: Any, regexp: Any = False) -> Any:
    """replace_pairs: what is replaced, one after the other, by what. In a text, or in every plain
    value of a list or map.
    """
    if value is None:
        return None
    pairs = [(old, scope.written(new)) for old, new in as_map(replace_pairs).items()]
    scope.weigh(value)
    return _replaced(scope, value, pairs, regexp is True)


def _replaced(scope: Scope, value: Any, pairs: list[tuple[str, str]], regexp: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(scope, item, pairs, regexp) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(scope, item, pairs, regexp) for item in value]
    if value is None:
        return None
    text = scope.written(value)
    for old, new in pairs:
        if regexp:
            text = replace_all(scope, old, new, text)
        else:
            scope.step(1 + len(text) // CHARACTERS_A_STEP)
            scope.room(text.count(old) * len(new))
            text = scope.grow(text.replace(old, new))
    return text


def split(scope: Scope, value: Any, delimiter: Any, limit: Any = None) -> Any:
    """As Java does: delimiter is a pattern, a positive limit bounds the parts, and with limit 0
    empty parts at the end are dropped.
    """
    if value is None:
        return None
    most = 0 if limit is None else as_integer(limit)
    return split_by(scope, as_text(delimiter), as_plain(value), most)


def join(scope: Scope, value: Any, separator: Any = "") -> Any:
    if value is None:
        return None
    glue = "" if separator is None else as_text(separator)
    items = as_list(value)
    parts: list[str] = []
    size = 0
    for item in items:
        scope.step()
        parts.append(scope.written(item))
        size += len(parts[-1]) + len(glue)
        scope.room(size)
    return glue.join(parts)


def format_(scope: Scope, value: Any, *arguments: Any) -> Any:
    """Java's ``String.format``, with the conversions s, d, x, o, f, e, g, b, c, n and %."""
    if value is None:
        return None
    following = iter(range(len(arguments)))

    def fill(verb: re.Match[str]) -> str:
        place, flags, width, precision, letter = verb.groups()
        if letter in "n%":
            return "\n" if letter == "n" else "%"
        index = int(place[:-1]) - 1 if place else next(following, len(arguments))
        if not 0 <= index < len(arguments):
            raise Unfit(f"has no argument for `{verb[0]}`")
        text = _formatted(scope, arguments[index], flags, precision, letter)
        return scope.grow(_padded(scope, text, flags, width))

    return _VERB.sub(fill, as_text(value))


def _formatted(scope: Scope, item: Any, flags: str, precision: str | None, letter: str) -> str:
    kind = letter.lower()
    if kind in "sbc":
        text = "null" if item is None and kind == "s" else scope.written(item)
        text = text if precision is None else text[: int(precision)]
    elif isinstance(item, bool) or not isinstance(item, int | float):
        raise Unfit(f"needs a number for `%{letter}`, not `{scope.written(item)}`")
    elif kind in "dxo" and not isinstance(item, int):
        raise Unfit(f"needs a whole number for `%{letter}`, not {item}")
    else:
        digits = 6 if precision is None else min(int(precision[:4]), 100)
        sign = "+" if "+" in flags else " " if " " in flags else ""
        comma = "," if "," in flags else ""
        text = format(item, f"{sign}{comma}{'' if kind in 'dxo' else f'.{digits}'}{kind}")
    return text.upper() if letter.isupper() else text


def _padded(scope: Scope, text: str, flags: str, width: str | None) -> str:
    if width is None:
        return text
    size = int(width[:10])
    scope.room(size)
    if "-" in flags:
        return text.ljust(size)
    return text.zfill(size) if "0" in flags else text.rjust(size)


def _indented(scope: Scope, text: str, amount: Any, prefix: Any) -> str:
    count = as_integer(amount)
    if count < 0:
        raise Unfit("needs an amount of 0 or more")
    unit = as_text_or_none(prefix)
    unit = " " if unit is None else unit
    breaks = text.count("\n") + text.count("\r")
    scope.room((breaks + 1) * count * len(unit))
    return _BREAK.sub(lambda found: found[0] + unit * count, text)


def indent(scope: Scope, value: Any, amount: Any, prefix: Any = " ") -> Any:
    """Every line but the first moves to the right."""
    return value if value in (None, "") else _indented(scope, scope.written(value), amount, prefix)


def nindent(scope: Scope, value: Any, amount: Any, prefix: Any = " ") -> Any:
    """The text begins on a new line, and every line moves to the right. The break is of the kind
    that the text has.
    """
    if value in (None, ""):
        return value
    text = scope.written(value)
    first = _BREAK.search(text)
    return _indented(scope, (first[0] if first else "\n") + text, amount, prefix)


def substring_before(scope: Scope, value: Any, separator: Any) -> Any:
    return None if value is None else as_plain(value).partition(_separator(separator))[0]


def substring_before_last(scope: Scope, value: Any, separator: Any) -> Any:
    if value is None:
        return None
    before, found, _ = as_plain(value).rpartition(_separator(separator))
    return before if found else as_plain(value)


def substring_after(scope: Scope, value: Any, separator: Any) -> Any:
    return None if value is None else as_plain(value).partition(_separator(separator))[2]


def substring_after_last(scope: Scope, value: Any, separator: Any) -> Any:
    if value is None:
        return None
    _, found, after = as_plain(value).rpartition(_separator(separator))
    return after if found else ""


def _separator(value: Any) -> str:
    if not as_text(value):
        raise Unfit("needs a separator that is not empty")
    return str(value)


def starts_with(scope: Scope, value: Any, value_: Any) -> bool:
    return value is not None and as_plain(value).startswith(as_plain(value_))


def ends_with(scope: Scope, value: Any, value_: Any) -> bool:
    return value is not None and as_plain(value).endswith(as_plain(value_))


def escape_char(scope: Scope, value: Any, type_: Any) -> Any:
    """Quotes escaped, in a text or in every text of a list or map."""
    pair = _QUOTES.get(as_text(type_).lower())
    if pair is None:
        raise Unfit(f"needs a type of single, double or shell, not `{type_}`")
    scope.weigh(value)
    return _escaped(scope, value, *pair)


def _escaped(scope: Scope, value: Any, old: str, new: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _escaped(scope, item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(scope, item, old, new) for item in value]
    return None if value is None else scope.grow(scope.written(value).replace(old, new))


def escape(scope: Scope, value: Any, strategy: Any = "html") -> Any:
    """For HTML."""
    if as_text(strategy) != "html":
        raise Unfit(f"knows the strategy html, not `{strategy}`")
    if value is None:
        return None
    return re.sub("[&<>\"']", lambda found: _HTML[found[0]], scope.written(value))


def raw(scope: Scope, value: Any) -> Any:
    """Nothing is escaped anyway."""
    return value


FILTERS = tuple(
    filters(
        {
            "abbreviate": abbreviate,
            "capitalize": _of_text(capitalize),
            "endsWith": ends_with,
            "escape": escape,
            "escapeChar": escape_char,
            "format": format_,
            "indent": indent,
            "join": join,
            "lower": _of_text(str.lower),
            "nindent": nindent,
            "raw": raw,
            "replace": replace,
            "slugify": _of_text(slugify),
            "split": split,
            "startsWith": starts_with,
            "string": _of_text(str),
            "substringAfter": substring_after,
            "substringAfterLast": substring_after_last,
            "substringBefore": substring_before,
            "substringBeforeLast": substring_before_last,
            "title": _of_text(title),
            "trim": _of_text(str.strip),
            "upper": _of_text(str.upper),
        }
    )
)
