"""``kestrapy flow``: what one does with flows' files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kestrapy.cli.errors import show_problems, show_warning, stderr
from kestrapy.cli.run import OutputFormat
from kestrapy.cli.settings import ConfigOption, settings_of
from kestrapy.errors import FlowRefused
from kestrapy.model.declaring import declared_groups
from kestrapy.model.worker_group import GroupSettings

if TYPE_CHECKING:
    from kestrapy.assembly.sight import Sight

app = typer.Typer(help="Check, explain and describe flows.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Check, explain and describe flows."""


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="Flows, YAML files.", metavar="FILE…")],
    config: ConfigOption = None,
) -> None:
    """Check flows as the server does when they are saved.

    Each problem is a line `file:line:column: path: message`; what is allowed and looks wrong is
    marked as a warning. Exit code 0 where all are fine, else 2. With --config, worker groups that
    the settings don't declare are refused.
    """
    groups = declared_groups(settings_of(config)) if config else None
    good = [validate_file(path, groups) for path in files]
    raise typer.Exit(0 if all(good) else 2)


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="A flow, a YAML file.", metavar="FLOW")],
    config: ConfigOption = None,
    output: Annotated[
        OutputFormat, typer.Option("--output", "-o", help="text: to read; json: one document.")
    ] = OutputFormat.TEXT,
) -> None:
    """Tell for each task which worker group it goes to, and why.

    With --config, declared groups, live workers and what waits are read from the topics. Exit code
    2 where the flow is refused, 1 where a task can't be routed, else 0.
    """
    from kestrapy.cli.explaining import documents, show, show_json
    from kestrapy.cli.running import load
    from kestrapy.language.plan import Plan
    from kestrapy.machine import explanation
    from kestrapy.plugins.registry import REGISTRY

    sight = _look(config) if config else None
    flow = load(file, sight.groups if sight else None)
    groups = sight.known() if sight else None
    defaults = sight.defaults if sight else {}
    placements = explanation.explain(Plan(flow, REGISTRY), groups, defaults.get)
    found = documents(placements, flow, sight)
    (show_json if output is OutputFormat.JSON else show)(flow, found, sight)
    lost = [it for it in placements if it.route is None and it.is_certain]
    raise typer.Exit(1 if lost and sight else 0)


@app.command()
def schema() -> None:
    """Print a JSON Schema (draft 2020-12) of flows, for editors.

    In VS Code, its YAML extension takes it by the setting `yaml.schemas`.
    """
    from kestrapy.language.schema import flow_schema
    from kestrapy.plugins.registry import REGISTRY

    print(json.dumps(flow_schema(REGISTRY), indent=2, ensure_ascii=False))


def _look(config: Path) -> Sight:
    """Raises LogUnavailable, TopicUnfit."""
    from kestrapy.assembly.servers import parts_of
    from kestrapy.assembly.sight import look

    settings = settings_of(config)
    return look(parts_of(settings, "flow"), settings)


def validate_file(path: Path, groups: Mapping[str, GroupSettings] | None) -> bool:
    """-> whether it is fine; says what it is, or what is wrong."""
    from kestrapy.language.flow import parse_flow
    from kestrapy.language.flow_warnings import flow_warnings
    from kestrapy.language.runnable import require_runnable
    from kestrapy.plugins.registry import REGISTRY

    try:
        text = path.read_text(encoding="utf-8")
        flow = parse_flow(text, REGISTRY, groups=groups)
        require_runnable(flow, REGISTRY)
    except (OSError, UnicodeDecodeError) as error:
        stderr.print(f"{path}: can't be read: {error}")
        return False
    except FlowRefused as refusal:
        show_problems(str(path), refusal)
        return False
    for it in flow_warnings(text, REGISTRY):
        show_warning(str(path), it)
    print(f"{path}: {flow.namespace}.{flow.id} is fine")
    return True
