"""Connections to SQLite or PostgreSQL, and what their drivers raise told apart.

URLs are SQLAlchemy's: ``sqlite:////var/lib/kestrapy/kestrapy.db``, ``postgresql://user:password@host/name``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kestrapy.errors import SettingsRefused
from kestrapy.ports.store import RowsRefused, StoreUnavailable

_BUSY_TIMEOUT_MS = 10_000
_CONNECT_TIMEOUT_S = 5
_STATEMENT_TIMEOUT_MS = 60_000


def parse_url(url: str) -> URL:
    """Raises SettingsRefused for a database that is neither."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsRefused(
            "the database URL can't be read: expected sqlite:///path or postgresql://user@host/name"
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            return parsed
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
    raise SettingsRefused(f"database {parsed.drivername} is not known: use sqlite or postgresql")


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for another one. Raises SettingsRefused."""
    parsed = parse_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def open_engine(url: str) -> Engine:
    """An engine whose transactions are real ones; connects when used. Raises SettingsRefused."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    return create_engine(
        parsed,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=30,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
        },
    )


def _open_sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise SettingsRefused("a SQLite database has to be a file: sqlite:////absolute/path.db")
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin and commit at places of its own
        for pragma in (
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and then writes fails at once when another wrote
        # meanwhile, whatever the busy timeout: whoever will write takes the lock at the start.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def transaction(engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
    """One transaction, committed at the end. Raises StoreUnavailable, RowsRefused."""
    try:
        with engine.connect() as connection:
            with connection.execution_options(writes=writes).begin():
                yield connection
    except PoolTimeout as error:
        raise StoreUnavailable(f"no connection to the database is free: {error}") from error
    except (DataError, IntegrityError) as error:
        raise RowsRefused(f"the database refused: {error.orig}") from error
    except DBAPIError as error:
        # Also a missing table, or a server that is read-only for now: what an operator mends.
        raise StoreUnavailable(f"the database does not answer: {error.orig}") from error
