"""The generated references say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kestrapy.reference.pages import PAGES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_current(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run: python -m kestrapy.reference docs/reference"


def test_no_page_is_left_that_nothing_generates() -> None:
    assert {it.name for it in FOLDER.glob("*.md")} == set(PAGES)
