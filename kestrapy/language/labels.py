"""Labels, of a flow or of a trigger: a map, or a list of maps with key and value."""

from __future__ import annotations

from kestrapy.language.fields import Fields, plain
from kestrapy.language.problems import shown
from kestrapy.model.flow import SYSTEM_LABELS


def read_labels(fields: Fields) -> dict[str, str]:
    """Those under ``labels``; empty where there are none."""
    labels: dict[str, str] = {}
    if fields.is_list("labels"):
        for each in fields.each("labels"):
            key = each.required("key")
            _add_label(labels, key, each, "value")
            each.close()
        return labels
    given = fields.mapping("labels")
    each = Fields(given, (*fields.path, "labels"), fields.problems)
    for key in given:
        _add_label(labels, key, each, key)
    return labels


def _add_label(labels: dict[str, str], key: str, fields: Fields, name: str) -> None:
    """Keep the property ``name`` of fields as the label ``key``."""
    value = fields.take(name)
    if key.startswith(SYSTEM_LABELS) and key != "system.readOnly":
        offender = f"{key}={value}"
        fields.add(
            name, f"System labels can only be set by Kestra itself, offending label: {offender}"
        )
    if key in labels:
        fields.add(name, f"Duplicate label with key [{key}]: keep one of them")
    if isinstance(value, str) and value:
        labels[key] = value
    elif isinstance(value, bool | int | float):
        labels[key] = plain(value)
    else:
        fields.add(name, f"a label's value is text that is not empty, got {shown(value)}")
