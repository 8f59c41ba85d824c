"""``kestrapy worker``: live workers, and who shall take no more jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from kestrapy.cli.run import OutputFormat
from kestrapy.cli.settings import ConfigOption, settings_of
from kestrapy.cli.worker_group import OutputOption, shown
from kestrapy.errors import NotFound
from kestrapy.servers.group_documents import as_text, worker_json
from kestrapy.servers.worker_board import LiveServer

if TYPE_CHECKING:
    from kestrapy.assembly.groups import Groups

app = typer.Typer(
    help="List, show and drain live workers; needs no webserver.", no_args_is_help=True
)
CLIENT = "worker"

IdArgument = Annotated[str, typer.Argument(help="Id of the worker, as `list` shows it.")]
GroupOption = Annotated[
    str | None, typer.Option("--worker-group", "-g", help="Those of this group only.")
]


@app.command("list")
def list_workers(
    worker_group: GroupOption = None,
    output: OutputOption = OutputFormat.TEXT,
    config: ConfigOption = None,
) -> None:
    """Live workers: group, state, slots, tags, version and machine.

    One that says nothing for `worker.lostAfter` leaves the list. Example: `kestrapy worker list -g
    gpu -o json`
    """
    from kestrapy.assembly.groups import opened_groups

    with opened_groups(settings_of(config), CLIENT, settled=False) as groups:
        documents = [worker_json(it) for it in groups.board.workers(worker_group)]
    if output is OutputFormat.JSON:
        print(as_text(documents))
        return
    names = ("worker", "group", "state", "slots", "running", "tags", "version", "host", "last seen")
    table = Table(box=None)
    for name in names:
        table.add_column(name, overflow="fold")
    for it in documents:
        table.add_row(
            *(it["id"], it["workerGroup"]["key"], it["state"], str(it["slots"])),
            *(str(it["runningJobs"]), ", ".join(it["tags"]), it["version"], it["host"]),
            it["lastSeen"],
            style=None if it["state"] == "RUNNING" else "yellow",
        )
    Console().print(table)


@app.command()
def show(
    worker_id: IdArgument, output: OutputOption = OutputFormat.TEXT, config: ConfigOption = None
) -> None:
    """A live worker, as it said itself last."""
    from kestrapy.assembly.groups import opened_groups

    with opened_groups(settings_of(config), CLIENT, settled=False) as groups:
        document = worker_json(found(groups, worker_id))
    if output is OutputFormat.JSON:
        print(as_text(document))
        return
    for name, value in document.items():
        print(f"{name + ':':20} {shown(value)}")


@app.command()
def drain(worker_id: IdArgument, config: ConfigOption = None) -> None:
    """Have a worker take no more jobs. What it runs goes on; `list` shows when it obeys."""
    tell(worker_id, config, drained=True)
    print(f"worker {worker_id} will take no more jobs")


@app.command()
def resume(worker_id: IdArgument, config: ConfigOption = None) -> None:
    """Have a drained worker take jobs again."""
    tell(worker_id, config, drained=False)
    print(f"worker {worker_id} will take jobs again")


def tell(worker_id: str, config: ConfigOption, *, drained: bool) -> None:
    from kestrapy.assembly.groups import opened_groups

    with opened_groups(settings_of(config), CLIENT, settled=False) as groups:
        found(groups, worker_id)
        groups.drain(worker_id, drained)


def found(groups: Groups, worker_id: str) -> LiveServer:
    """Raises NotFound."""
    there = groups.board.worker(worker_id)
    if there is None:
        raise NotFound(f"there is no live worker {worker_id}: `kestrapy worker list` shows them")
    return there
