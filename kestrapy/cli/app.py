"""All commands."""

from __future__ import annotations

from typing import Annotated

import typer

from kestrapy import __version__
from kestrapy.cli import (
    broker,
    dead_letter,
    demo,
    execution,
    flow,
    run,
    server,
    topics,
    worker,
    worker_group,
)

app = typer.Typer(
    name="kestrapy",
    help="A Kafka-native workflow scheduler with worker groups; flows are Kestra's YAML.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Else brackets in a help text, such as those of an extra, are taken for markup and vanish.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"kestrapy {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What stands before a command."""


app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("broker")(broker.broker)
app.add_typer(flow.app, name="flow")
app.add_typer(execution.app, name="execution")
app.add_typer(server.app, name="server")
app.add_typer(topics.app, name="topics")
app.add_typer(worker_group.app, name="worker-group")
app.add_typer(worker.app, name="worker")
app.add_typer(dead_letter.app, name="dead-letter")
