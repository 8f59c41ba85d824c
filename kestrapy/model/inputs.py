"""An input of a flow, as it was validated, and the forms of a secret value outside a worker."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

InputType = Literal[
    "STRING",
    "INT",
    "FLOAT",
    "BOOL",
    "DATETIME",
    "DATE",
    "TIME",
    "DURATION",
    "FILE",
    "JSON",
    "YAML",
    "URI",
    "EMAIL",
    "SECRET",
    "ARRAY",
    "SELECT",
    "MULTISELECT",
]
OLDER_TYPES: dict[str, InputType] = {"BOOLEAN": "BOOL", "ENUM": "SELECT"}
"""Kestra's older names, and the types that they mean."""

MASK = "******"
"""What is shown in place of a secret."""
ENCRYPTED = "io.kestra.datatype:aes_encrypted"
"""``type`` of a map whose ``value`` is an encrypted text."""
SECRET_DEFAULT = "kestrapy.datatype:secret_default"  # noqa: S105 - the name of a form
"""``type`` of a map whose ``value`` is the default of a SECRET input as its flow has it: whoever
runs the task renders it, for only there secrets can be read.
"""


class DependsOn(msgspec.Struct, frozen=True, omit_defaults=True):
    """When an input is asked for: all of ``inputs`` are, and ``condition``, a template, is true
    (always, where it is empty).
    """

    inputs: tuple[str, ...] = ()
    condition: str = ""


class Input(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An input of a flow.

    prefill: what a form begins with; no value unless it is given. validator: a regular expression
    for a STRING or SECRET. min, max: numbers of an INT or FLOAT, ISO-8601 of a DURATION; after,
    before: of a DATETIME, DATE or TIME; all four are allowed themselves. allowed_file_extensions:
    with their dots. extension: what a file's name gets that has none. item_type: of an ARRAY or
    MULTISELECT. values: of a SELECT or MULTISELECT, or an expression that gives them.
    contradiction: why it takes no value, empty where it does: as in Kestra, its flow may be saved,
    and run without one.
    """

    id: str
    type: InputType
    description: str = ""
    display_name: str = ""
    required: bool = True
    defaults: Any = None
    prefill: Any = None
    depends_on: DependsOn | None = None
    validator: str = ""
    min: float | str | None = None
    max: float | str | None = None
    after: str = ""
    before: str = ""
    allowed_file_extensions: tuple[str, ...] = ()
    extension: str = ""
    item_type: InputType | Literal[""] = ""
    values: tuple[str, ...] = ()
    expression: str = ""
    allow_custom_value: bool = False
    is_radio: bool = False
    auto_select_first: bool = False
    contradiction: str = ""
