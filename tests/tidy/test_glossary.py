"""The glossary is true: its classes exist, in order, and its banned words name nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "kestrapy"
GLOSSARY = (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
TERMS, BANNED = GLOSSARY.split("## Words that are not used")
ROW = re.compile(r"^\| \*\*(.+?)\*\* \| .+? \| (?:`([\w.]+)` )?\|$", re.MULTILINE)
CLASSES = [(term, name) for term, name in ROW.findall(TERMS) if name]


def banned() -> list[str]:
    firsts = re.findall(r"^\| (`.+?) \|", BANNED, re.MULTILINE)
    return [word for first in firsts for word in re.findall(r"`(\w+)`", first)]


def test_the_tables_are_read() -> None:
    assert len(CLASSES) > 30
    assert {"enqueue", "dag"} <= set(banned())
    assert len(ROW.findall(TERMS)) == len(re.findall(r"^\| \*\*", TERMS, re.MULTILINE))


@pytest.mark.parametrize(("term", "name"), CLASSES)
def test_the_class_of_a_term_exists(term: str, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert isinstance(getattr(import_module(module), attribute), type)


def test_no_term_stands_there_twice() -> None:
    terms = [term for term, _ in ROW.findall(TERMS)]
    assert sorted(terms) == sorted(set(terms))


def test_no_name_has_a_banned_word() -> None:
    words = banned()
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in names(ast.parse(path.read_text(encoding="utf-8")))
        if any(f"_{word}_" in f"_{snake(name)}_" for word in words)
    ]
    assert found == []


def names(tree: ast.Module) -> Iterator[str]:
    """What a module defines: classes, functions, arguments and variables."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).strip("_").lower()


def test_a_name_is_read_as_words() -> None:
    assert [snake(it) for it in ("JobDispatch", "_DAG_ID", "dagger")] == [
        "job_dispatch",
        "dag_id",
        "dagger",
    ]
