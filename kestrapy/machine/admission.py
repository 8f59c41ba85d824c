"""The fold of ``admission``: what is shared by a flow's executions. Here: the numbering of its
revisions.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine.commands import (
    Command,
    FlowSaveRequested,
    TriggerDefined,
    TriggerDefinition,
)
from kestrapy.machine.entities import Entity, EntityMap
from kestrapy.machine.execution import Step
from kestrapy.machine.outputs import FlowRevision, Output
from kestrapy.model.ids import digest


class FlowHead(Entity, frozen=True):
    """The latest revision of a flow. digest: of its source. triggers: their ids. at: when it was
    saved.
    """

    revision: int
    digest: int
    triggers: tuple[str, ...]
    at: int


ENTITIES = (FlowHead,)


def trigger_uid(namespace: str, flow_id: str, trigger_id: str) -> str:
    """The key of a trigger: ``namespace/flow/trigger`` (a slash is in none of them)."""
    return f"{namespace}/{flow_id}/{trigger_id}"


def step(state: EntityMap, command: Command, at: int) -> Step:
    """A save that changes nothing is answered with the revision that there is."""
    if not isinstance(command, FlowSaveRequested):
        return Step({}, [])
    key = f"f:{command.namespace}/{command.flow_id}"
    head = state.get(key)
    before = head if isinstance(head, FlowHead) else FlowHead(0, 0, (), at)
    content = digest(command.source, bits=63)
    if before.revision and before.digest == content:
        return Step({}, [_revision(command, before)])
    ids = tuple(trigger.id for trigger in command.triggers)
    after = FlowHead(before.revision + 1, content, ids, at)
    outputs: list[Output] = [_revision(command, after)]
    outputs += [_defined(command, after.revision, it.id, it) for it in command.triggers]
    gone = [it for it in before.triggers if it not in ids]
    outputs += [_defined(command, after.revision, it, None) for it in gone]
    return Step({key: after}, outputs)


def _revision(command: FlowSaveRequested, head: FlowHead) -> FlowRevision:
    return FlowRevision(
        namespace=command.namespace,
        flow_id=command.flow_id,
        revision=head.revision,
        source=command.source,
        at=head.at,
    )


def _defined(
    command: FlowSaveRequested,
    revision: int,
    trigger_id: str,
    definition: TriggerDefinition | None,
) -> TriggerDefined:
    if definition is not None and command.disabled:
        definition = msgspec.structs.replace(definition, disabled=True)
    uid = trigger_uid(command.namespace, command.flow_id, trigger_id)
    return TriggerDefined(uid, command.namespace, command.flow_id, revision, definition)
