"""Regular expressions that take time linear in the text: RE2's, which has no look-around."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import Any

import re2

from kestrapy.language.expression.calls import Unfit
from kestrapy.language.expression.scope import Scope

_PLAIN = re.compile(r"\w+|[^\w.$|()\[{^?*+\\]")
_GROUP = re.compile(r"\\(.)|\$(\d)|\$\{(\w+)\}", re.DOTALL)
_MOST = 1 << 18
"""Bytes that one compiled pattern may take."""
_STATES_A_STEP = 1024
"""Of a pattern's program, times characters of the text: what RE2 does at worst."""


def pattern_for(scope: Scope, pattern: str, text: str) -> Any:
    """A compiled pattern, for one look through a text, which is counted. Raises Unfit."""
    compiled = _compiled(pattern)
    scope.step(1 + compiled.programsize * len(text) // _STATES_A_STEP)
    return compiled


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    """Raises Unfit for what is no pattern, is too large, or looks around or back."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise Unfit(f"can't use the pattern `{pattern[:80]}`: {reason}") from None


def replace_all(
    scope: Scope, pattern: str, replacement: str, text: str, most: int | None = None
) -> str:
    """Java's ``replaceAll``: ``$1`` and ``${name}`` stand for groups. most: places."""
    done, position = [], 0
    for found in islice(pattern_for(scope, pattern, text).finditer(text), most):
        scope.step()
        done.append(scope.grow(text[position : found.start()]))
        done.append(scope.grow(_filled(replacement, found)))
        position = found.end()
    done.append(scope.grow(text[position:]))
    return "".join(done)


def _filled(replacement: str, found: Any) -> str:
    def fill(mark: re.Match[str]) -> str:
        if mark[1] is not None:
            return mark[1]
        group: str | int = int(mark[2]) if mark[2] else mark[3]
        try:
            return found[group] or ""
        except (IndexError, KeyError):
            raise Unfit(f"has no group `{mark[0]}` in its pattern") from None

    return _GROUP.sub(fill, replacement)


def split_by(scope: Scope, delimiter: str, text: str, limit: int) -> list[str]:
    """Java's ``split``. limit: above 0 the most parts, 0 drops empty parts at the end."""
    if limit == 1 or not text:
        return [text]
    if not delimiter:
        cut = len(text) if limit <= 0 else limit - 1
        parts = [*text[:cut], *([text[cut:]] if text[cut:] else [])]
    elif _PLAIN.fullmatch(delimiter):
        parts = text.split(delimiter, limit - 1 if limit > 0 else -1)
    else:
        parts = _split(scope, pattern_for(scope, delimiter, text), text, limit)
    if limit == 0:
        while len(parts) > 1 and not parts[-1]:
            parts.pop()
    return parts


def _split(scope: Scope, pattern: Any, text: str, limit: int) -> list[str]:
    parts: list[str] = []
    position = 0
    for found in pattern.finditer(text):
        scope.step()
        if found.end() == 0 or (found.start() == found.end() == len(text)):
            continue
        if limit > 0 and len(parts) == limit - 1:
            break
        parts.append(text[position : found.start()])
        position = found.end()
    return [*parts, text[position:]]
