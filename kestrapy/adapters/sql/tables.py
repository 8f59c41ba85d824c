"""The tables, for SQLite and PostgreSQL alike; ``migrations`` makes them, a test compares both.

Times are epoch ms. What is searched has a column; ``snapshot`` is the record's JSON text.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

METADATA = MetaData()

LABEL_KEY_LENGTH = 100
LABEL_VALUE_LENGTH = 250
"""Longer ones are searched by their beginning: an index entry of PostgreSQL has 2.7 kB at most."""

EXECUTIONS = Table(
    "executions",
    METADATA,
    Column("id", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("namespace", String, nullable=False),
    Column("flow_id", String, nullable=False),
    Column("flow_revision", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("start_at", BigInteger, nullable=False),
    Column("end_at", BigInteger),
    Column("snapshot", Text, nullable=False),
    Index("executions_by_start", "start_at", "id"),
    Index("executions_by_flow", "namespace", "flow_id", "start_at"),
    Index("executions_by_state", "state", "start_at"),
)

LABELS = Table(
    "labels",
    METADATA,
    Column("execution_id", String, nullable=False),
    Column("key", String, nullable=False),
    Column("value", String, nullable=False),
    # The event that gave the label. It holds only while the execution's row has the same number:
    # so a label that a later event left out is void without being deleted.
    Column("number", BigInteger, nullable=False),
    PrimaryKeyConstraint("execution_id", "key"),
    Index("labels_by_value", "key", "value"),
)

TASK_RUNS = Table(
    "task_runs",
    METADATA,
    Column("execution_id", String, nullable=False),
    Column("id", String, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("task_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("snapshot", Text, nullable=False),
    PrimaryKeyConstraint("execution_id", "id"),
)

EXECUTION_EVENTS = Table(
    "execution_events",
    METADATA,
    Column("execution_id", String, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("chain", String, nullable=False),
    Column("task_run_id", String),
    Column("namespace", String, nullable=False),
    Column("flow_id", String, nullable=False),
    Column("flow_revision", Integer, nullable=False),
    Column("snapshot", Text, nullable=False),
    PrimaryKeyConstraint("execution_id", "number"),
)

LOGS = Table(
    "logs",
    METADATA,
    Column("execution_id", String, nullable=False),
    Column("task_run_id", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("level", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("namespace", String, nullable=False),
    Column("flow_id", String, nullable=False),
    Column("task_id", String, nullable=False),
    PrimaryKeyConstraint("execution_id", "task_run_id", "epoch", "sequence"),
    Index("logs_by_execution", "execution_id", "at"),
    Index("logs_by_flow", "namespace", "flow_id", "at"),
    Index("logs_by_time", "at"),
)

METRICS = Table(
    "metrics",
    METADATA,
    Column("execution_id", String, nullable=False),
    Column("task_run_id", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("value", Double),  # NULL: not a number, which SQLite can't keep
    Column("tags", Text, nullable=False),
    Column("namespace", String, nullable=False),
    Column("flow_id", String, nullable=False),
    Column("task_id", String, nullable=False),
    PrimaryKeyConstraint("execution_id", "task_run_id", "epoch", "sequence"),
)

FLOWS = Table(
    "flows",
    METADATA,
    Column("namespace", String, nullable=False),
    Column("flow_id", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("namespace", "flow_id", "revision"),
)

TRIGGERS = Table(
    "triggers",
    METADATA,
    Column("uid", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("namespace", String, nullable=False),
    Column("flow_id", String, nullable=False),
    Column("trigger_id", String, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("next_at", BigInteger),
    Column("snapshot", Text, nullable=False),
    Index("triggers_by_flow", "namespace", "flow_id", "trigger_id"),
)

PURGES = Table(
    "purges",
    METADATA,
    Column("kind", String, nullable=False),  # execution, or logs
    Column("id", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    # Of an execution the row stays when all is deleted, so that it doesn't come back.
    Column("done", Boolean, nullable=False),
    Column("content", Text, nullable=False),
    PrimaryKeyConstraint("kind", "id"),
    Index("purges_by_state", "done", "at"),
)

OFFSETS = Table(
    "offsets",
    METADATA,
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("next", BigInteger, nullable=False),
    PrimaryKeyConstraint("topic", "partition"),
)
