"""W3C trace context: passed on as it came, with span ids that are derived, never drawn.

A replay of the log must put out the same bytes, so a span's id is a hash of what the span is about.
"""

from __future__ import annotations

import re
from hashlib import blake2b

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.S)


def parse_traceparent(text: str) -> str:
    """The traceparent, as it is, or "" for one that the standard says to leave aside.

    Versions after 00 may append fields; those are kept.
    """
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return ""
    version, trace, span, _, more = match.groups()
    broken = version == "ff" or not trace.strip("0") or not span.strip("0")
    return "" if broken or (version == "00" and more) else text


def child_traceparent(parent: str, *ids: str | int) -> str:
    """The context of a span below parent. ids: what it is about, such as task run id and epoch.

    "" where parent is "": a trace begins outside of kestrapy or not at all.
    """
    if not parse_traceparent(parent):
        return ""
    _, trace, span, flags = parent.split("-")[:4]
    about = "\0".join((trace, span, *map(str, ids)))
    return f"00-{trace}-{blake2b(about.encode(), digest_size=8).hexdigest()}-{flags}"
