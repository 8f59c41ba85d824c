"""Fixtures of the real Kafka and the real PostgreSQL; a test that can't have them fails.

Each pytest process starts its own when a test asks for one. A run with several processes
(``pytest -n``) shares them when it is started by ``python -m tests.services pytest ...``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from kestrapy.adapters.kafka.provision import provide_kafka
from tests.provided_postgres import fresh_database, provide_postgres


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The bootstrap servers of a real Kafka."""
    with provide_kafka() as provided:
        _say(request, provided.description)
        yield provided.bootstrap_servers


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of names of topics, groups and transactional ids that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}."


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a real PostgreSQL, for SQLAlchemy."""
    with provide_postgres() as provided:
        _say(request, provided.description)
        yield provided.url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL (``postgresql+psycopg://``) of an empty database that no other test has."""
    with fresh_database(postgres_server, f"t_{uuid.uuid4().hex[:12]}") as url:
        yield url


def _say(request: pytest.FixtureRequest, line: str) -> None:
    """One line between the dots of progress."""
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{line}", flush=True)
