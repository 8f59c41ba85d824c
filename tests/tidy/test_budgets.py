"""What keeps the code readable by one person: sizes, names, and packages that import lightly."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "kestrapy"
FILE_LINES = 500
FUNCTION_LINES = 70
INIT_LINES = 30
BANNED_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}
"""Names that say nothing of what a module is about, so that everything ends up there."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 20, f"{PACKAGE} is not the package"
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_and_its_functions_keep_their_budget(path: Path) -> None:
    text = path.read_text()
    lines = len(text.splitlines())
    assert lines <= FILE_LINES, f"{path}: {lines} lines of {FILE_LINES}; split it by subject"
    long = [
        f"{path}:{function.lineno} {function.name}: {size} lines of {FUNCTION_LINES}"
        for function, size in sizes(ast.parse(text))
        if size > FUNCTION_LINES
    ]
    assert long == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in sources() if words(path) & BANNED_NAMES] == []


def test_no_class_is_a_manager() -> None:
    classes = [
        f"{path}:{node.lineno} {node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper", "Util"))
    ]
    assert classes == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda p: p.parent.name)
def test_importing_a_package_is_light(path: Path) -> None:
    """An ``__init__`` names what is public; ``cli:main`` is a function that imports when called."""
    text = path.read_text()
    assert len(text.splitlines()) <= INIT_LINES, f"{path}: move what it does into a module"
    kinds = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef)
    odd = [node for node in ast.parse(text).body if not isinstance(node, kinds)]
    assert odd == [], f"{path}:{odd[0].lineno}: an __init__ only imports and names"


def sizes(tree: ast.Module) -> Iterator[tuple[Function, int]]:
    """Each function with its lines, without its docstring."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            assert node.end_lineno is not None
            yield node, node.end_lineno - node.lineno + 1 - docstring_lines(node)


def docstring_lines(function: Function) -> int:
    first = function.body[0]
    if ast.get_docstring(function) is None or first.end_lineno is None:
        return 0
    return first.end_lineno - first.lineno + 1


def words(path: Path) -> set[str]:
    """The words of a module's path inside the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return {word for part in parts for word in part.strip("_").split("_")}


def test_a_function_is_measured_without_its_docstring() -> None:
    tree = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    x = 1\n    return x\n')
    assert [size for _, size in sizes(tree)] == [3]
