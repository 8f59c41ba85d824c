"""``kestrapy worker-group``: declared worker groups, and how they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from kestrapy.cli.run import OutputFormat
from kestrapy.cli.settings import ConfigOption, settings_of
from kestrapy.config import WorkerGroup
from kestrapy.errors import Conflict, DeclarationRefused, Problem
from kestrapy.machine.outputs import SettingRevision
from kestrapy.model.declaring import group_settings
from kestrapy.model.instants import iso_date
from kestrapy.model.worker_group import GroupSettings
from kestrapy.servers.group_documents import as_text, fallback_text, group_json
from kestrapy.servers.worker_board import GroupLoad

if TYPE_CHECKING:
    from kestrapy.assembly.groups import Groups

app = typer.Typer(
    help="List, declare, drain and delete worker groups; needs no webserver.", no_args_is_help=True
)
CLIENT = "worker-group"

KeyArgument = Annotated[str, typer.Argument(help="Key of the group.")]
OutputOption = Annotated[
    OutputFormat, typer.Option("--output", "-o", help="As a table, or as JSON for programs.")
]


@app.command("list")
def list_groups(output: OutputOption = OutputFormat.TEXT, config: ConfigOption = None) -> None:
    """Declared groups, with their live workers of those expected, slots and jobs.

    A group without a live worker is told apart, with what becomes of its jobs. Example:
    `kestrapy worker-group list -o json | jq '.[] | select(.liveWorkers == 0)'`
    """
    from kestrapy.assembly.groups import opened_groups

    with opened_groups(settings_of(config), CLIENT) as groups:
        keys = sorted(groups.settings.groups())
        documents = [document(groups, key) for key in keys]
        settings = [groups.declarations.group(key) for key in keys]
        loads = [groups.board.group(key) for key in keys]
    if output is OutputFormat.JSON:
        print(as_text(documents))
        return
    table = Table(box=None)
    for name in ("group", "workers", "slots", "running", "waiting", "oldest", "dispatch", "state"):
        table.add_column(name, overflow="fold")
    for one, load in zip(settings, loads, strict=True):
        style = "red" if not load.workers else None
        table.add_row(*row(one, load), style=style)
    Console().print(table)


@app.command()
def create(
    key: KeyArgument,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="NAME=YAML", help="A key of `workerGroups`."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Declare one that exists anew, as a whole.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Declare a worker group; its topic is made. What is not set has its default.

    What may be set is what a group has in the settings file. Example: `kestrapy worker-group create
    gpu -s minWorkers=2 -s 'tags=[cuda]' -s 'lanes={urgent: 4}' -s 'fallback={group: default}' -s
    fallbackAfter=PT5M`
    """
    from kestrapy.assembly.groups import opened_groups

    written = checked(fields_of(options or ()) | {"key": key})
    with opened_groups(settings_of(config), CLIENT, settled=False) as groups:
        if replace and key in groups.settings.groups():
            revision = groups.declarations.change(written)
        else:
            revision = created(groups, written)
    print(f"worker group {key} is declared, revision {revision.revision}")


@app.command()
def show(
    key: KeyArgument, output: OutputOption = OutputFormat.TEXT, config: ConfigOption = None
) -> None:
    """All that is declared of a group, and how it is."""
    from kestrapy.assembly.groups import opened_groups

    with opened_groups(settings_of(config), CLIENT) as groups:
        found = document(groups, key)
    if output is OutputFormat.JSON:
        print(as_text(found))
        return
    for name, value in found.items():
        print(f"{name + ':':20} {shown(value)}")


@app.command()
def drain(key: KeyArgument, config: ConfigOption = None) -> None:
    """Hand out no more jobs of a group. What runs goes on, new jobs wait."""
    tell(key, config, drained=True)
    print(f"worker group {key} is drained: resume it by `kestrapy worker-group resume {key}`")


@app.command()
def resume(key: KeyArgument, config: ConfigOption = None) -> None:
    """Hand out jobs of a group again."""
    tell(key, config, drained=False)
    print(f"worker group {key} hands out jobs")


@app.command()
def delete(key: KeyArgument, config: ConfigOption = None) -> None:
    """Delete the declaration of a group that no flow names. Its topic stays."""
    from kestrapy.assembly.groups import opened_groups

    with opened_groups(settings_of(config), CLIENT, settled=False) as groups:
        groups.declarations.delete(key, groups.flows())
        topic = groups.parts.catalogue.jobs(key)
    print(f"worker group {key} is deleted; the topic {topic} is not")


def tell(key: str, config: ConfigOption, *, drained: bool) -> None:
    from kestrapy.assembly.groups import opened_groups

    with opened_groups(settings_of(config), CLIENT, settled=False) as groups:
        groups.declarations.drain(key, drained)


def created(groups: Groups, written: GroupSettings) -> SettingRevision:
    try:
        return groups.declarations.create(written)
    except Conflict as error:
        raise Conflict(f"worker group {written.key} exists: --replace declares it anew") from error


def checked(fields: dict[str, Any]) -> GroupSettings:
    """Raises DeclarationRefused."""
    try:
        return group_settings(WorkerGroup.model_validate(fields, by_name=False, by_alias=True))
    except ValidationError as error:
        problems = [
            Problem(it["msg"].removeprefix("Value error, "), ".".join(map(str, it["loc"])))
            for it in error.errors()
        ]
        raise DeclarationRefused(problems) from None


def fields_of(options: Sequence[str]) -> dict[str, Any]:
    """``name=YAML`` each. Raises DeclarationRefused."""
    found: dict[str, Any] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not (name and equals):
            raise DeclarationRefused([Problem(f"{option!r}: expected name=value", "--set")])
        try:
            found[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise DeclarationRefused([Problem(f"{text!r} is no YAML: {error}", name)]) from None
    return found


def document(groups: Groups, key: str) -> dict[str, Any]:
    settings = groups.declarations.group(key)
    return group_json(settings, groups.settings.group_revision(key), groups.board.group(key))


def row(settings: GroupSettings, load: GroupLoad) -> tuple[str, ...]:
    expected = f"/{settings.min_workers}" if settings.min_workers else ""
    state = "drained" if settings.drained else ""
    if not load.workers:
        state = f"{state}, " if state else ""
        state += f"no live worker: {fallback_text(settings)}"
    elif load.workers < settings.min_workers:
        state = state or "fewer workers than expected"
    return (
        settings.key,
        f"{load.workers}{expected}",
        str(load.slots),
        str(load.running),
        str(load.waiting),
        iso_date(load.oldest_at) if load.oldest_at else "",
        settings.dispatch,
        state,
    )


def shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {it}" for name, it in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
