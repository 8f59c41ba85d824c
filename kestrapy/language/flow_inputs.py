"""Inputs of a flow: what all types have in common, and what each adds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_args

from kestrapy.language.expression import names_of
from kestrapy.language.expression.template import strings_of
from kestrapy.language.fields import Fields, plain
from kestrapy.language.input_values import TYPES, Unfit, convert, convert_default, plain_text
from kestrapy.language.inputs import in_order
from kestrapy.language.problems import near
from kestrapy.model.inputs import OLDER_TYPES, DependsOn, Input, InputType

INPUT_ID = re.compile(r"[a-zA-Z0-9][.a-zA-Z0-9_-]*")
INPUT_TYPES: tuple[str, ...] = (*get_args(InputType), *OLDER_TYPES)
NOT_AN_ITEM = ("ARRAY", "SECRET", "MULTISELECT", "SELECT", "ENUM")
"""Types that the items of a list can't have."""
_ITEM_TYPES = tuple(it for it in INPUT_TYPES if it not in NOT_AN_ITEM)


def read_inputs(parent: Fields, name: str = "inputs") -> tuple[Input, ...]:
    """The inputs under a property of a flow, or of a task that asks for some."""
    found = parent.each(name)
    inputs = tuple(_read_input(each) for each in found)
    _check_ids(found, inputs)
    _check_dependencies(found, inputs)
    return inputs


def read_type(fields: Fields) -> InputType:
    """The type by its present name; STRING where it is unknown."""
    name = fields.kind("type", INPUT_TYPES, "")
    if not name:
        fields.rest()
    return OLDER_TYPES.get(name) or cast(InputType, name or "STRING")


def _read_input(fields: Fields) -> Input:
    of_type = read_type(fields)
    read = Input(
        id=_read_id(fields),
        type=of_type,
        description=fields.text("description"),
        display_name=fields.text("displayName"),
        required=fields.flag("required", True),
        defaults=fields.take("defaults"),
        prefill=fields.take("prefill"),
        depends_on=_read_depends_on(fields),
        contradiction=contradiction(of_type, fields.value)[1],
        **(_DETAILS[of_type](fields) if of_type in _DETAILS else {}),
    )
    fields.close()
    if read.defaults is not None:
        _check_defaults(fields, read)
    if read.prefill is not None and not read.contradiction:
        _check_value(fields, "prefill", read)
    return read


def _read_id(fields: Fields) -> str:
    """``name`` is Kestra's older name of ``id``."""
    if not fields.has("name"):
        return fields.identifier("id", INPUT_ID, 256)
    if fields.has("id"):
        fields.add("name", "`name` is the same as `id`: keep one of them")
    fields.take("id")
    return fields.identifier("name", INPUT_ID, 256)


def _read_depends_on(parent: Fields) -> DependsOn | None:
    fields = parent.fields("dependsOn")
    read = DependsOn(tuple(fields.texts("inputs")), fields.text("condition"))
    fields.close()
    if not parent.has("dependsOn"):
        return None
    if not read.inputs and not read.condition:
        fields.problems.add(fields.path, "expected `inputs`, `condition` or both")
    fields.problems.add_expressions((*fields.path, "condition"), read.condition)
    return read


def contradiction(of_type: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """What of an input keeps it from taking a value, and why; two empty texts where nothing does.

    Kestra saves such a flow and runs it, and refuses the values.
    """
    pattern = data.get("validator")
    if of_type in ("STRING", "SECRET") and isinstance(pattern, str):
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            return "validator", f"`{pattern}` is no regular expression: {error}"
    if of_type == "MULTISELECT" and data.get("values") and data.get("options"):
        return "options", "you can't define both `values` and `options`: keep `values`"
    return "", ""


def _read_pattern(fields: Fields) -> dict[str, Any]:
    pattern, (broken, _) = fields.text("validator"), contradiction("STRING", fields.value)
    return {} if broken else {"validator": pattern}


def _read_numbers(fields: Fields) -> dict[str, Any]:
    low, high = fields.number("min"), fields.number("max")
    if low is not None and high is not None and low > high:
        fields.add("max", f"max {plain(high)} is below min {plain(low)}")
    return {"min": low, "max": high}


def _read_lengths(fields: Fields) -> dict[str, Any]:
    return {name: _read_value(fields, name, "DURATION") or None for name in ("min", "max")}


def _read_dates(of_type: InputType) -> Callable[[Fields], dict[str, Any]]:
    def read(fields: Fields) -> dict[str, Any]:
        after, before = (_read_value(fields, it, of_type) for it in ("after", "before"))
        if after and before and after.rstrip("Z") > before.rstrip("Z"):
            fields.add("before", f"before {before} is earlier than after {after}")
        return {"after": after, "before": before}

    return read


def _read_value(fields: Fields, name: str, of_type: InputType) -> str:
    """A bound in the form of the type's values; empty where there is none."""
    text = fields.text(name)
    try:
        return str(TYPES[of_type](text)) if text else ""
    except Unfit as error:
        fields.add(name, str(error))
        return ""


def _read_file(fields: Fields) -> dict[str, Any]:
    allowed = tuple(fields.texts("allowedFileExtensions"))
    for index, each in enumerate(allowed):
        if not each.startswith("."):
            path = (*fields.path, "allowedFileExtensions", index)
            fields.problems.add(path, f"`{each}` must begin with a dot, such as .csv")
    return {"allowed_file_extensions": allowed, "extension": fields.text("extension")}


def _read_array(fields: Fields) -> dict[str, Any]:
    if not fields.has("itemType"):
        fields.problems.add(fields.path, "`itemType` is required")
    return {"item_type": _read_item_type(fields)}


def _read_item_type(fields: Fields) -> str:
    name = fields.text("itemType")
    if name in NOT_AN_ITEM:
        fields.add("itemType", f"`itemType` cannot be `{name}`: expected {', '.join(_ITEM_TYPES)}")
    elif name and name not in _ITEM_TYPES:
        expected = f"{near(name, _ITEM_TYPES)} (expected: {', '.join(_ITEM_TYPES)})"
        fields.add("itemType", f"Invalid type: {name}{expected}")
    else:
        return OLDER_TYPES.get(name, name)
    return ""


def _read_select(fields: Fields) -> dict[str, Any]:
    values = fields.texts("values")
    return _read_options(fields, values) | {"is_radio": fields.flag("isRadio")}


def _read_multiselect(fields: Fields) -> dict[str, Any]:
    """``options`` is Kestra's older name of ``values``."""
    values, older = fields.texts("values"), fields.texts("options")
    item_type = _read_item_type(fields)
    if fields.has("itemType") and not item_type:
        values = values or ["-"]  # one problem at a time
    return _read_options(fields, values or older) | {"item_type": item_type}


def _read_options(fields: Fields, values: Sequence[str]) -> dict[str, Any]:
    expression = fields.text("expression")
    fields.problems.add_expressions((*fields.path, "expression"), expression)
    if values and expression:
        fields.add("expression", "you can't define both `values` and `expression`: keep one")
    if not values and not expression:
        fields.problems.add(fields.path, "`values` or `expression` is required")
    return {
        "values": tuple(values),
        "expression": expression,
        "allow_custom_value": fields.flag("allowCustomValue"),
        "auto_select_first": fields.flag("autoSelectFirst"),
    }


_DETAILS: dict[InputType, Callable[[Fields], dict[str, Any]]] = {
    "STRING": _read_pattern,
    "SECRET": _read_pattern,
    "INT": _read_numbers,
    "FLOAT": _read_numbers,
    "DURATION": _read_lengths,
    "DATETIME": _read_dates("DATETIME"),
    "DATE": _read_dates("DATE"),
    "TIME": _read_dates("TIME"),
    "FILE": _read_file,
    "ARRAY": _read_array,
    "SELECT": _read_select,
    "MULTISELECT": _read_multiselect,
}
"""What a type adds to the properties of all."""


def _check_defaults(fields: Fields, read: Input) -> None:
    if not read.required:
        fields.add(
            "required", "an input with `defaults` always has a value: leave out `required: false`"
        )
    if read.prefill is not None:
        fields.add("prefill", "you can't define both `defaults` and `prefill`: keep one of them")
    if read.type == "SECRET":
        _check_secret(fields, read)
    elif not read.contradiction:
        _check_value(fields, "defaults", read)


def _check_secret(fields: Fields, read: Input) -> None:
    fields.problems.add_expressions((*fields.path, "defaults"), read.defaults)
    if not isinstance(read.defaults, str):
        fields.add("defaults", "the default of a SECRET is a text, or a template of one")
    elif any(strings_of(read.defaults)):
        for path in _names(read.defaults):
            fields.add(
                "defaults",
                "the default of a SECRET is rendered where the task runs, which does not have"
                f" `{'.'.join(path)}`: use a function such as secret()",
            )
    elif read.validator and not re.fullmatch(read.validator, read.defaults):
        fields.add("defaults", f"it must match the pattern `{read.validator}`")


def _names(template: str) -> Sequence[tuple[str, ...]]:
    return names_of(template)


def _check_value(fields: Fields, name: str, read: Input) -> None:
    """What can be said of a value before anything is rendered."""
    value = getattr(read, name)
    fields.problems.add_expressions((*fields.path, name), value)
    if any(strings_of(value)):
        return
    options = read.values if read.values and not read.expression else None
    try:
        (convert_default if name == "defaults" else convert)(read, value, options)
    except Unfit as error:
        for cause in error.causes:
            fields.add(name, cause)


def _check_ids(found: Sequence[Fields], inputs: Sequence[Input]) -> None:
    """Dots in ids build maps: a value can't be a map for another input at the same time."""
    ids = {each.id for each in inputs}
    seen: set[str] = set()
    for fields, each in zip(found, inputs, strict=True):
        if each.id and each.id in seen:
            fields.add("id", f"Duplicate input with name [{each.id}]: give each its own id")
        seen.add(each.id)
        parts = each.id.split(".")
        for end in range(1, len(parts)):
            if (outer := ".".join(parts[:end])) in ids:
                fields.add("id", f"`{each.id}` lies within the input `{outer}`: rename one of them")


def _check_dependencies(found: Sequence[Fields], inputs: Sequence[Input]) -> None:
    ids = {each.id for each in inputs}
    for fields, each in zip(found, inputs, strict=True):
        for index, name in enumerate(each.depends_on.inputs if each.depends_on else ()):
            if name not in ids:
                path = (*fields.path, "dependsOn", "inputs", index)
                message = f"unknown input `{name}`{near(name, ids)}"
                fields.problems.add(path, f"{message} (expected: {plain_text(sorted(ids))})")
                return
    sorted_ids = {each.id for each in in_order(inputs)}
    for fields, each in zip(found, inputs, strict=True):
        if each.id not in sorted_ids:
            fields.add("dependsOn", f"`{each.id}` depends on itself, directly or through others")
