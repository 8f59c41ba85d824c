"""Help says what its text says."""

from __future__ import annotations

from typer.testing import CliRunner

from kestrapy.cli.app import app


def test_brackets_are_shown() -> None:
    shown = CliRunner().invoke(app, ["broker", "--help"]).output
    assert "kestrapy-server[broker]" in " ".join(shown.split())
