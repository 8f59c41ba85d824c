"""``kestrapy flow schema`` prints the schema of what this build knows."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from kestrapy.cli.app import app
from kestrapy.language.schema import flow_schema
from kestrapy.plugins.registry import REGISTRY


def test_it_is_printed_as_json() -> None:
    shown = CliRunner().invoke(app, ["flow", "schema"])
    assert shown.exit_code == 0
    assert json.loads(shown.output) == flow_schema(REGISTRY)
