"""Bringing a database to this build's schema, whoever starts first."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import text

from kestrapy.adapters.sql.engine import open_engine, transaction
from kestrapy.errors import SettingsRefused

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6B657374  # any number that is the same in every build


def upgrade(url: str) -> None:
    """Migrate to the newest schema; does nothing where it is there. Servers may call it at once.

    All of it is one transaction: a process that dies leaves the schema it found.
    Raises StoreUnavailable; SettingsRefused for a database of a newer build.
    """
    engine = open_engine(url)
    try:
        # On SQLite the transaction holds the database's only write lock from its first statement.
        with transaction(engine, writes=True) as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsRefused(
            f"the database's schema is unknown to this build: run a newer build on it ({error})"
        ) from error
    finally:
        engine.dispose()
