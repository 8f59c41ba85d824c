"""The fold of ``admission``: the numbering of revisions, of flows and of settings; and the slots of
flows with a concurrency limit (``limits``).

A setting's revision goes to the topic ``settings``, for people and servers, and to every shard, for
its fold may read nothing that does not stand in its own log.
"""

from __future__ import annotations

import msgspec

from kestrapy.machine import limits
from kestrapy.machine.commands import (
    Command,
    FlowSaveRequested,
    SettingChanged,
    SettingSaveRequested,
    SlotReleased,
    SlotWanted,
    TriggerDefined,
    TriggerDefinition,
)
from kestrapy.machine.entities import Entity, EntityMap
from kestrapy.machine.execution import Step
from kestrapy.machine.limits import Admittance
from kestrapy.machine.outputs import FlowRevision, Output, SettingRevision
from kestrapy.model.ids import digest


class FlowHead(Entity, frozen=True):
    """The latest revision of a flow. digest: of its source. triggers: their ids. at: when it was
    saved.
    """

    revision: int
    digest: int
    triggers: tuple[str, ...]
    at: int


class SettingHead(Entity, frozen=True):
    """The latest revision of a setting. digest: of its content. at: when it was saved."""

    revision: int
    digest: int
    at: int


ENTITIES = (FlowHead, SettingHead, *limits.ENTITIES)


def trigger_uid(namespace: str, flow_id: str, trigger_id: str) -> str:
    """The key of a trigger: ``namespace/flow/trigger`` (a slash is in none of them)."""
    return f"{namespace}/{flow_id}/{trigger_id}"


def step(state: EntityMap, command: Command, at: int) -> Step:
    """A save that changes nothing is answered with the revision that there is."""
    match command:
        case FlowSaveRequested():
            return _save_flow(state, command, at)
        case SettingSaveRequested():
            return _save_setting(state, command, at)
        case SlotWanted():
            admittance = Admittance(state, command.namespace, command.flow_id)
            admittance.wanted(command)
            return Step(admittance.changes, admittance.outputs)
        case SlotReleased():
            admittance = Admittance(state, command.namespace, command.flow_id)
            admittance.released(command)
            return Step(admittance.changes, admittance.outputs)
    return Step({}, [])


def _save_flow(state: EntityMap, command: FlowSaveRequested, at: int) -> Step:
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
    admittance = Admittance(state, command.namespace, command.flow_id)
    admittance.saved(command, after.revision)
    return Step({key: after, **admittance.changes}, outputs + admittance.outputs)


def _save_setting(state: EntityMap, command: SettingSaveRequested, at: int) -> Step:
    key = f"s:{command.kind}/{command.name}"
    head = state.get(key)
    before = head if isinstance(head, SettingHead) else SettingHead(0, digest("", bits=63), at)
    content = digest(command.content, bits=63)
    if before.digest == content:
        outputs: list[Output] = [_setting_revision(command, before)] if before.revision else []
        return Step({}, outputs)
    after = SettingHead(before.revision + 1, content, at)
    setting = (command.kind, command.name, after.revision, command.content)
    return Step({key: after}, [_setting_revision(command, after), SettingChanged(*setting)])


def _setting_revision(command: SettingSaveRequested, head: SettingHead) -> SettingRevision:
    return SettingRevision(command.kind, command.name, head.revision, command.content, head.at)


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
