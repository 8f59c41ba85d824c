"""Inputs as they are given on the command line: texts, and paths of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kestrapy.errors import InputRefused, Problem
from kestrapy.model.flow import Flow
from kestrapy.ports.blobs import Blobs
from kestrapy.ports.places import input_uri


def parse_inputs(pairs: list[str]) -> dict[str, Any]:
    """Of ``id=value`` each. Raises InputRefused."""
    given: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputRefused([Problem(f"--input {pair!r}: expected id=value")])
        given[name] = value
    return given


def store_files(
    blobs: Blobs, flow: Flow, execution_id: str, given: dict[str, Any]
) -> dict[str, Any]:
    """Put the files of FILE inputs into internal storage; given then holds their URIs. Raises
    InputRefused for a file that can't be read.
    """
    for declared in flow.inputs:
        value = given.get(declared.id)
        if declared.type != "FILE" or value is None or value.startswith("kestra://"):
            continue
        path = Path(value)
        uri = input_uri(flow, execution_id, declared, path.name)
        try:
            with path.open("rb") as content:
                blobs.put(uri, content)
        except OSError as error:
            raise InputRefused([Problem(f"--input {declared.id}: {error}")]) from error
        given[declared.id] = uri
    return given
