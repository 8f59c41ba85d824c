"""Outputs of a flow."""

from __future__ import annotations

from collections.abc import Sequence

from kestrapy.language.fields import Fields, unique
from kestrapy.language.flow_inputs import INPUT_ID, read_type
from kestrapy.language.flow_tasks import refuse_world
from kestrapy.model.flow import Output


def read_outputs(given: Sequence[Fields]) -> tuple[Output, ...]:
    """given: each item of ``outputs``."""
    unique(given, "output")
    return tuple(_read_output(each) for each in given)


def _read_output(fields: Fields) -> Output:
    if not fields.has("value"):
        fields.problems.add(fields.path, "`value` is required")
    read = Output(
        id=fields.identifier("id", INPUT_ID, 256),
        type=read_type(fields),
        value=fields.take("value"),
        description=fields.text("description"),
        display_name=fields.text("displayName"),
        required=fields.flag("required", True),
    )
    fields.close()
    if read.type == "SECRET":
        fields.add("type", "an output can't be encrypted yet: leave it out, or make it a STRING")
    fields.problems.add_expressions((*fields.path, "value"), read.value)
    refuse_world(fields, "value", read.value)
    return read
