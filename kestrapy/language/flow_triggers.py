"""Triggers of a flow: core properties here, the rest by the model of the trigger's type."""

from __future__ import annotations

from kestrapy.language.fields import Fields, unique
from kestrapy.language.flow_tasks import TASK_ID, Reading, invalid_type
from kestrapy.language.typed_properties import check_properties, property_names
from kestrapy.model.flow import Trigger

NOT_YET = {
    *("conditions", "failOnTriggerError", "labels", "logLevel"),
    *("logToFile", "stopAfter", "version"),
}
"""Core properties of a trigger that Kestra knows; one that the type's model has is the model's."""
NO_WORKER = ("workerGroup", "workerSelector")
"""Of triggers that a worker evaluates: polling ones, of which there are none yet."""
CORE = {"id", "type", "description", "disabled", "allowConcurrent", "inputs"}


def read_triggers(flow: Fields, reading: Reading) -> tuple[Trigger, ...]:
    triggers = flow.each("triggers")
    unique(triggers, "trigger")
    return tuple(read_trigger(each, reading) for each in triggers)


def read_trigger(fields: Fields, reading: Reading) -> Trigger:
    """One of them."""
    name = fields.required("type")
    trigger = Trigger(
        id=fields.identifier("id", TASK_ID, 256),
        type=name,
        description=fields.text("description"),
        disabled=fields.flag("disabled"),
        allow_concurrent=fields.flag("allowConcurrent"),
        inputs=fields.mapping("inputs"),
    )
    reading.problems.add_expressions((*fields.path, "inputs"), trigger.inputs)
    kind = reading.registry.triggers.get(name)
    if kind is None:
        if name:
            fields.add("type", invalid_type(name, reading.registry.triggers))
        fields.rest()
        return trigger
    for each in NO_WORKER:
        if fields.take(each) is not None:
            fields.add(
                each,
                f"`{each}` has no effect on a {kind.name}: no worker evaluates it; leave it out,"
                " and set it on the flow, or on its tasks",
            )
    fields.refuse(sorted(NOT_YET - property_names(kind.properties)))
    properties = fields.rest()
    check_properties(kind.properties, properties, fields.path, reading.problems, CORE)
    return Trigger(
        trigger.id,
        kind.name,
        trigger.description,
        trigger.disabled,
        trigger.allow_concurrent,
        trigger.inputs,
        properties,
    )
