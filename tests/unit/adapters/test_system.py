"""The machine's clocks and randomness, as far as they can be told from outside."""

from __future__ import annotations

import re

from kestrapy.adapters.system import SystemClock, SystemEntropy


def test_clocks_count_milliseconds_and_never_go_back() -> None:
    clock = SystemClock()
    assert clock.wall() > 1_700_000_000_000
    for read in (clock.monotonic, clock.boottime):
        first, second = read(), read()
        assert first <= second
    assert clock.boottime() >= clock.monotonic() - 1


def test_tokens_are_sixteen_hex_digits_and_differ() -> None:
    tokens = {SystemEntropy().token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch("[0-9a-f]{16}", token) for token in tokens)
