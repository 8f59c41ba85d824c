"""Fixtures of the contracts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kestrapy.adapters.sql.queries import SqlQueries
from kestrapy.adapters.sql.schema import upgrade
from kestrapy.adapters.sql.writer import SqlIndexWriter
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


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.external)])
def url(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    yield request.getfixturevalue("postgres_url")


@pytest.fixture
def writer(url: str) -> Iterator[SqlIndexWriter]:
    upgrade(url)
    writer = SqlIndexWriter(url)
    yield writer
    writer.close()


@pytest.fixture
def queries(url: str, writer: SqlIndexWriter) -> Iterator[SqlQueries]:
    queries = SqlQueries(url)
    yield queries
    queries.close()
