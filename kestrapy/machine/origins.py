"""Where an execution comes from: a trigger, an execution that it tries again, a task run."""

from __future__ import annotations

import msgspec


class TriggerFired(msgspec.Struct, frozen=True):
    """Which trigger asked for an execution. variables: JSON object, ``trigger.*`` in
    expressions.
    """

    id: str
    type: str
    uid: str = ""
    variables: str = "{}"


class Lineage(msgspec.Struct, frozen=True):
    """Of an execution that tries another one again. original_id: the first of them. attempt: which
    try it is, 2 and up. began: when the first one was created, epoch ms.
    """

    original_id: str
    attempt: int
    began: int


class Parent(msgspec.Struct, frozen=True, array_like=True):
    """The task run that an execution is a child of. iteration: of the batch that it is for, -1 for
    a Subflow's.

    waits: it is told of the end, else of the start. revision: of the flow, 0 for the latest. depth:
    how many executions are above. labels: that count less than the flow's own. outputs: templates
    of what the parent asks for, JSON; empty for none. restoring: where it was restarted together
    with its parent, by which restoring; it says so in its reports.
    """

    task_run_id: str
    iteration: int = -1
    waits: bool = True
    revision: int = 0
    depth: int = 1
    labels: dict[str, str] = {}
    outputs: str = ""
    restoring: str = ""
