"""Secrets that flows name by ``secret('KEY')``: kept by whoever runs the workers."""

from __future__ import annotations

from typing import Protocol


class Secrets(Protocol):
    """May be asked from any thread."""

    def find(self, key: str, namespace: str) -> str | None:
        """The secret in the clear; None where there is none. Raises UserError for one that can't
        be read, without showing it.
        """
