"""The schema's history, by Alembic. A change of ``tables`` needs a new file in ``versions``."""
