"""Filters of encodings and digests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from kestrapy.language.expression.calls import Unfit, as_plain, as_text, filters
from kestrapy.language.expression.scope import Scope


def _digest(name: str) -> Callable[[Scope, Any], Any]:
    def apply(scope: Scope, value: Any) -> Any:
        if value is None:
            return None
        return hashlib.new(name, _bytes(as_plain(value)), usedforsecurity=False).hexdigest()

    return apply


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


def base64_encode(scope: Scope, value: Any) -> Any:
    return None if value is None else base64.b64encode(_bytes(as_plain(value))).decode()


def base64_decode(scope: Scope, value: Any) -> Any:
    if value is None:
        return None
    try:
        return base64.b64decode(as_text(value), validate=True).decode()
    except ValueError as error:
        raise Unfit(f"needs the Base64 of UTF-8 text: {error}") from None


def urlencode(scope: Scope, value: Any) -> Any:
    """As in a form: a blank becomes ``+``."""
    return None if value is None else quote_plus(_bytes(scope.text(value)), safe="*")


def urldecode(scope: Scope, value: Any) -> Any:
    return None if value is None else unquote_plus(as_plain(value))


FILTERS = tuple(
    filters(
        {
            "base64decode": base64_decode,
            "base64encode": base64_encode,
            "md5": _digest("md5"),
            "sha1": _digest("sha1"),
            "sha256": _digest("sha256"),
            "sha512": _digest("sha512"),
            "urldecode": urldecode,
            "urlencode": urlencode,
        }
    )
)
