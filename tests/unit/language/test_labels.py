"""Labels as expressions read them, and those that only kestrapy sets."""

from __future__ import annotations

import pytest

from kestrapy.errors import UserError
from kestrapy.language.values import labels_from, nested_labels, offending_label


def test_a_dot_in_a_label_is_a_step() -> None:
    labels = {"team": "a", "system.correlationId": "x", "system.from": "api"}
    assert nested_labels(labels) == {"team": "a", "system": {"correlationId": "x", "from": "api"}}


def test_labels_that_are_in_each_other_s_way_keep_their_keys() -> None:
    for labels in ({"a": "1", "a.b": "2"}, {"a.b": "2", "a": "1"}):
        assert nested_labels(labels) == {"a": "1", "a.b": "2"}
    assert nested_labels({"a.b.c": "2", "a.b": "1"}) == {"a": {"b": "1"}, "a.b.c": "2"}


def test_of_the_system_s_labels_only_the_correlation_id_may_be_given() -> None:
    assert offending_label({"a": "b", "system.correlationId": "x"}) == ""
    assert offending_label({"a": "b", "system.from": "x"}) == "system.from=x"


def test_a_value_that_is_a_map_or_a_list_is_a_label_in_json() -> None:
    wanted = {"stage": '{"name":"done"}', "n": "1", "ok": "true", "l": "[1,2]"}
    given = {"stage": {"name": "done"}, "n": 1, "ok": True, "l": [1, 2]}
    assert labels_from(given) == wanted
    assert labels_from([{"key": key, "value": it} for key, it in given.items()]) == wanted


@pytest.mark.parametrize("labels", ['{"k": "", "": "v"}', {"k": ""}, {"": "v"}, {"k": None}])
def test_an_empty_key_or_value_is_no_label(labels: object) -> None:
    with pytest.raises(UserError, match="a label has a key and a value, got "):
        labels_from(labels)
