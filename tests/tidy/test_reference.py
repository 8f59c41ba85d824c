"""The generated references say what the code says."""

from __future__ import annotations

from pathlib import Path

from kestrapy.reference import settings_reference

ROOT = Path(__file__).parents[2]


def test_the_reference_of_settings_is_current() -> None:
    written = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert written == settings_reference(), (
        "run: python -m kestrapy.reference > docs/reference/settings.md"
    )
