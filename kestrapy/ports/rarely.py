"""Rare paths, taken on purpose: a batch of one record, a checkpoint or a restore just now.

Shells ask at such points; in production the answer is ``never``. Adapter: ``sim.rare_paths``, so
that seeds reach in minutes what a cluster would meet in years.
"""

from __future__ import annotations

from typing import Protocol


class Rarely(Protocol):
    """Given to a shell when it is made."""

    def __call__(self, path: str) -> bool:
        """Whether to take this path now. path: for people, the same words each time."""


def never(path: str) -> bool:
    """Outside of simulations."""
    return False
