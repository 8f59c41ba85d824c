"""Documents: links lead somewhere, and commands that are shown exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from kestrapy.cli.app import app
from kestrapy.reference.commands import walk

ROOT = Path(__file__).parents[2]
SKIPPED = {".venv", ".git", "node_modules", ".pytest_cache", ".hypothesis"}
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = {"bash", "console", "sh"}
ENDS = {"|", "||", "&&", "&", ";", ">", ">>", "2>", "<"}
COMMANDS = dict(walk(get_command(app), "kestrapy"))


def documents() -> list[Path]:
    found = [it for it in ROOT.rglob("*.md") if not SKIPPED & set(it.relative_to(ROOT).parts)]
    assert ROOT / "README.md" in found
    return sorted(found)


def each_document() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "path", documents(), ids=lambda path: str(path.relative_to(ROOT))
    )


@each_document()
def test_relative_links_lead_to_a_file_and_a_heading(path: Path) -> None:
    assert list(broken_links(path, path.read_text(encoding="utf-8"))) == []


@each_document()
def test_commands_that_are_shown_exist(path: Path) -> None:
    problems = [it for words in shown(path.read_text(encoding="utf-8")) for it in wrong(words)]
    assert problems == []


def broken_links(path: Path, text: str) -> Iterator[str]:
    """Links outside the repository, as ``http:``, are not followed."""
    for match in LINK.finditer(FENCE.sub("", text)):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or not target.is_relative_to(ROOT):
            yield f"{link}: no such file in the repository"
        elif heading and heading not in anchors(target.read_text(encoding="utf-8")):
            yield f"{link}: no such heading"


def anchors(text: str) -> set[str]:
    """The headings' anchors, as GitHub makes them."""
    heads = re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", it).strip().lower().replace(" ", "-") for it in heads}


def shown(text: str) -> Iterator[list[str]]:
    """The words of each ``kestrapy …`` command in blocks of shell."""
    for language, block in FENCE.findall(text):
        if language not in SHELLS:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            yield from kestrapy_commands(line.removeprefix("$ "))


def kestrapy_commands(line: str) -> list[list[str]]:
    """The words of each command in a line that is kestrapy's."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a line of a text that a here-document gives
        return []
    found: list[list[str]] = []
    command: list[str] | None = None
    for word in words:
        if word in ENDS:
            command = None
        elif command is not None:
            command.append(word)
        elif word == "kestrapy" or word.endswith("/kestrapy"):
            command = ["kestrapy"]
            found.append(command)
    return found


def wrong(words: list[str]) -> Iterator[str]:
    """What of a command does not exist. words[0] is ``kestrapy``."""
    name, rest = "kestrapy", words[1:]
    while rest and f"{name} {rest[0]}" in COMMANDS:
        name = f"{name} {rest.pop(0)}"
    command: Any = COMMANDS[name]
    if rest and getattr(command, "commands", None) and not rest[0].startswith("-"):
        yield f"{name} has no command {rest[0]}"
        return
    known = {option for it in command.params for option in it.opts} | {"-h", "--help"}
    for word in rest:
        option = word.partition("=")[0]
        if option.startswith("-") and len(option) > 1 and option not in known:
            yield f"{name} has no option {option}"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("kestrapy run flow.yaml -o json", None),
        ("A=1 .venv/bin/kestrapy server worker --threads=4 && echo --no", None),
        ("kestrapy server exekutor", "kestrapy server has no command exekutor"),
        ("kestrapy run flow.yaml --color", "kestrapy run has no option --color"),
    ],
)
def test_what_is_wrong_with_a_command(line: str, problem: str | None) -> None:
    found = [it for words in kestrapy_commands(line) for it in wrong(words)]
    assert found == ([problem] if problem else [])


def test_a_link_to_nowhere_is_found() -> None:
    text = "[a](README.md) [b](nowhere.md) [c](README.md#no-such-heading) [d](https://x.org/y)"
    assert len(list(broken_links(ROOT / "README.md", text))) == 2
