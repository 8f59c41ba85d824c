"""Run by Alembic, within the connection and transaction that ``schema.upgrade`` opened."""

from __future__ import annotations

from alembic import context

from kestrapy.adapters.sql.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite alters a table by making it anew.
    render_as_batch=True,
)
context.run_migrations()
