"""What expressions read of outputs, with keys that have to be evaluated first."""

from __future__ import annotations

import pytest

from kestrapy.language.reads import paths_of_outputs, reads_of

VARIABLES = {"taskrun": {"value": "v"}, "outputs": {"x": {"k": "w"}}, "n": 2}


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("{{ outputs.a.value }}", [("a", "value")]),
        ("{{ outputs.a[taskrun.value].value }}", [("a", "v", "value")]),
        ("{{ outputs['a'][taskrun.value][n] }}", [("a", "v", "2")]),
        ("{{ outputs.a[outputs.x.k].value }}", [("x", "k"), ("a", "w", "value")]),
        ("{{ outputs.a[missing].value }}", [("a",)]),
        ("{{ outputs[taskrun.value] }}", [("v",)]),
        ("{{ outputs.a[[1]] }}", [("a",)]),
        ("{{ outputs }}", [()]),
        ("{% for k in [1, 2] %}{{ outputs.a[k].value }}{% endfor %}", [("a",)]),
        ("{% for taskrun in [1] %}{{ outputs.a[taskrun.value] }}{% endfor %}", [("a",)]),
        ("{% if outputs.a[taskrun.value].ok %}x{% endif %}", [("a", "v", "ok")]),
    ],
)
def test_keys_are_followed_as_far_as_they_are_known(
    text: str, paths: list[tuple[str, ...]]
) -> None:
    assert paths_of_outputs(reads_of({"p": [text]}), VARIABLES) == paths
