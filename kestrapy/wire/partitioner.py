"""Which partition a key belongs to: Kafka's murmur2, so that clients of every language agree."""

from __future__ import annotations

import struct

_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995


def murmur2(key: bytes) -> int:
    """The hash of Java's ``Utils.murmur2``, as an unsigned number of 32 bits."""
    whole = len(key) & ~3
    hashed = _SEED ^ len(key)
    for (word,) in struct.iter_unpack("<I", key[:whole]):
        word = word * _FACTOR & _MASK
        word = (word ^ word >> 24) * _FACTOR & _MASK
        hashed = (hashed * _FACTOR & _MASK) ^ word
    if rest := key[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _FACTOR & _MASK
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _MASK
    return hashed ^ hashed >> 15


def partition_for(key: bytes | None, partitions: int) -> int:
    """The partition, from 0, that a topic of that many partitions keeps the key in.

    None: 0; whoever wants records without a key to be spread names their partitions.
    """
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions
