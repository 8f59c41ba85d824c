"""Any record of any type, for property tests."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from kestrapy.machine import commands, outputs
from kestrapy.model.state import State

PUBLIC = (*commands.PUBLIC, *outputs.PUBLIC)
RECORDS = (*PUBLIC, *commands.INTERNAL)

_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=12),
    NoneType: st.none(),
    State: st.sampled_from(State),
}


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a record's type, or of the type of one of its fields."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    origin, options = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of(*map(any_of, options))
    if origin is list:
        return st.lists(any_of(options[0]), max_size=3)
    if origin is tuple:
        return st.lists(any_of(options[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(any_of(options[0]), any_of(options[1]), max_size=3)
    fields = {field.name: any_of(field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


def any_record(kinds: tuple[type, ...] = RECORDS) -> st.SearchStrategy[Any]:
    return st.sampled_from(kinds).flatmap(any_of)
