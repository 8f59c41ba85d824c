"""Globs over paths."""

from __future__ import annotations

import pytest

from kestrapy.errors import UserError
from kestrapy.plugins.globs import chooser, matcher


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("main.py", ["main.py", "a/main.py", "a/b/main.py"], ["amain.py", "main.py/x"]),
        ("/main.py", ["main.py"], ["a/main.py"]),
        ("*.py", ["main.py"], ["a/main.py", "main.pyc"]),
        ("**.py", ["main.py", "a/b/main.py"], ["main.txt"]),
        ("**input.txt", ["input.txt", "a/my-input.txt"], ["input.txt/x"]),
        ("**", ["a", "a/b"], []),
        ("/a/**", ["a/b", "a/b/c"], ["a", "b/a/c", "ab/c"]),
        ("/a**", ["a", "ab", "ab/c"], ["b/a"]),
        ("/a**z", ["az", "abz", "ab/c/yz"], ["a", "b/az"]),
        ("/a/**/z", ["a/z", "a/b/c/z"], ["a/bz"]),
        ("scripts/*.sh", ["scripts/a.sh", "x/scripts/a.sh"], ["scripts/x/a.sh"]),
        ("/a?[b-d].{py,sh}", ["axc.py", "a_b.sh"], ["axe.py", "axb.txt", "a/b.py"]),
        ("glob:/x", ["x"], ["y/x"]),
        ("/{a,b/{c,d}}", ["a", "b/c", "b/d"], ["b", "c"]),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    matches = matcher([pattern])
    assert [path for path in [*yes, *no] if matches(path)] == yes
    assert all(matches(f"/{path}") for path in yes)


def test_include_and_exclude() -> None:
    paths = ["a.py", "a.txt", "old/a.py"]
    assert [it for it in paths if chooser([], [])(it)] == paths
    assert [it for it in paths if chooser(["*.py", "*.txt"], [])(it)] == ["a.py", "a.txt"]
    assert [it for it in paths if chooser(["**.py"], ["/old/**"])(it)] == ["a.py"]


def test_a_hostile_pattern_ends_soon() -> None:
    """Backtracking would take longer than the universe is old."""
    matches = matcher(["/" + "**/*a/" * 50 + "b", "/" + "*a" * 50 + "b"])
    assert not matches("a/" * 200 + "c")
    assert not matches("a" * 200)


@pytest.mark.parametrize(
    "pattern", ["regex:.*", "{a,b}" * 7, "a**" * 8 + "b", "{a," * 200 + "}" * 200]
)
def test_refused_patterns(pattern: str) -> None:
    with pytest.raises(UserError):
        matcher([pattern])
