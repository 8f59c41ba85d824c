"""``kestrapy flow``: what one does with flows' files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kestrapy.cli.errors import show_problems, stderr
from kestrapy.cli.settings import ConfigOption, declared_groups, settings_of
from kestrapy.errors import FlowRefused
from kestrapy.language.flow import parse_flow
from kestrapy.model.worker_group import GroupSettings
from kestrapy.plugins.registry import REGISTRY

app = typer.Typer(help="Check flows.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Check flows."""


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="Flows, YAML files.", metavar="FILE…")],
    config: ConfigOption = None,
) -> None:
    """Check flows as the server does when they are saved.

    Each problem is a line `file:line:column: path: message`. Exit code 0 where all are fine, else
    2. With --config, worker groups that the settings don't declare are refused.
    """
    groups = declared_groups(settings_of(config)) if config else None
    good = [validate_file(path, groups) for path in files]
    raise typer.Exit(0 if all(good) else 2)


def validate_file(path: Path, groups: Mapping[str, GroupSettings] | None) -> bool:
    """-> whether it is fine; says what it is, or what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        flow = parse_flow(text, REGISTRY, groups=groups)
    except (OSError, UnicodeDecodeError) as error:
        stderr.print(f"{path}: can't be read: {error}")
        return False
    except FlowRefused as refusal:
        show_problems(str(path), refusal)
        return False
    print(f"{path}: {flow.namespace}.{flow.id} is fine")
    return True
