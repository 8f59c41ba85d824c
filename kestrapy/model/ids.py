"""Ids, all derived: the same cause gives the same id, in every process and at every replay.

An execution id is 22 characters of ``0-9a-z``: 2 for the shard (base 36), 9 for the time (base 32,
ms since 1970, so that ids sort by time within a shard) and 11 of a hash (55 bits). The shard names
the partition of every topic whose key is an execution id. A task run's id is its execution's, a
dash, and its ordinal in the execution.
"""

from __future__ import annotations

from hashlib import blake2b

_BASE32 = "0123456789abcdefghijklmnopqrstuv"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_DIGITS = frozenset(_BASE36)
MAX_SHARDS = 36 * 36
ID_LENGTH = 22
SHARD_LENGTH = 2
"""Characters at the beginning of an execution id that are the same in all ids of a shard."""


def _base32(number: int, length: int) -> str:
    return "".join(_BASE32[number >> 5 * place & 31] for place in reversed(range(length)))


def digest(*parts: str | int, bits: int) -> int:
    """A hash of the parts, each told from the next by its length; stable over processes and
    builds.
    """
    hasher = blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode()
        hasher.update(len(data).to_bytes(4, "big"))
        hasher.update(data)
    return int.from_bytes(hasher.digest(), "big") >> (128 - bits)


def derive_execution_id(shard: int, at: int, *cause: str | int) -> str:
    """The id of the execution that ``cause`` makes, in shard, at epoch ms ``at``."""
    if not 0 <= shard < MAX_SHARDS:
        raise ValueError(f"shard {shard} is not within 0..{MAX_SHARDS - 1}")
    return prefix_of(shard) + _base32(at, 9) + _base32(digest(*cause, bits=55), 11)


def prefix_of(shard: int) -> str:
    """What all ids of a shard begin with."""
    return _BASE36[shard // 36] + _BASE36[shard % 36]


def shard_of(execution_id: str) -> int:
    """The shard that an execution id names. Raises ValueError for what is no execution id."""
    if len(execution_id) != ID_LENGTH or not _DIGITS.issuperset(execution_id):
        raise ValueError(
            f"{execution_id!r} is no execution id: expected {ID_LENGTH} characters of 0-9 and a-z"
        )
    return int(execution_id[:2], 36)


def time_of(execution_id: str) -> int:
    """When the execution of this id was asked for, epoch ms."""
    return int(execution_id[2:11], 32)
