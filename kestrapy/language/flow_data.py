"""Inputs and outputs of a flow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, cast

from kestrapy.language.expression.template import strings_of
from kestrapy.language.fields import Fields, unique
from kestrapy.language.input_values import TYPES, Unfit, convert
from kestrapy.model.flow import Input, Output

INPUT_ID = re.compile(r"[a-zA-Z0-9][.a-zA-Z0-9_-]*")
NOT_YET = ("dependsOn", "prefill")
"""Properties of an input that Kestra knows."""
NUMBERS = ("INT", "FLOAT")
_TypeName = Literal["STRING", "INT", "FLOAT", "BOOL", "JSON", "FILE"]


def read_inputs(flow: Fields) -> tuple[Input, ...]:
    found = flow.each("inputs")
    unique(found, "input")
    inputs = tuple(_read_input(each) for each in found)
    _check_nesting(found, inputs)
    return inputs


def _read_input(fields: Fields) -> Input:
    fields.refuse(NOT_YET)
    if fields.take("name") is not None:
        fields.add("name", "`name` is an older spelling that is not supported: write `id`")
    read = Input(
        id=fields.identifier("id", INPUT_ID, 256),
        type=_read_type(fields),
        description=fields.text("description"),
        display_name=fields.text("displayName"),
        required=fields.flag("required", True),
        defaults=fields.take("defaults"),
        validator=_read_validator(fields),
        min=fields.number("min"),
        max=fields.number("max"),
    )
    fields.close()
    _check_bounds(fields, read)
    _check_defaults(fields, read)
    return read


def _read_type(fields: Fields) -> _TypeName:
    """``BOOLEAN`` is Kestra's older name of ``BOOL``."""
    name = fields.required("type")
    if name and name not in TYPES and name != "BOOLEAN":
        fields.add("type", f"Invalid type: {name}; supported so far: {', '.join(TYPES)}")
        fields.rest()
        return "STRING"
    return cast(_TypeName, "BOOL" if name == "BOOLEAN" else name or "STRING")


def _read_validator(fields: Fields) -> str:
    pattern = fields.text("validator")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        fields.add("validator", f"`{pattern}` is no regular expression: {error}")
        return ""
    return pattern


def _check_bounds(fields: Fields, read: Input) -> None:
    if fields.has("validator") and read.type != "STRING":
        fields.add("validator", f"an input of type {read.type} has no validator: STRING has")
    for name in ("min", "max"):
        if fields.has(name) and read.type not in NUMBERS:
            fields.add(name, f"an input of type {read.type} has no {name}: INT and FLOAT have")
    if read.min is not None and read.max is not None and read.min > read.max:
        fields.add("max", f"max {read.max} is below min {read.min}")


def _check_defaults(fields: Fields, read: Input) -> None:
    if read.defaults is None:
        return
    if not read.required:
        fields.add(
            "required", "an input with `defaults` always has a value: leave out `required: false`"
        )
    if read.type == "FILE":
        fields.add("defaults", "defaults of a FILE input are not supported yet: leave them out")
        return
    fields.problems.add_expressions((*fields.path, "defaults"), read.defaults)
    if any(strings_of(read.defaults)):
        return
    try:
        convert(read, read.defaults)
    except Unfit as error:
        fields.add("defaults", str(error))


def _check_nesting(found: Sequence[Fields], inputs: Sequence[Input]) -> None:
    """Dots in ids build maps: a value can't be a map for another input at the same time."""
    ids = {each.id for each in inputs}
    for fields, each in zip(found, inputs, strict=True):
        parts = each.id.split(".")
        for end in range(1, len(parts)):
            if (outer := ".".join(parts[:end])) in ids:
                fields.add("id", f"`{each.id}` lies within the input `{outer}`: rename one of them")


def read_outputs(flow: Fields) -> tuple[Output, ...]:
    found = flow.each("outputs")
    unique(found, "output")
    return tuple(_read_output(each) for each in found)


def _read_output(fields: Fields) -> Output:
    if not fields.has("value"):
        fields.problems.add(fields.path, "`value` is required")
    read = Output(
        id=fields.identifier("id", INPUT_ID, 256),
        type=_read_type(fields),
        value=fields.take("value"),
        description=fields.text("description"),
        display_name=fields.text("displayName"),
        required=fields.flag("required", True),
    )
    fields.close()
    fields.problems.add_expressions((*fields.path, "value"), read.value)
    return read
