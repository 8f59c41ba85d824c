"""Ids are derived, sort by time, and name their shard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.model.ids import ID_LENGTH, MAX_SHARDS, derive_execution_id, digest, shard_of, time_of

NOW = 1_790_000_000_000
FAR = 4_102_444_800_000 * 4
"""Some hundred years from now."""


@given(st.integers(0, MAX_SHARDS - 1), st.integers(0, FAR), st.text(max_size=20))
def test_an_id_names_its_shard_and_time(shard: int, at: int, cause: str) -> None:
    execution_id = derive_execution_id(shard, at, cause)
    assert len(execution_id) == ID_LENGTH
    assert shard_of(execution_id) == shard
    assert time_of(execution_id) == at


@given(st.integers(0, FAR), st.integers(0, FAR))
def test_ids_of_a_shard_sort_by_time(one: int, other: int) -> None:
    first, second = derive_execution_id(3, one, "a"), derive_execution_id(3, other, "a")
    assert (first < second) == (one < other)


def test_the_same_cause_gives_the_same_id() -> None:
    assert derive_execution_id(0, NOW, "a", 1) == derive_execution_id(0, NOW, "a", 1)
    assert derive_execution_id(0, NOW, "a", 1) != derive_execution_id(0, NOW, "a", 2)
    assert derive_execution_id(0, NOW, "ab", "c") != derive_execution_id(0, NOW, "a", "bc")


def test_a_digest_is_the_same_in_every_build() -> None:
    assert digest("a", 1, bits=64) == 0xF6C2D1C66C4AB9AE


@pytest.mark.parametrize("text", ["", "abc", "0" * 21, "0" * 21 + "-", "0" * 21 + "A"])
def test_what_is_no_execution_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no execution id"):
        shard_of(text)


def test_there_are_so_many_shards_and_no_more() -> None:
    with pytest.raises(ValueError, match="not within"):
        derive_execution_id(MAX_SHARDS, NOW, "a")
