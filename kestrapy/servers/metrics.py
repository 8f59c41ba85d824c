"""What servers count, for Prometheus; ``health`` serves it."""

from __future__ import annotations

from prometheus_client import Counter

DIVERGED = Counter(
    "kestrapy_diverged",
    "Executions of which an event came twice and not the same: a bug, please report it",
)
INDEXED = Counter("kestrapy_indexed", "Records that were written to storage", ["topic"])
DEAD_LETTERS = Counter(
    "kestrapy_dead_letters", "Records that were sent to the dead-letter topic", ["topic"]
)
