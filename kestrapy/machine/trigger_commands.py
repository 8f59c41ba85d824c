"""What the fold of ``triggers`` reads."""

from __future__ import annotations

import msgspec

from kestrapy.machine.records import Internal
from kestrapy.model.state import State


class TriggerDefinition(msgspec.Struct, frozen=True):
    """A trigger of a flow's revision. properties, inputs: JSON objects."""

    id: str
    type: str
    disabled: bool = False
    allow_concurrent: bool = False
    inputs: str = "{}"
    properties: str = "{}"


class TriggerDefined(Internal, frozen=True):
    """A revision of a flow was saved with this trigger; definition None: without it."""

    uid: str
    namespace: str
    flow_id: str
    revision: int
    definition: TriggerDefinition | None = None


class TriggerScheduled(Internal, frozen=True):
    """The next date of a trigger after ``after``, and the one that follows it, looked up outside.

    Cron rules and timezones change with libraries, so a fold never reads them. revision: of the
    definition.
    """

    uid: str
    revision: int
    after: int
    date: int
    following: int


class TriggerToggled(Internal, frozen=True):
    """A trigger makes no executions from now on, or does again, whatever flows' revisions come."""

    uid: str
    disabled: bool


class TriggerDue(Internal, frozen=True):
    """The date of a trigger has come. due: that date, epoch ms."""

    uid: str
    due: int


class ExecutionEnded(Internal, frozen=True):
    """An execution that a trigger made has ended."""

    uid: str
    execution_id: str
    state: State
