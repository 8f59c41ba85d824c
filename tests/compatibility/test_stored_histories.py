"""Logs that other builds have written fold to what they folded to then.

A failure here means that the rules have changed: give them a new ``LOGIC_VERSION`` (and keep the
old ones for as long as shards may hold them), never a new digest.
"""

from __future__ import annotations

import msgspec
import pytest

from kestrapy.machine.stage import KNOWN_LOGIC_VERSIONS
from tests.compatibility.stored import StoredHistory, digest_of, read, restore, store

HISTORIES = [
    pytest.param(it, id=f"v{version}-{it.stage}-{number}")
    for version in KNOWN_LOGIC_VERSIONS
    for number, it in enumerate(read(version))
]


@pytest.mark.parametrize("history", HISTORIES)
def test_a_stored_history_folds_as_it_did(history: StoredHistory) -> None:
    assert digest_of(history) == history.digest


@pytest.mark.parametrize("history", HISTORIES)
def test_what_is_stored_is_what_was_folded(history: StoredHistory) -> None:
    again = [store(restore(it)) for it in history.arrivals]
    assert msgspec.json.encode(again) == msgspec.json.encode(history.arrivals)


def test_a_change_of_what_goes_out_is_seen() -> None:
    (history, *_) = read(KNOWN_LOGIC_VERSIONS[0])
    history.arrivals[0].at += 1
    assert digest_of(history) != history.digest
