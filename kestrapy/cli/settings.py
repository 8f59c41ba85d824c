"""The option ``--config`` of every command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kestrapy.config import Settings, load_settings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Settings, a YAML file; KESTRAPY_SECTION__KEY variables win over it.",
        envvar="KESTRAPY_CONFIG",
    ),
]


def settings_of(config: Path | None) -> Settings:
    """Raises SettingsRefused."""
    return load_settings(config, os.environ)
