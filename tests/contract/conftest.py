"""Fixtures of the contracts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.contract.log_bench import (
    Bench,
    kafka,
    memory,
    simulated,
)

ADAPTERS = [
    pytest.param(memory, id="memory"),
    pytest.param(simulated, id="simulated"),
    pytest.param(kafka, id="kafka", marks=pytest.mark.external),
]


@pytest.fixture(params=ADAPTERS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with ExitStack() as closes:
        yield Bench(request.param(request), closes)
