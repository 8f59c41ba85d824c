"""What records have in common, and where one came from."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Public(msgspec.Struct, frozen=True, rename="camel"):
    """A record that others may write and read."""


class Internal(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A record that only kestrapy's servers write and read."""


class Source(NamedTuple):
    """Where a fold's output came from: the command at ``offset`` of a stage's partition, its
    index-th output.

    A receiver keeps the highest (offset, index) per stage and partition and drops what isn't above
    it.
    """

    stage: str
    partition: int
    offset: int
    index: int  # type: ignore[assignment]  # the output's place; tuple.index is not wanted
