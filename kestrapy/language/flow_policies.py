"""What a flow says of its executions as a whole."""

from __future__ import annotations

from typing import Literal, cast

from kestrapy.language.fields import Fields
from kestrapy.model.flow import Concurrency

CONCURRENCY_BEHAVIORS = ("QUEUE", "CANCEL", "FAIL")


def read_concurrency(parent: Fields) -> Concurrency | None:
    """A limit of 1 or more, and what becomes of an execution beyond it."""
    fields = parent.fields("concurrency")
    if not parent.has("concurrency"):
        return None
    if not fields.has("limit"):
        fields.problems.add(fields.path, "`limit` is required: how many may run at once")
    limit = fields.integer("limit", 1, 1)
    behavior = fields.choice("behavior", CONCURRENCY_BEHAVIORS, "QUEUE")
    fields.close()
    return Concurrency(limit, cast(Literal["QUEUE", "CANCEL", "FAIL"], behavior))
