"""Known answers of Java's ``Utils.murmur2``, from Kafka's own tests."""

from __future__ import annotations

import pytest

from kestrapy.wire.partitioner import murmur2, partition_for

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_the_hash_is_javas(key: bytes) -> None:
    assert murmur2(key) == JAVA[key] % 2**32


@pytest.mark.parametrize("key", JAVA)
def test_the_partition_is_javas(key: bytes) -> None:
    assert partition_for(key, 7) == (JAVA[key] & 0x7FFFFFFF) % 7


def test_without_a_key_it_is_the_first() -> None:
    assert partition_for(None, 7) == 0
    assert partition_for(b"", 7) == (murmur2(b"") & 0x7FFFFFFF) % 7
