"""Outputs of a flow: rendered, typed, and left out where they may be."""

from __future__ import annotations

from typing import Any

import pytest

from kestrapy.errors import ExpressionError
from kestrapy.language.outputs import resolve_outputs
from kestrapy.model.flow import Flow, Output


def resolved(*outputs: Output, **variables: Any) -> dict[str, Any]:
    return resolve_outputs(Flow("f", "n", (), outputs=outputs), variables)


def test_values_get_their_types() -> None:
    assert resolved(
        Output("count", "INT", "{{ n }}"),
        Output("text", "STRING", "{{ n }}"),
        Output("half", "FLOAT", "0.5"),
        Output("sure", "BOOL", "true"),
        Output("data", "JSON", "{{ data }}"),
        Output("written", "STRING", "{{ data }}"),
        n=7,
        data={"a": [1]},
    ) == {
        "count": 7,
        "text": "7",
        "half": 0.5,
        "sure": True,
        "data": {"a": [1]},
        "written": '{"a":[1]}',
    }


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (Output("o", "INT", "many"), "output `o`: expected a whole number"),
        (Output("o", "INT", "many", required=False), "output `o`: expected a whole number"),
        (Output("o", "FILE", "/etc/passwd"), "output `o`: expected the URI of a file"),
        (Output("o", "STRING", "{{ nope }}"), "(?s)output `o`: .*nope"),
        (Output("o", "STRING", None), "output `o` is required and has no value"),
        (Output("o", "STRING", "{{ nothing }}"), "output `o` is required and has no value"),
    ],
)
def test_what_does_not_fit_is_named(output: Output, why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        resolved(output, nothing=None)


def test_what_is_not_required_may_be_left_out() -> None:
    lost = Output("lost", "STRING", "{{ nope.value }}", required=False)
    null = Output("null", "STRING", None, required=False)
    assert resolved(lost, null, Output("kept", "STRING", "x")) == {"kept": "x"}


def test_what_is_sealed_stays_so_alone_and_is_no_part_of_a_text() -> None:
    sealed = {"type": "io.kestra.datatype:aes_encrypted", "value": "bm90aGluZw=="}
    outputs = [Output(it, it, "{{ a }}") for it in ("STRING", "INT", "JSON")]
    assert resolved(*outputs, a=sealed) == dict.fromkeys(("STRING", "INT", "JSON"), sealed)
    assert resolved(Output("o", "JSON", "{{ a }}"), a={"b": [sealed]}) == {"o": {"b": [sealed]}}
    for text in ("is {{ a }}", "{{ [a] }}"):
        with pytest.raises(ExpressionError, match="`o`: a secret can't be a part of a text here"):
            resolved(Output("o", "STRING", text), a=sealed)
